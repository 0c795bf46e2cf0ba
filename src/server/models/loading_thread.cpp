// Work is moved out of the queue before it is done, so that what it holds ends on this thread.
#include "server/models/loading_thread.h"

#include <system_error>

namespace rafter::server {

Result<void> LoadingThread::start() {
    try {
        thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
        return Error{fmt::format("the system gives no thread for loading models: {}", error.what()), ErrorKind::kIo};
    }
    return {};
}

void LoadingThread::add(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    changed_.notify_one();
}

void LoadingThread::stop() {
    {
        const std::lock_guard lock(mutex_);
        ends_ = true;
        changed_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
}

void LoadingThread::run() {
    for (;;) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return ends_ || !work_.empty(); });
        if (ends_) return;
        const std::function<void()> work = std::move(work_.front());
        work_.pop_front();
        lock.unlock();
        work();
    }
}

}  // namespace rafter::server
