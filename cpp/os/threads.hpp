/// os/threads.hpp - starts named threads that stay out of the way of the host program's signals.
#pragma once

#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace dvesp::os {

/// Starts up to `count` threads that run `body`; fewer when the system refuses more.
/// @param name  at most 15 characters
[[nodiscard]] std::vector<std::thread> start_threads(std::size_t count, const char* name, const std::function<void()>& body);

/// Makes the calling thread yield to foreground work: niceness + 10. A refusal is ignored.
void lower_priority_of_this_thread() noexcept;

}  // namespace dvesp::os
