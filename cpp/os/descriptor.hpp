/// os/descriptor.hpp - owns one file descriptor.
#pragma once

#include <unistd.h>

#include <utility>

namespace dvesp::os {

/// Closes its descriptor at the end. Movable. -1 = none.
class Descriptor {
  public:
    explicit Descriptor(int number = -1) noexcept : number_(number) {}
    ~Descriptor() {
        // Not retried on EINTR: Linux has released the number by then, and another thread may own it already.
        if (number_ >= 0) close(number_);
    }
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }

    [[nodiscard]] int number() const noexcept { return number_; }
    [[nodiscard]] bool is_open() const noexcept { return number_ >= 0; }

  private:
    int number_;
};

}  // namespace dvesp::os
