// An answer's way to standard output, its thoughts apart from the rest where a person reads it.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "apps/cli.h"
#include "apps/output.h"
#include "protocols/answers/answer_parser.h"
#include "report/style.h"

namespace rafter::apps {

// At a terminal thoughts are dimmed and without their marks, and calls of functions stand on lines of their own. In a pipe the text is as
// the model wrote it.
class ShownAnswer {
  public:
    // rules: null where the text is the answer.
    ShownAnswer(const Environment& environment, std::shared_ptr<const protocols::AnswerRules> rules);
    [[nodiscard]] Result<void> write(std::string_view text);
    [[nodiscard]] Result<void> end();

  private:
    [[nodiscard]] Result<void> write(const protocols::AnswerEvents& events);

    report::Style style_;
    AnswerOutput output_;
    std::optional<protocols::AnswerParser> parser_;
    bool was_thought_ = false;
    bool in_line_ = false;  // of text
};

// "get_weather {\"city\": \"Paris\"}"
[[nodiscard]] std::string call_line(std::string_view name, std::string_view arguments);

}  // namespace rafter::apps
