// A signal handler can reach nothing but globals, so this file has the program's only mutable ones.
#include "base/os_terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "base/check.h"

namespace rafter {
namespace {

std::atomic<int> interrupts{0};       // since the last take()
std::atomic<bool> is_watched{false};  // by an InterruptFlag
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may not wait for a lock");

// What a HeldInput changed: written before its handlers are set, and after they are gone.
struct Terminal {
    termios before{};
    bool marks_paste = false;
};
Terminal terminal;
std::atomic<bool> is_held{false};

constexpr std::string_view kMarkPaste = "\x1b[?2004h";
constexpr std::string_view kDoNotMarkPaste = "\x1b[?2004l";
constexpr std::array kEndingSignals{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// Both functions are async-signal-safe.
void write_to_terminal(std::string_view text) {
    const int saved = errno;
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    errno = saved;
}

void give_terminal_back() {
    if (!is_held) return;
    if (terminal.marks_paste) write_to_terminal(kDoNotMarkPaste);
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
}

void end_by(int signal_number) {
    give_terminal_back();
    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    sigaction(signal_number, &by_default, nullptr);
    raise(signal_number);
}

void on_interrupt(int signal_number) {
    if (interrupts.fetch_add(1) > 0) end_by(signal_number);
}

void handle(int signal_number, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    sigaction(signal_number, &action, nullptr);  // without SA_RESTART: a read that waits for input ends
}

// Whoever started the program may have told it to ignore the signal (nohup).
bool is_ignored(int signal_number) {
    struct sigaction action {};
    return sigaction(signal_number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

unsigned terminal_width(std::FILE* stream) {
    winsize size{};
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

Result<std::string> read_standard_input(const std::function<void()>& waiting) {
    constexpr int kPatienceMs = 1000;
    std::string text;
    std::string part(std::size_t{1} << 16U, '\0');
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (poll(&input, 1, kPatienceMs) == 0) waiting();
    ssize_t n = 0;
    while ((n = ::read(STDIN_FILENO, part.data(), part.size())) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0) text.append(part, 0, static_cast<std::size_t>(n));
    }
    if (n < 0 && errno != EBADF) {
        return Error{fmt::format("standard input: cannot be read: {}", std::generic_category().message(errno)), ErrorKind::kIo};
    }
    return text;
}

HeldInput::HeldInput(Options options) {
    if (!is_terminal(stdin) || tcgetattr(STDIN_FILENO, &terminal.before) != 0) return;
    RAFTER_CHECK(!is_held.exchange(true), "two HeldInputs at once");
    terminal.marks_paste = options.marks_paste && is_terminal(stderr);
    for (const int signal_number : kEndingSignals) {
        if (!is_ignored(signal_number)) handle(signal_number, end_by);
    }
    termios held = terminal.before;
    held.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
    held.c_iflag &= ~static_cast<tcflag_t>(ICRNL);  // CR LF stays one line end
    held.c_cc[VMIN] = 1;
    held.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &held);
    if (terminal.marks_paste) write_to_terminal(kMarkPaste);
}

HeldInput::~HeldInput() {
    if (!is_held) return;
    give_terminal_back();
    is_held = false;
    for (const int signal_number : kEndingSignals) {
        if (!is_ignored(signal_number)) handle(signal_number, SIG_DFL);
    }
}

InterruptFlag::InterruptFlag() {
    RAFTER_CHECK(!is_watched.exchange(true), "two InterruptFlags at once");
    interrupts = 0;
    handle(SIGINT, on_interrupt);
}

InterruptFlag::~InterruptFlag() {
    handle(SIGINT, is_held ? end_by : SIG_DFL);
    is_watched = false;
}

bool InterruptFlag::is_set() const { return interrupts.load() > 0; }
bool InterruptFlag::take() { return interrupts.exchange(0) > 0; }

}  // namespace rafter
