// One queue and one thread.
#include "server/worker_thread.h"

#include <chrono>
#include <exception>
#include <system_error>
#include <utility>

#include "base/os_cpu.h"

namespace rafter::server {

Result<void> WorkerThread::start(std::string name, Post post) {
    post_ = std::move(post);
    try {
        thread_ = std::thread([this, name = std::move(name)] {
            name_this_thread(name.c_str());
            work();
        });
    } catch (const std::system_error& failure) {
        return Error{fmt::format("the system gives no more threads: {}", failure.what()), ErrorKind::kIo};
    }
    return {};
}

void WorkerThread::run(std::function<void()> job, std::function<void()> after) {
    auto shared = std::make_shared<Job>(Job{.work = std::move(job), .after = std::move(after)});
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(shared));
    changed_.notify_one();
}

void WorkerThread::stop() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        ends_ = true;
        changed_.notify_one();
    }
    thread_.join();
}

void WorkerThread::work() {
    for (;;) {
        std::shared_ptr<Job> job;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return ends_ || !jobs_.empty(); });
            if (ends_) return;
            job = std::move(jobs_.front());
            jobs_.pop_front();
        }
        try {
            job->work();
        } catch (const std::exception&) {  // `after` finds no result
        }
        hand_back(job);
    }
}

// Posting needs memory: without it, again in a moment.
void WorkerThread::hand_back(const std::shared_ptr<Job>& job) noexcept {
    constexpr auto kMoment = std::chrono::milliseconds(10);
    for (;;) {
        try {
            post_([job] { std::exchange(job->after, {})(); });
            return;
        } catch (const std::exception&) {
            std::this_thread::sleep_for(kMoment);
        }
    }
}

}  // namespace rafter::server
