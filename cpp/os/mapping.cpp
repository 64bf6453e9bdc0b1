/// os/mapping.cpp - read-only memory mappings; a SIGBUS inside one becomes a page of zeros and a `damaged` flag.
/// mmap(2), sigaction(2). A signal handler belongs to the process, so the registry of guarded ranges has to be global:
/// the one exception to "no global registries". It is lock-free, because the handler may interrupt anything.
#include "os/mapping.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <limits>
#include <mutex>

#include "os/memory.hpp"
#include "os/system_error.hpp"

namespace dvesp::os {
namespace {

/// One guarded range. `start` is 0 while the other fields may change; it is written last and cleared first.
struct GuardSlot {
    std::atomic<bool> taken{false};
    std::atomic<std::uintptr_t> start{0};
    std::atomic<std::uintptr_t> end{0};
    std::atomic<std::atomic<bool>*> damaged{nullptr};
};

/// Chunks form a list that only grows, so the handler can walk it at any moment. They are never freed.
struct GuardChunk {
    static constexpr std::size_t slot_count = 1024;
    std::array<GuardSlot, slot_count> slots;
    std::atomic<GuardChunk*> next{nullptr};
};

static_assert(std::atomic<std::uintptr_t>::is_always_lock_free && std::atomic<GuardChunk*>::is_always_lock_free);

GuardChunk first_chunk;            // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
struct sigaction previous_action;  // written once, before the handler can run
std::uintptr_t page_bytes = 4096;  // likewise

/// Finds the slot that guards `address`. Async-signal-safe.
GuardSlot* find_slot(std::uintptr_t address) noexcept {
    for (GuardChunk* chunk = &first_chunk; chunk != nullptr; chunk = chunk->next.load(std::memory_order_acquire)) {
        for (GuardSlot& slot : chunk->slots) {
            const std::uintptr_t start = slot.start.load(std::memory_order_acquire);
            if (start == 0 || address < start || address >= slot.end.load(std::memory_order_acquire)) continue;
            // Another thread may have reused the slot between the two loads; then the match was none.
            if (slot.start.load(std::memory_order_acquire) == start) return &slot;
        }
    }
    return nullptr;
}

/// Does what would have happened without this handler.
void pass_on(int signal_number, siginfo_t* info, void* context) noexcept {
    if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr) {
        previous_action.sa_sigaction(signal_number, info, context);
        return;
    }
    const bool was_sent_by_a_process = info->si_code <= 0;
    if (previous_action.sa_handler == SIG_IGN && was_sent_by_a_process) return;
    if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
        previous_action.sa_handler(signal_number);
        return;
    }
    // Return into the fault (or the raised signal) with the default action: the process ends with its usual core dump.
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    sigaction(signal_number, &standard, nullptr);
    raise(signal_number);
}

/// Replaces the page that could not be read by zeros. mmap is not on POSIX's list of async-signal-safe functions, but on
/// Linux it is one system call and touches nothing of the C library.
void on_sigbus(int signal_number, siginfo_t* info, void* context) noexcept {
    const int saved_errno = errno;
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    GuardSlot* slot = info->si_code > 0 ? find_slot(address) : nullptr;
    bool handled = false;
    if (slot != nullptr) {
        void* page = static_cast<char*>(info->si_addr) - address % page_bytes;
        slot->damaged.load(std::memory_order_acquire)->store(true, std::memory_order_release);
        handled = mmap(page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
    }
    if (!handled) pass_on(signal_number, info, context);
    errno = saved_errno;
}

void install_handler() {
    static std::once_flag once;
    std::call_once(once, [] {
        page_bytes = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
        DVESP_ASSERT(sigaction(SIGBUS, nullptr, &previous_action) == 0);
        struct sigaction action {};
        action.sa_sigaction = on_sigbus;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigemptyset(&action.sa_mask);
        DVESP_ASSERT(sigaction(SIGBUS, &action, nullptr) == 0);
    });
}

GuardSlot* take_slot_of(GuardChunk& chunk) noexcept {
    for (GuardSlot& slot : chunk.slots) {
        bool expected = false;
        if (!slot.taken.load(std::memory_order_relaxed) && slot.taken.compare_exchange_strong(expected, true)) return &slot;
    }
    return nullptr;
}

GuardSlot* take_slot() {
    GuardChunk* chunk = &first_chunk;
    while (true) {
        if (GuardSlot* slot = take_slot_of(*chunk)) return slot;
        GuardChunk* next = chunk->next.load(std::memory_order_acquire);
        if (next == nullptr) {
            auto fresh = std::make_unique<GuardChunk>();
            if (chunk->next.compare_exchange_strong(next, fresh.get())) next = fresh.release();
        }
        chunk = next;
    }
}

class GuardedMapping final : public ports::Mapping {
  public:
    GuardedMapping(void* memory, std::size_t size)
        : memory_(memory), size_(size), scarce_(size > memory_limit_bytes() / scarce_share), slot_(take_slot()) {
        const auto start = reinterpret_cast<std::uintptr_t>(memory);
        slot_->damaged.store(&damaged_, std::memory_order_release);
        slot_->end.store(start + round_up(size, page_bytes), std::memory_order_release);
        slot_->start.store(start, std::memory_order_release);
    }
    ~GuardedMapping() override {
        slot_->start.store(0, std::memory_order_release);
        munmap(memory_, size_);
        slot_->taken.store(false, std::memory_order_release);
    }
    GuardedMapping(const GuardedMapping&) = delete;
    GuardedMapping& operator=(const GuardedMapping&) = delete;

    [[nodiscard]] ByteView bytes() const noexcept override { return {static_cast<const std::uint8_t*>(memory_), size_}; }
    [[nodiscard]] bool damaged() const noexcept override { return damaged_.load(std::memory_order_acquire); }

    void will_read(ByteView part) const noexcept override {
        const auto start = reinterpret_cast<std::uintptr_t>(part.data()) / page_bytes * page_bytes;
        const auto stop = reinterpret_cast<std::uintptr_t>(part.data() + part.size());
        madvise(reinterpret_cast<void*>(start), stop - start, MADV_WILLNEED);
    }
    void release() const noexcept override { madvise(memory_, size_, MADV_DONTNEED); }
    [[nodiscard]] bool scarce() const noexcept override { return scarce_; }

  private:
    static constexpr std::uint64_t scarce_share = 2;  ///< a file larger than the memory divided by this comes and goes

    void* memory_;
    std::size_t size_;
    bool scarce_;
    std::atomic<bool> damaged_{false};
    GuardSlot* slot_;
};

/// mmap refuses a length of 0, but an empty file is a file.
class EmptyMapping final : public ports::Mapping {
  public:
    [[nodiscard]] ByteView bytes() const noexcept override { return {}; }
    [[nodiscard]] bool damaged() const noexcept override { return false; }
};

}  // namespace

Result<std::shared_ptr<ports::Mapping>> map_file(int descriptor, std::uint64_t size, bool random, const std::string& name) {
    if (size == 0) return std::shared_ptr<ports::Mapping>(std::make_shared<EmptyMapping>());
    if (size > std::numeric_limits<std::size_t>::max()) {
        return fail(ErrorCode::io_failed, "cannot map " + name + ": it is larger than the address space");
    }
    install_handler();
    const auto length = static_cast<std::size_t>(size);
    void* memory = mmap(nullptr, length, PROT_READ, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED) {
        return system_error(errno, "map", name);
    }
    if (random) madvise(memory, length, MADV_RANDOM);  // advice only: a refusal changes nothing but speed
    return std::shared_ptr<ports::Mapping>(std::make_shared<GuardedMapping>(memory, length));
}

}  // namespace dvesp::os
