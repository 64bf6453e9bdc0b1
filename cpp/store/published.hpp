/// store/published.hpp - a value that one thread replaces and many read: readers get a share of the current version.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace dvesp::store {

/// Readers copy a shared pointer under a lock that is held for nanoseconds and never across I/O; versions live as long
/// as somebody holds them (RCU by reference count). @threads any
template <class T>
class Published {
  public:
    [[nodiscard]] std::shared_ptr<const T> get() const {
        const std::scoped_lock lock(mutex_);
        return value_;
    }
    void set(std::shared_ptr<const T> value) {
        {
            const std::scoped_lock lock(mutex_);
            value_.swap(value);
        }
        // The old version, if this was its last holder, is destroyed here, outside the lock.
    }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const T> value_;
};

}  // namespace dvesp::store
