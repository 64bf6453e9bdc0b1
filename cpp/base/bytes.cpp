/// base/bytes.cpp - aligned memory, taken from and returned to the system in whole pages.
#include "base/bytes.hpp"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace dvesp {
namespace {

/// From here on a block is a mapping of its own: already zero, and its pages leave the process when it is released.
constexpr std::size_t mapped_bytes_min = std::size_t{256} << 10;

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

void AlignedBuffer::Release::operator()(std::uint8_t* memory) const noexcept {
    if (size >= mapped_bytes_min) {
        munmap(memory, size);
    } else {
        std::free(memory);
    }
}

}  // namespace dvesp
