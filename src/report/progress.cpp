// The bar takes what the label, the percentage and the note leave of the line; where they leave nothing, they are cut. So no line wraps.
#include "report/progress.h"

#include <algorithm>

#include "base/clock.h"
#include "base/os_terminal.h"

namespace rafter::report {
namespace {

constexpr std::int64_t kDrawEveryNs = 50'000'000;
constexpr std::size_t kWidestBar = 40;

// As many whole characters as fit.
std::string first_columns(std::string_view text, std::size_t columns) {
    std::size_t end = 0;
    for (std::size_t width = 0; end < text.size(); ++end) {
        const bool begins_character = (static_cast<unsigned char>(text[end]) & 0xC0U) != 0x80U;
        if (begins_character && ++width > columns) break;
    }
    return std::string(text.substr(0, end));
}

}  // namespace

// The window may have become narrower since.
std::size_t Progress::terminal_columns() const {
    return is_terminal(terminal_.stream) ? std::min(terminal_.width, terminal_width(terminal_.stream)) : terminal_.width;
}

Progress::Progress(const Terminal& terminal, std::string label) : terminal_(terminal), label_(std::move(label)) {}

void Progress::update(double fraction, std::string_view note) {
    if (!terminal_.interactive) return;
    const std::int64_t now_ns = monotonic_ns();
    if (now_ns < next_draw_ns_) return;
    next_draw_ns_ = now_ns + kDrawEveryNs;

    fraction = std::clamp(fraction, 0.0, 1.0);
    // A line that wraps could not be erased, so its end goes first: the note, then the bar, then the label's end.
    const std::size_t columns = terminal_columns();
    const std::size_t most = columns > 1 ? columns - 1 : 1;
    const std::string percent = fmt::format(" {:3.0f}%", fraction * 100);
    const std::string noted = note.empty() ? percent : fmt::format("{}  {}", percent, note);
    const bool has_room = display_width(label_) + 1 + display_width(noted) <= most;
    const std::string tail = first_columns(has_room ? noted : percent, most);
    const std::string label = first_columns(label_, most - display_width(tail));
    const std::size_t taken = display_width(label) + 1 + display_width(tail);
    const std::size_t width = std::min(most > taken ? most - taken : 0, kWidestBar);
    const auto full = static_cast<std::size_t>(fraction * static_cast<double>(width));
    std::string done, rest;
    for (std::size_t i = 0; i < full; ++i) done += "━";
    for (std::size_t i = full; i < width; ++i) rest += "─";
    const std::string bar = width > 0 ? fmt::format(" {}{}", terminal_.style.accent(done), terminal_.style.dim(rest)) : "";
    fmt::print(terminal_.stream, "\r\x1b[2K{}{}{}", label, bar, tail);
    std::fflush(terminal_.stream);
    drawn_ = true;
}

void Progress::clear() {
    if (!drawn_) return;
    fmt::print(terminal_.stream, "\r\x1b[2K");
    std::fflush(terminal_.stream);
    drawn_ = false;
}

}  // namespace rafter::report
