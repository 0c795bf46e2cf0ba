// A fixed team of threads that runs one function at a time on all of them: the engine's compute threads. Between the ops of a step the team
// meets at a barrier that spins briefly and then sleeps, so an idle team burns nothing and a busy one loses about a microsecond an op.
#pragma once

#include <functional>
#include <memory>

namespace rafter {

class ThreadPool {
  public:
    struct Options {
        unsigned n_threads = 0;  // 0: as many as the cpuset and the cgroup quota allow (base/os_cpu.h)
        bool pin = true;         // each thread but the caller to one CPU of the cpuset, when there are just as many threads as CPUs
    };
    explicit ThreadPool(const Options& options);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    // The caller included. Fewer than asked for where the system gives no more.
    [[nodiscard]] unsigned n_threads() const;

    // Runs work(thread) on every thread, the caller being thread 0, and returns when all are done. Not reentrant; one caller at a time.
    void run(const std::function<void(unsigned thread)>& work);
    // Within run(): returns when all threads have called it. Everything written before is seen after.
    void barrier();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace rafter
