/// os/run_pool.cpp - threads that help a caller with the pieces of its work.
#include "os/run_pool.hpp"

#include <algorithm>

#include "os/threads.hpp"

namespace dvesp::os {

RunPool::RunPool(std::size_t helper_count, Priority priority) {
    helpers_ = start_threads(helper_count, "dvesp-run", [this, priority] {
        if (priority == Priority::low) lower_priority_of_this_thread();
        help_until_stopped();
    });
}

RunPool::~RunPool() {
    {
        const std::lock_guard guard(mutex_);
        is_stopped_ = true;
    }
    work_added_.notify_all();
    for (std::thread& helper : helpers_) helper.join();
}

void RunPool::run(std::size_t count, const std::function<void(std::size_t)>& piece) {
    if (count <= 1 || helpers_.empty()) {
        for (std::size_t index = 0; index < count; ++index) piece(index);
        return;
    }
    Work work{&piece, count, {}, 0, {}};
    {
        const std::lock_guard guard(mutex_);
        open_works_.push_back(&work);
    }
    for (std::size_t wanted = std::min(count - 1, helpers_.size()); wanted > 0; --wanted) work_added_.notify_one();

    for (std::size_t index = work.next.fetch_add(1); index < count; index = work.next.fetch_add(1)) piece(index);

    std::unique_lock guard(mutex_);
    std::erase(open_works_, &work);
    work.helpers_left.wait(guard, [&work] { return work.helper_count == 0; });
}

RunPool::Work* RunPool::newest_open_work() {
    const auto is_open = [](const Work* work) { return work->next.load() < work->count; };
    const auto found = std::find_if(open_works_.rbegin(), open_works_.rend(), is_open);
    return found == open_works_.rend() ? nullptr : *found;
}

void RunPool::help_until_stopped() {
    std::unique_lock guard(mutex_);
    while (true) {
        Work* work = nullptr;
        work_added_.wait(guard, [&] { return is_stopped_ || (work = newest_open_work()) != nullptr; });
        if (is_stopped_) return;
        ++work->helper_count;
        guard.unlock();
        // One piece, then look for newer work again.
        if (const std::size_t index = work->next.fetch_add(1); index < work->count) (*work->piece)(index);
        guard.lock();
        if (--work->helper_count == 0) work->helpers_left.notify_all();
    }
}

}  // namespace dvesp::os
