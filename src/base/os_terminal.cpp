// A signal handler can reach nothing but a global, so this file has the program's only mutable one.
#include "base/os_terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>

#include "base/check.h"

namespace rafter {
namespace {

std::atomic<int> interrupts{0};       // since the last take()
std::atomic<bool> is_watched{false};  // by an InterruptFlag
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may not wait for a lock");

void on_interrupt(int signal_number) {
    if (interrupts.fetch_add(1) == 0) return;
    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    sigaction(signal_number, &by_default, nullptr);
    raise(signal_number);
}

void handle_interrupts(void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    sigaction(SIGINT, &action, nullptr);  // without SA_RESTART: a read that waits for input ends
}

}  // namespace

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

unsigned terminal_width(std::FILE* stream) {
    winsize size{};
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

InterruptFlag::InterruptFlag() {
    RAFTER_CHECK(!is_watched.exchange(true), "two InterruptFlags at once");
    interrupts = 0;
    handle_interrupts(on_interrupt);
}

InterruptFlag::~InterruptFlag() {
    handle_interrupts(SIG_DFL);
    is_watched = false;
}

bool InterruptFlag::is_set() const { return interrupts.load() > 0; }
bool InterruptFlag::take() { return interrupts.exchange(0) > 0; }

}  // namespace rafter
