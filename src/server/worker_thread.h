// A thread for what would keep the server's own thread too long. Its jobs are done in order; what follows each is done on the server's
// thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"

namespace rafter::server {

class WorkerThread {
  public:
    // Runs work on the server's thread.
    using Post = std::function<void(std::function<void()>)>;

    WorkerThread() = default;
    ~WorkerThread() { stop(); }
    WorkerThread(const WorkerThread&) = delete;
    WorkerThread& operator=(const WorkerThread&) = delete;

    // Once. Fails where the system gives no thread. name: for a person who looks at the process, up to 15 characters.
    [[nodiscard]] Result<void> start(std::string name, Post post);
    // job on this thread and then `after` on the server's, where it is also freed. From the server's thread. `after` is called even where
    // the job throws; what must end on the server's thread is for `after` to hold, not for the job.
    void run(std::function<void()> job, std::function<void()> after);
    // Jobs that have not begun are dropped; one that has begun is waited for. On the server's thread.
    void stop();

  private:
    struct Job {
        std::function<void()> work;
        std::function<void()> after;
    };
    void work();
    void hand_back(const std::shared_ptr<Job>& job) noexcept;

    Post post_;
    std::mutex mutex_;  // for what follows
    std::condition_variable changed_;
    std::deque<std::shared_ptr<Job>> jobs_;
    bool ends_ = false;
    std::thread thread_;
};

}  // namespace rafter::server
