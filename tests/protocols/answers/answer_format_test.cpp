// The form of a model's answers from its chat template: a few words of each family's own template are enough.
#include "protocols/answers/answer_format.h"

#include <gtest/gtest.h>

#include <map>

namespace rafter::protocols {
namespace {

// A vocabulary of marks: control tokens have no text unless it is asked for.
class MarkTokenizer : public text::Tokenizer {
  public:
    explicit MarkTokenizer(std::vector<std::pair<std::string, bool>> marks = {}) : marks_(std::move(marks)) {}
    [[nodiscard]] std::vector<text::TokenId> encode(std::string_view /*text*/, text::SpecialTokens /*special*/) const override {
        return {};
    }
    [[nodiscard]] std::string_view piece(text::TokenId id, text::SpecialTokens special) const override {
        const auto& [text, is_control] = marks_.at(static_cast<std::size_t>(id));
        return is_control && special == text::SpecialTokens::kAsText ? std::string_view() : text;
    }
    [[nodiscard]] std::string decode(std::span<const text::TokenId> /*ids*/, text::SpecialTokens /*special*/) const override { return {}; }
    [[nodiscard]] std::size_t n_tokens() const override { return marks_.size(); }
    [[nodiscard]] const text::SpecialIds& special() const override { return special_; }
    [[nodiscard]] std::optional<text::TokenId> find(std::string_view token_text) const override {
        for (std::size_t i = 0; i < marks_.size(); ++i) {
            if (marks_[i].first == token_text) return static_cast<text::TokenId>(i);
        }
        return std::nullopt;
    }
    [[nodiscard]] std::string description() const override { return "marks"; }
    text::SpecialIds special_;

  private:
    std::vector<std::pair<std::string, bool>> marks_;
};

struct Expected {
    std::string_view source;
    std::string_view calls;
    std::string_view thought;  // of thought_notations(), "harmony" or ""
};
constexpr Expected kExpected[] = {
    {"{{ '<|im_start|>' }}{% if tools %}<tool_call>\\n{\"name\": <function-name>}</tool_call>{% endif %}", "hermes", ""},
    {"{% if tools %}<tool_call>{% endif %}{{ content.split('</think>')[-1] }}", "hermes", "think"},
    {"{% if tools %}<tool_call>\\n<function=example>\\n<parameter=a>{% endif %}", "qwen3-coder", ""},
    {"{{ '<|start_header_id|>' }}{% if tools %}{{ '<|python_tag|>' + name + '.call(' }}{% endif %}", "llama", ""},
    {"<|start_header_id|>{% for t in tools %}{{ '\"parameters\": ' }}{% endfor %}", "llama", ""},
    {"{{ '[TOOL_CALLS][' }}{% for tool in tools %}{% endfor %}", "mistral", ""},
    {"{{ '[TOOL_CALLS]' + name + '[ARGS]' }}{{ '[THINK]' + t + '[/THINK]' }}{% if tools %}{% endif %}", "mistral-named", "mistral"},
    {"<start_function_declaration>{{ '<start_function_call>call:' }}", "functiongemma", ""},
    {"{{ '<|tool_call>call:' }}{{ '<|channel>thought\\n' + t + '<channel|>' }}", "gemma", "gemma"},
    {"{{ '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' + type + '<｜tool▁sep｜>' + name + '\\n```json\\n' }}", "deepseek-fenced", ""},
    {"{{ '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' + name }}{{ '</think>' }}", "deepseek", "think"},
    {"{{ '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking }}", "harmony", "harmony"},
    {"<start_of_turn>{{ role }}", "json", ""},
    {"", "json", ""},
};

TEST(AnswerFormat, IsToldByTheTemplate) {
    const MarkTokenizer tokenizer;
    for (const Expected& expected : kExpected) {
        const auto format = answer_format(expected.source, tokenizer);
        ASSERT_TRUE(format);
        EXPECT_EQ(call_notation(format->calls).name, expected.calls) << expected.source;
        const std::string_view thought = format->thought == ThoughtForm::kHarmony ? "harmony"
                                         : format->tags != nullptr                ? format->tags->name
                                                                                  : "";
        EXPECT_EQ(thought, expected.thought) << expected.source;
        EXPECT_EQ(format->template_has_tools, expected.source.find("tools") != std::string_view::npos);
    }
}

TEST(AnswerFormat, ThoughtsAreToldByTheVocabularyToo) {
    const MarkTokenizer tokenizer({{"<think>", false}, {"</think>", false}});
    EXPECT_EQ(answer_format("", tokenizer)->thought, ThoughtForm::kTags);
    EXPECT_EQ(answer_format("", tokenizer, {.reasoning = "none"})->thought, ThoughtForm::kNone);
}

TEST(AnswerFormat, EveryNameIsOneAndOthersAreRefused) {
    const MarkTokenizer tokenizer;
    for (const std::string& name : tool_parser_names()) EXPECT_TRUE(answer_format("", tokenizer, {.tools = name})) << name;
    for (const std::string& name : reasoning_parser_names()) EXPECT_TRUE(answer_format("", tokenizer, {.reasoning = name})) << name;
    EXPECT_FALSE(answer_format("", tokenizer, {.tools = "Hermes"}));
    EXPECT_FALSE(answer_format("", tokenizer, {.reasoning = ""}));
    // Rows stand in the order of the families, which are found by it.
    for (const CallNotation& notation : call_notations()) EXPECT_EQ(&call_notation(notation.family), &notation);
}

TEST(AnswerFormat, OnlyHiddenMarksMustBeShown) {
    MarkTokenizer tokenizer({{"[TOOL_CALLS]", true}, {"[ARGS]", false}, {"[CALL_ID]", true}, {"[INST]", true}});
    const auto format = answer_format("", tokenizer, {.tools = "mistral"});
    EXPECT_EQ(hidden_mark_tokens(*format, tokenizer), (std::vector<text::TokenId>{0, 2}));
    tokenizer.special_.end_of_generation = {2};
    EXPECT_EQ(hidden_mark_tokens(*format, tokenizer), (std::vector<text::TokenId>{0}));
}

}  // namespace
}  // namespace rafter::protocols
