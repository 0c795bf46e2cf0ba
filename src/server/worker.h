// Threads for what would keep the server's own thread too long: parsing bodies, templates, tokens. Large jobs have a thread of their own,
// so that small ones never wait for them.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "base/result.h"

namespace rafter::server {

enum class JobSize { kSmall, kLarge };

class Workers {
  public:
    // Fails where the system gives no threads.
    [[nodiscard]] static Result<std::unique_ptr<Workers>> start();
    // Jobs that have not begun are dropped.
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // In order for jobs of one size. A job must not throw. From any thread.
    void run(JobSize size, std::function<void()> job);

  private:
    class Lane {
      public:
        ~Lane();
        void start();
        void add(std::function<void()> job);

      private:
        void work();
        std::mutex mutex_;
        std::condition_variable changed_;
        std::deque<std::function<void()>> jobs_;
        bool ends_ = false;
        std::thread thread_;
    };
    Workers() = default;
    Lane small_, large_;
};

}  // namespace rafter::server
