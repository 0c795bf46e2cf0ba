// What a model's answers look like: how it writes calls of functions and how it sets its thoughts apart, told by its chat template.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocols/answers/call_shapes.h"
#include "text/tokenizer.h"

namespace rafter::protocols {

struct ThoughtNotation {
    std::string_view name;   // "think": as --reasoning-parser says it
    std::string_view begin;  // "<think>"; what stands before a thought and behind it
    std::string_view end;
};
// Those with a beginning and an end. Harmony's channels are CallFamily::kHarmony's.
[[nodiscard]] std::span<const ThoughtNotation> thought_notations();

enum class ThoughtForm {
    kNone,     // thoughts are text of the answer
    kTags,     // between two marks
    kHarmony,  // the analysis channel
};

struct AnswerFormat {
    CallFamily calls = CallFamily::kJson;
    ThoughtForm thought = ThoughtForm::kNone;
    const ThoughtNotation* tags = nullptr;  // of kTags
    bool template_has_tools = false;        // the chat template writes definitions of functions

    // Texts that the vocabulary may have as control tokens.
    [[nodiscard]] std::vector<std::string_view> marks() const;
};

// What the client or the command line says in place of the template: names of parsers.
struct AnswerFormatNames {
    std::string tools = "auto";
    std::string reasoning = "auto";
};
// "auto" and the names of each.
[[nodiscard]] std::vector<std::string> tool_parser_names();
[[nodiscard]] std::vector<std::string> reasoning_parser_names();

// template_source: of the chat template. Fails on names that are none. Time is linear in the source.
[[nodiscard]] Result<AnswerFormat> answer_format(std::string_view template_source, const text::Tokenizer& tokenizer,
                                                 const AnswerFormatNames& names = {});

// Of the format's marks those that the vocabulary has as tokens whose text is otherwise hidden: engine::Request::shown_tokens.
[[nodiscard]] std::vector<text::TokenId> hidden_mark_tokens(const AnswerFormat& format, const text::Tokenizer& tokenizer);

}  // namespace rafter::protocols
