// The C stream is used throughout: mixing it with file descriptors would reorder text.
#include "apps/output.h"

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "apps/cli.h"
#include "base/os_terminal.h"
#include "report/table.h"

namespace rafter::apps {

std::string json_text(const nlohmann::ordered_json& json, int indent) {
    return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Error stdout_error() {
    const int code = errno;
    if (code == EPIPE) return {"standard output was closed", ErrorKind::kCancelled};
    return {fmt::format("standard output: cannot be written: {}", std::generic_category().message(code)), ErrorKind::kIo};
}

Result<void> write_stdout(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) return stdout_error();
    return {};
}

AnswerOutput::AnswerOutput() {
    if (is_terminal(stdout)) wrap_.emplace(terminal_width(stdout));
}

std::string AnswerOutput::arranged(std::string_view text) {
    if (!text.empty()) line_end_ = text.ends_with('\n') ? "" : "\n";
    if (!wrap_) return std::string(text);
    wrap_->set_columns(terminal_width(stdout));
    return wrap_->push(text);
}

Result<void> AnswerOutput::write(std::string_view text) {
    if (text.empty()) return {};
    return write_stdout(arranged(text));
}

Result<void> AnswerOutput::write_dim(std::string_view text, const report::Style& style) {
    const std::string shown = arranged(text);
    if (shown.empty()) return {};
    return write_stdout(style.dim(shown));
}

Result<void> AnswerOutput::end() {
    const std::string rest = wrap_ ? wrap_->finish() : std::string();
    const std::string_view line_end = std::exchange(line_end_, "");
    return write_stdout(fmt::format("{}{}", rest, line_end));
}

void print_note(const report::Terminal& terminal, std::string_view text) {
    const std::string lines = terminal.interactive ? report::wrapped(text, terminal_width(terminal.stream), "") : std::string(text);
    fmt::print(terminal.stream, "{}\n", terminal.style.dim(lines));
}

report::Terminal stderr_terminal(const Environment& environment) {
    const bool interactive = is_terminal(stderr);
    return {.stream = stderr,
            .interactive = interactive && !environment.dumb_terminal,
            .width = terminal_width(stderr),
            .style = {.color = interactive && !environment.no_color}};
}

report::Style stdout_style(const Environment& environment) { return {.color = is_terminal(stdout) && !environment.no_color}; }

}  // namespace rafter::apps
