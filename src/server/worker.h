// Threads for parsing bodies, templates, tokens. Large jobs have a thread of their own, so that small ones never wait for them.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "server/worker_thread.h"

namespace rafter::server {

enum class JobSize { kSmall, kLarge };

class Workers {
  public:
    // Fails where the system gives no threads.
    [[nodiscard]] static Result<std::unique_ptr<Workers>> start(const WorkerThread::Post& post);
    // Jobs that have not begun are dropped. On the server's thread.
    ~Workers() = default;
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // As WorkerThread::run(): in order for jobs of one size.
    void run(JobSize size, std::function<void()> job, std::function<void()> after) {
        (size == JobSize::kSmall ? small_ : large_).run(std::move(job), std::move(after));
    }

  private:
    Workers() = default;
    WorkerThread small_, large_;
};

}  // namespace rafter::server
