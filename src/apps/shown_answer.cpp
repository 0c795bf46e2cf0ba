// A pipe's reader may want the marks: programs read --json.
#include "apps/shown_answer.h"

#include <fmt/format.h>

#include <utility>

#include "base/os_terminal.h"

namespace rafter::apps {

using protocols::AnswerEvent;

ShownAnswer::ShownAnswer(const Environment& environment, std::shared_ptr<const protocols::AnswerRules> rules)
    : style_(stdout_style(environment)) {
    if (is_terminal(stdout) && rules != nullptr && !rules->is_plain()) parser_.emplace(std::move(rules));
}

Result<void> ShownAnswer::write(std::string_view text) { return parser_ ? write(parser_->push(text)) : output_.write(text); }

Result<void> ShownAnswer::end() {
    if (parser_) RAFTER_TRY_VOID(write(parser_->finish()));
    return output_.end();
}

Result<void> ShownAnswer::write(const protocols::AnswerEvents& events) {
    for (const AnswerEvent& event : events) {
        const bool is_thought = event.kind == AnswerEvent::Kind::kReasoning;
        if (was_thought_ && !is_thought) {
            RAFTER_TRY_VOID(output_.write_dim("\n\n", style_));  // with the thought's last word, which waited for its line
            in_line_ = false;
        }
        was_thought_ = is_thought;
        std::string text = event.text;
        if (event.kind == AnswerEvent::Kind::kCallBegin) text = (in_line_ ? "\n" : "") + call_line(event.text, "");
        if (event.kind == AnswerEvent::Kind::kCallEnd) text = "\n";
        if (!text.empty()) in_line_ = !text.ends_with('\n');
        RAFTER_TRY_VOID(is_thought ? output_.write_dim(text, style_) : output_.write(text));
    }
    return {};
}

std::string call_line(std::string_view name, std::string_view arguments) { return fmt::format("{} {}", name, arguments); }

}  // namespace rafter::apps
