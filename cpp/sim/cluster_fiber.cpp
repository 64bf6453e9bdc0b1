/// sim/cluster_fiber.cpp - ucontext, and what the address sanitizer wants to know about other stacks.
#include "sim/cluster_fiber.hpp"

#include <ucontext.h>

#include <cstdint>
#include <vector>

#include "base/assert.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define DVESP_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DVESP_FIBER_ASAN 1
#endif
#endif
#ifdef DVESP_FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace dvesp::sim {
namespace {

constexpr std::size_t stack_bytes = std::size_t{1} << 20;
Fiber* running = nullptr;

}  // namespace

struct Fiber::Context {
    ucontext_t own{};
    ucontext_t caller{};
    std::vector<std::uint8_t> stack = std::vector<std::uint8_t>(stack_bytes);
    const void* caller_stack = nullptr;
    std::size_t caller_bytes = 0;
    void* fake_stack = nullptr;
};

Fiber* Fiber::current() noexcept { return running; }

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)), context_(std::make_unique<Context>()) {
    getcontext(&context_->own);
    context_->own.uc_stack.ss_sp = context_->stack.data();
    context_->own.uc_stack.ss_size = context_->stack.size();
    context_->own.uc_link = nullptr;
    const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::intptr_t>(this));
    makecontext(&context_->own, reinterpret_cast<void (*)()>(&Fiber::enter), 2, static_cast<unsigned>(address >> 32),
                static_cast<unsigned>(address & 0xFFFFFFFF));
}

Fiber::~Fiber() = default;

void Fiber::enter(unsigned high, unsigned low) {
    auto* self = reinterpret_cast<Fiber*>(static_cast<std::intptr_t>((std::uint64_t{high} << 32) | low));
#ifdef DVESP_FIBER_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &self->context_->caller_stack, &self->context_->caller_bytes);
#endif
    self->body_();
    self->is_done_ = true;
#ifdef DVESP_FIBER_ASAN
    __sanitizer_start_switch_fiber(nullptr, self->context_->caller_stack, self->context_->caller_bytes);
#endif
    setcontext(&self->context_->caller);
}

void Fiber::resume() {
    DVESP_ASSERT(running == nullptr && !is_done_);
    running = this;
#ifdef DVESP_FIBER_ASAN
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, context_->stack.data(), context_->stack.size());
#endif
    swapcontext(&context_->caller, &context_->own);
#ifdef DVESP_FIBER_ASAN
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
    running = nullptr;
}

void Fiber::wait() {
    Fiber* self = running;
    DVESP_ASSERT(self != nullptr);
#ifdef DVESP_FIBER_ASAN
    __sanitizer_start_switch_fiber(&self->context_->fake_stack, self->context_->caller_stack, self->context_->caller_bytes);
#endif
    swapcontext(&self->context_->own, &self->context_->caller);
#ifdef DVESP_FIBER_ASAN
    __sanitizer_finish_switch_fiber(self->context_->fake_stack, &self->context_->caller_stack, &self->context_->caller_bytes);
#endif
}

}  // namespace dvesp::sim
