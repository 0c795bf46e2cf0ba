// The C stream is used throughout: mixing it with file descriptors would reorder text.
#include "apps/output.h"

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "apps/cli.h"
#include "base/os_terminal.h"

namespace rafter::apps {

Error stdout_error() {
    const int code = errno;
    if (code == EPIPE) return {"standard output was closed", ErrorKind::kCancelled};
    return {fmt::format("standard output: cannot be written: {}", std::generic_category().message(code)), ErrorKind::kIo};
}

Result<void> write_stdout(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) return stdout_error();
    return {};
}

report::Terminal stderr_terminal(const Environment& environment) {
    const bool interactive = is_terminal(stderr);
    return {.stream = stderr,
            .interactive = interactive,
            .width = terminal_width(stderr),
            .style = {.color = interactive && !environment.no_color}};
}

report::Style stdout_style(const Environment& environment) { return {.color = is_terminal(stdout) && !environment.no_color}; }

}  // namespace rafter::apps
