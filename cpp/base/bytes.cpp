/// base/bytes.cpp - aligned memory, taken from and returned to the system in whole pages.
#include "base/bytes.hpp"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace dvesp {
namespace {

/// From here on a block is a mapping of its own: already zero, and its pages leave the process when it is released.
constexpr std::size_t mapped_bytes_min = std::size_t{256} << 10;
constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

/// Fresh pages, from an address that is a multiple of `align` (a power of two).
std::uint8_t* map_aligned(std::size_t size, std::size_t align) {
    void* memory = mmap(nullptr, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    void* aligned = memory;
    std::size_t space = size + align;
    std::align(align, size, aligned, space);  // never fails: there is room for one alignment more
    const std::size_t before = size + align - space;
    if (before > 0) munmap(memory, before);
    if (before < align) munmap(static_cast<std::uint8_t*>(aligned) + size, align - before);
    return static_cast<std::uint8_t*>(aligned);
}

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t size) : size_(round_up(size == 0 ? 1 : size, alignment)) {
    void* memory = nullptr;
    if (size_ >= mapped_bytes_min) {
        memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
    } else {
        if (posix_memalign(&memory, alignment, size_) != 0) throw std::bad_alloc();
        std::memset(memory, 0, size_);  // padding reaches the disk and must not carry old memory there
    }
    memory_ = {static_cast<std::uint8_t*>(memory), Release{size_}};
}

AlignedBuffer AlignedBuffer::of_huge_pages(std::size_t size) {
    if (size < huge_page_bytes) return AlignedBuffer(size);
    AlignedBuffer buffer;
    buffer.size_ = round_up(size, alignment);  // a tail below one huge page is made of small ones
    buffer.memory_ = {map_aligned(buffer.size_, huge_page_bytes), Release{buffer.size_}};
    madvise(buffer.data(), buffer.size_, MADV_HUGEPAGE);  // advice only: a refusal changes nothing but speed
    return buffer;
}

void AlignedBuffer::Release::operator()(std::uint8_t* memory) const noexcept {
    if (size >= mapped_bytes_min) {
        munmap(memory, size);
    } else {
        std::free(memory);
    }
}

}  // namespace dvesp
