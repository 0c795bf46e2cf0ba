// Standard output, watched: text goes out whole and at once, and what cannot be written is an error.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "report/progress.h"
#include "report/word_wrap.h"

namespace rafter::apps {

// Writes and flushes. When nobody reads the other end any more the error's kind is kCancelled: a reason to stop, not to complain.
[[nodiscard]] Result<void> write_stdout(std::string_view text);
// An answer's way to standard output. At a terminal lines break between words and control characters are shown instead of obeyed; in a pipe
// the text stays as the model wrote it. Either way a line end follows, unless the text has one.
class AnswerOutput {
  public:
    AnswerOutput();
    [[nodiscard]] Result<void> write(std::string_view text);
    // The same in the style of a side remark: the model's thoughts.
    [[nodiscard]] Result<void> write_dim(std::string_view text, const report::Style& style);
    // The answer is over. Nothing is written after no text at all.
    [[nodiscard]] Result<void> end();

  private:
    [[nodiscard]] std::string arranged(std::string_view text);

    std::optional<report::WordWrap> wrap_;  // at a terminal
    std::string_view line_end_ = "";        // that the text so far lacks
};

// One JSON document without its line end. Bytes that are not UTF-8, as names of files may have, become U+FFFD.
[[nodiscard]] std::string json_text(const nlohmann::ordered_json& json, int indent = -1);

// What the last failed write to standard output (stdout or std::cout) was: errno is read.
[[nodiscard]] Error stdout_error();

struct Environment;
// Standard error as a place for progress bars and summaries.
[[nodiscard]] report::Terminal stderr_terminal(const Environment& environment);
// A note for the user, on lines of its own, broken at words where standard error is a terminal.
void print_note(const report::Terminal& terminal, std::string_view text);
// How tables on standard output look.
[[nodiscard]] report::Style stdout_style(const Environment& environment);

}  // namespace rafter::apps
