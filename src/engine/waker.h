// How other threads wake an engine's thread: when a request comes, when one is cancelled, when a mask is compiled. Shared, so that whoever
// holds it may call it when the engine is long gone.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

namespace rafter::engine {

class Waker {
  public:
    // From any thread; is remembered until the next sleep().
    void wake() {
        const std::lock_guard lock(mutex_);
        woken_ = true;
        changed_.notify_one();
    }
    // Returns when somebody has called wake() since the last sleep(), or after so many seconds. One thread.
    void sleep(std::optional<double> seconds) {
        constexpr double kLongest = 1e6;  // beyond it, nanoseconds of a clock overflow; its caller then sleeps again
        std::unique_lock lock(mutex_);
        const auto woken = [this] { return woken_; };
        if (seconds) {
            changed_.wait_for(lock, std::chrono::duration<double>(std::clamp(*seconds, 0.0, kLongest)), woken);
        } else {
            changed_.wait(lock, woken);
        }
        woken_ = false;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool woken_ = false;
};

}  // namespace rafter::engine
