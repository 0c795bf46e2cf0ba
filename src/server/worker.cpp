// Two threads, each with its own queue.
#include "server/worker.h"

#include <chrono>
#include <exception>
#include <system_error>
#include <utility>

#include "base/os_cpu.h"

namespace rafter::server {

Result<std::unique_ptr<Workers>> Workers::start(std::function<void(std::function<void()>)> post) {
    std::unique_ptr<Workers> workers(new Workers(std::move(post)));
    try {
        workers->small_.start(workers->post_);
        workers->large_.start(workers->post_);
    } catch (const std::system_error& failure) {
        return Error{fmt::format("no thread to parse requests: {}", failure.what()), ErrorKind::kIo};
    }
    return workers;
}

Workers::~Workers() = default;

void Workers::run(JobSize size, std::function<void()> job, std::function<void()> after) {
    auto shared = std::make_shared<Job>(Job{.work = std::move(job), .after = std::move(after)});
    (size == JobSize::kSmall ? small_ : large_).add(std::move(shared));
}

void Workers::Lane::start(const Post& post) {
    post_ = &post;
    thread_ = std::thread([this] { work(); });
}

Workers::Lane::~Lane() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        ends_ = true;
        changed_.notify_one();
    }
    thread_.join();
}

void Workers::Lane::add(std::shared_ptr<Job> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    changed_.notify_one();
}

void Workers::Lane::work() {
    name_this_thread("rafter-parse");
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
void Workers::Lane::hand_back(const std::shared_ptr<Job>& job) noexcept {
    constexpr auto kMoment = std::chrono::milliseconds(10);
    for (;;) {
        try {
            (*post_)([job] { std::exchange(job->after, {})(); });
            return;
        } catch (const std::exception&) {
            std::this_thread::sleep_for(kMoment);
        }
    }
}

}  // namespace rafter::server
