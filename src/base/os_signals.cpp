// SIGUSR1 ends the thread: nothing else in the program uses it.
#include "base/os_signals.h"

#include <pthread.h>
#include <csignal>

#include <atomic>
#include <thread>
#include <utility>

#include "base/os_cpu.h"

namespace rafter {

class SignalThread::State {
  public:
    explicit State(std::function<void(Signal)> received) : received_(std::move(received)) {
        sigemptyset(&signals_);
        for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals_, number);
        pthread_sigmask(SIG_BLOCK, &signals_, &before_);
        thread_ = std::thread([this] { wait(); });
    }
    ~State() {
        ends_ = true;
        pthread_kill(thread_.native_handle(), SIGUSR1);
        thread_.join();
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

  private:
    void wait() {
        name_this_thread("rafter-signals");
        for (;;) {
            int number = 0;
            if (sigwait(&signals_, &number) != 0) continue;
            if (ends_) return;
            if (number == SIGHUP) received_(Signal::kHangUp);
            if (number == SIGTERM || number == SIGINT) received_(Signal::kTerminate);
        }
    }

    const std::function<void(Signal)> received_;
    sigset_t signals_{}, before_{};
    std::atomic<bool> ends_ = false;
    std::thread thread_;
};

SignalThread::SignalThread(std::function<void(Signal)> received) : state_(std::make_unique<State>(std::move(received))) {}
SignalThread::~SignalThread() = default;

}  // namespace rafter
