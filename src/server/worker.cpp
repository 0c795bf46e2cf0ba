// Two threads, each with its own queue.
#include "server/worker.h"

#include <system_error>
#include <utility>

#include "base/os_cpu.h"

namespace rafter::server {

Result<std::unique_ptr<Workers>> Workers::start() {
    std::unique_ptr<Workers> workers(new Workers());
    try {
        workers->small_.start();
        workers->large_.start();
    } catch (const std::system_error& failure) {
        return Error{fmt::format("no thread to parse requests: {}", failure.what()), ErrorKind::kIo};
    }
    return workers;
}

Workers::~Workers() = default;

void Workers::run(JobSize size, std::function<void()> job) { (size == JobSize::kSmall ? small_ : large_).add(std::move(job)); }

void Workers::Lane::start() {
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

void Workers::Lane::add(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    changed_.notify_one();
}

void Workers::Lane::work() {
    name_this_thread("rafter-parse");
    for (;;) {
        std::function<void()> job;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return ends_ || !jobs_.empty(); });
            if (ends_) return;
            job = std::move(jobs_.front());
            jobs_.pop_front();
        }
        job();
    }
}

}  // namespace rafter::server
