// Threads for what would keep the server's own thread too long: parsing bodies, templates, tokens. Large jobs have a thread of their own,
// so that small ones never wait for them.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "base/result.h"

namespace rafter::server {

enum class JobSize { kSmall, kLarge };

class Workers {
  public:
    // Fails where the system gives no threads.
    // post: runs work on the server's thread.
    [[nodiscard]] static Result<std::unique_ptr<Workers>> start(std::function<void(std::function<void()>)> post);
    // Jobs that have not begun are dropped. On the server's thread.
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // job on a worker, in order for jobs of one size, and then `after` on the server's thread, where it is also freed. From the server's
    // thread. `after` is called even where the job throws; what must end on the server's thread is for `after` to hold, not for the job.
    void run(JobSize size, std::function<void()> job, std::function<void()> after);

  private:
    struct Job {
        std::function<void()> work;
        std::function<void()> after;
    };
    using Post = std::function<void(std::function<void()>)>;

    class Lane {
      public:
        ~Lane();
        void start(const Post& post);
        void add(std::shared_ptr<Job> job);

      private:
        void work();
        void hand_back(const std::shared_ptr<Job>& job) noexcept;

        const Post* post_ = nullptr;
        std::mutex mutex_;
        std::condition_variable changed_;
        std::deque<std::shared_ptr<Job>> jobs_;
        bool ends_ = false;
        std::thread thread_;
    };
    explicit Workers(Post post) : post_(std::move(post)) {}
    const Post post_;
    Lane small_, large_;
};

}  // namespace rafter::server
