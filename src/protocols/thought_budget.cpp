// A thought that ends by itself before has the mark of its end, and then nothing is forced.
#include "protocols/thought_budget.h"

#include <string_view>

namespace rafter::protocols {
namespace {

constexpr std::string_view kClosing = "\n\nThe time for thinking is used up, so I give my answer now.";

struct ThoughtMarks {
    std::string begin;
    std::string_view end;
    std::string answer;  // from the end on
};

ThoughtMarks marks_of(const AnswerFormat& format) {
    if (format.thought == ThoughtForm::kHarmony) {
        return {
            .begin = "<|channel|>analysis<|message|>", .end = "<|end|>", .answer = "<|end|><|start|>assistant<|channel|>final<|message|>"};
    }
    return {.begin = std::string(format.tags->begin) + "\n", .end = format.tags->end, .answer = std::string(format.tags->end) + "\n\n"};
}

}  // namespace

std::vector<engine::ForcedTokens> thought_budget(const AnswerRules& rules, std::uint32_t n_tokens, const text::Tokenizer& tokenizer) {
    std::vector<engine::ForcedTokens> forced;
    if (rules.format.thought == ThoughtForm::kNone || rules.thought == ThoughtStart::kNone) return forced;
    const ThoughtMarks marks = marks_of(rules.format);
    const auto encode = [&](const std::string& text) { return tokenizer.encode(text, text::SpecialTokens::kParse); };
    std::uint32_t n_begin = 0;
    if (rules.thought == ThoughtStart::kMayBegin) {
        forced.push_back({.after = 0, .tokens = encode(marks.begin)});
        n_begin = static_cast<std::uint32_t>(forced[0].tokens.size());
    }
    const std::string closing = n_tokens == 0 ? "" : std::string(kClosing) + "\n";
    const std::uint32_t after = n_tokens > UINT32_MAX - n_begin ? UINT32_MAX : n_begin + n_tokens;
    forced.push_back({.after = after,
                      .tokens = encode(closing + marks.answer),
                      .unless = tokenizer.find(marks.end),
                      .unless_text = std::string(marks.end)});
    return forced;
}

}  // namespace rafter::protocols
