// One thread for what takes seconds: reading models, and giving their memory back.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "base/result.h"

namespace rafter::server {

class LoadingThread {
  public:
    LoadingThread() = default;
    // Work that has not begun is dropped; what has begun is waited for.
    ~LoadingThread() { stop(); }
    LoadingThread(const LoadingThread&) = delete;
    LoadingThread& operator=(const LoadingThread&) = delete;

    // Fails where the system gives no thread.
    [[nodiscard]] Result<void> start();
    // Work is done in order. From any thread; it must not throw.
    void add(std::function<void()> work);
    void stop();

  private:
    void run();

    std::mutex mutex_;  // for what follows
    std::condition_variable changed_;
    std::deque<std::function<void()>> work_;
    bool ends_ = false;
    std::thread thread_;
};

}  // namespace rafter::server
