// The bar takes what the label, the percentage and the note leave of the line, so that it never wraps.
#include "report/progress.h"

#include <algorithm>

#include "base/clock.h"

namespace rafter::report {
namespace {

constexpr std::int64_t kDrawEveryNs = 50'000'000;
constexpr std::size_t kWidestBar = 40;

}  // namespace

Progress::Progress(const Terminal& terminal, std::string label) : terminal_(terminal), label_(std::move(label)) {}

void Progress::update(double fraction, std::string_view note) {
    if (!terminal_.interactive) return;
    const std::int64_t now_ns = monotonic_ns();
    if (now_ns < next_draw_ns_) return;
    next_draw_ns_ = now_ns + kDrawEveryNs;

    fraction = std::clamp(fraction, 0.0, 1.0);
    const std::string tail = fmt::format(" {:3.0f}%{}{}", fraction * 100, note.empty() ? "" : "  ", note);
    const std::size_t taken = display_width(label_) + 1 + display_width(tail);
    const std::size_t room = terminal_.width > taken + 1 ? terminal_.width - taken - 1 : 0;
    const std::size_t width = std::min(room, kWidestBar);
    const auto full = static_cast<std::size_t>(fraction * static_cast<double>(width));
    std::string done, rest;
    for (std::size_t i = 0; i < full; ++i) done += "━";
    for (std::size_t i = full; i < width; ++i) rest += "─";
    fmt::print(terminal_.stream, "\r\x1b[2K{} {}{}{}", label_, terminal_.style.accent(done), terminal_.style.dim(rest), tail);
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
