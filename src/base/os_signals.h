// Signals as calls: a thread of its own waits for them, so that what they mean is ordinary code.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>

namespace rafter {

enum class Signal {
    kTerminate,  // SIGTERM, or SIGINT (Ctrl-C)
    kHangUp,     // SIGHUP
};

// While this lives, these signals end nothing and interrupt no call; `received` is called on a thread of this, one at a time. To be made
// before other threads, which inherit that they do not receive them.
class SignalThread {
  public:
    explicit SignalThread(std::function<void(Signal)> received);
    ~SignalThread();
    SignalThread(const SignalThread&) = delete;
    SignalThread& operator=(const SignalThread&) = delete;

  private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace rafter
