// A template writes earlier calls as the model was trained to write them, so its source has the family's marks.
#include "protocols/answers/answer_format.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "base/quote.h"

namespace rafter::protocols {
namespace {

constexpr std::array<ThoughtNotation, 3> kThoughts = {{
    {"think", "<think>", "</think>"},
    {"mistral", "[THINK]", "[/THINK]"},
    {"gemma", "<|channel>thought", "<channel|>"},
}};

bool has_text(std::string_view source, std::string_view text) { return source.find(text) != std::string_view::npos; }

struct FamilyMark {
    CallFamily family;
    std::string_view mark, and_mark;
};
// The first row that fits counts.
constexpr FamilyMark kFamilyMarks[] = {
    {CallFamily::kHarmony, "<|channel|>", "<|message|>"},
    {CallFamily::kQwenXml, "<tool_call>", "<function="},
    {CallFamily::kHermes, "<tool_call>", ""},
    {CallFamily::kMistralNamed, "[TOOL_CALLS]", "[ARGS]"},
    {CallFamily::kMistral, "[TOOL_CALLS]", ""},
    {CallFamily::kFunctionGemma, "<start_function_call>", ""},
    {CallFamily::kGemma, "<|tool_call>", ""},
    {CallFamily::kDeepSeekFenced, "<｜tool▁calls▁begin｜>", "```json"},
    {CallFamily::kDeepSeek, "<｜tool▁calls▁begin｜>", ""},
    {CallFamily::kLlama, "<|python_tag|>", ""},
    {CallFamily::kLlama, "<|start_header_id|>", "\"parameters\": "},
};

CallFamily detect_calls(std::string_view source) {
    const auto* found = std::ranges::find_if(
        kFamilyMarks, [&](const FamilyMark& row) { return has_text(source, row.mark) && has_text(source, row.and_mark); });
    return found == std::end(kFamilyMarks) ? CallFamily::kJson : found->family;
}

void detect_thought(std::string_view source, const text::Tokenizer& tokenizer, AnswerFormat& format) {
    if (has_text(source, "<|channel|>") && has_text(source, "<|message|>")) {
        format.thought = ThoughtForm::kHarmony;
        return;
    }
    for (const ThoughtNotation& notation : kThoughts) {
        const bool has_token = tokenizer.find(notation.begin) && tokenizer.find(notation.end);
        if (!has_text(source, notation.end) && !has_token) continue;
        format.thought = ThoughtForm::kTags;
        format.tags = &notation;
        return;
    }
}

}  // namespace

std::span<const ThoughtNotation> thought_notations() { return kThoughts; }

std::vector<std::string_view> AnswerFormat::marks() const {
    const auto of_calls = call_notation(calls).marks;
    std::vector<std::string_view> all(of_calls.begin(), of_calls.end());
    if (thought == ThoughtForm::kHarmony && calls != CallFamily::kHarmony) {
        const auto of_channels = call_notation(CallFamily::kHarmony).marks;
        all.insert(all.end(), of_channels.begin(), of_channels.end());
    }
    if (tags == nullptr) return all;
    all.insert(all.end(), {tags->begin, tags->end});
    // Gemma's thought begins with a token and a word.
    if (tags->begin == "<|channel>thought") all.emplace_back("<|channel>");
    return all;
}

std::vector<std::string> tool_parser_names() {
    std::vector<std::string> names = {"auto"};
    for (const CallNotation& notation : call_notations()) names.emplace_back(notation.name);
    return names;
}

std::vector<std::string> reasoning_parser_names() {
    std::vector<std::string> names = {"auto", "none", "harmony"};
    for (const ThoughtNotation& notation : kThoughts) names.emplace_back(notation.name);
    return names;
}

Result<AnswerFormat> answer_format(std::string_view template_source, const text::Tokenizer& tokenizer, const AnswerFormatNames& names) {
    AnswerFormat format;
    format.template_has_tools = has_text(template_source, "tools");
    if (names.tools == "auto") {
        format.calls = detect_calls(template_source);
    } else if (const auto family = find_call_family(names.tools)) {
        format.calls = *family;
    } else {
        return bad_input("tool parser: expected one of {}, found {}", fmt::join(tool_parser_names(), ", "), quote(names.tools));
    }
    if (names.reasoning == "auto") {
        detect_thought(template_source, tokenizer, format);
        return format;
    }
    if (names.reasoning == "none") return format;
    if (names.reasoning == "harmony") {
        format.thought = ThoughtForm::kHarmony;
        return format;
    }
    const auto* found = std::ranges::find(kThoughts, names.reasoning, &ThoughtNotation::name);
    if (found == kThoughts.end()) {
        return bad_input("reasoning parser: expected one of {}, found {}", fmt::join(reasoning_parser_names(), ", "),
                         quote(names.reasoning));
    }
    format.thought = ThoughtForm::kTags;
    format.tags = found;
    return format;
}

std::vector<text::TokenId> hidden_mark_tokens(const AnswerFormat& format, const text::Tokenizer& tokenizer) {
    std::vector<text::TokenId> tokens;
    const auto& ends = tokenizer.special().end_of_generation;
    for (const std::string_view mark : format.marks()) {
        const auto id = tokenizer.find(mark);
        if (!id || std::ranges::find(ends, *id) != ends.end()) continue;
        if (tokenizer.piece(*id, text::SpecialTokens::kAsText).empty()) tokens.push_back(*id);
    }
    return tokens;
}

}  // namespace rafter::protocols
