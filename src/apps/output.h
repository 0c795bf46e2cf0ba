// Standard output, watched: text goes out whole and at once, and what cannot be written is an error.
#pragma once

#include <string_view>

#include "base/result.h"
#include "report/progress.h"

namespace rafter::apps {

// Writes and flushes. When nobody reads the other end any more the error's kind is kCancelled: a reason to stop, not to complain.
[[nodiscard]] Result<void> write_stdout(std::string_view text);
// What the last failed write to standard output (stdout or std::cout) was: errno is read.
[[nodiscard]] Error stdout_error();

struct Environment;
// Standard error as a place for progress bars and summaries.
[[nodiscard]] report::Terminal stderr_terminal(const Environment& environment);
// How tables on standard output look.
[[nodiscard]] report::Style stdout_style(const Environment& environment);

}  // namespace rafter::apps
