// https://xgrammar.mlc.ai/docs/structural_tag/structural_tag.html
#include "protocols/tool_grammar.h"

#include <initializer_list>

#include "protocols/openai_error.h"

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;

class TagBuilder {
  public:
    TagBuilder(const AnswerRules& rules, const text::Tokenizer& tokenizer) : rules_(rules), tokenizer_(tokenizer) {}

    static ordered_json text(std::string value) { return {{"type", "const_string"}, {"value", std::move(value)}}; }
    static ordered_json sequence(ordered_json elements) { return {{"type", "sequence"}, {"elements", std::move(elements)}}; }
    static ordered_json line_ends() { return {{"type", "regex"}, {"pattern", "\\n{0,2}"}}; }
    static ordered_json schema(const FunctionTool& tool, const char* style = "json") {
        return {{"type", "json_schema"}, {"json_schema", tool.parameters}, {"style", style}};
    }
    // With this mark in place of quotes.
    [[nodiscard]] ordered_json marked_schema(const FunctionTool& tool, std::string_view around_texts) const {
        ordered_json made = schema(tool, "marked");
        made["mark"] = around_texts;
        if (const ordered_json written = mark(around_texts); written["type"] == "token") made["mark_token"] = written["token"];
        return made;
    }
    // A control token is no text to a grammar.
    [[nodiscard]] ordered_json mark(std::string_view value) const {
        const auto id = tokenizer_.find(value);
        if (id && tokenizer_.piece(*id, text::SpecialTokens::kAsText).empty()) return {{"type", "token"}, {"token", *id}};
        return text(std::string(value));
    }
    // Any text up to this mark, and the mark.
    [[nodiscard]] ordered_json through(std::string_view end) const {
        ordered_json until{{"type", "any_text"}};
        if (mark(end)["type"] != "token") until["excludes"] = ordered_json::array({std::string(end)});
        return sequence({std::move(until), mark(end)});
    }
    [[nodiscard]] ordered_json call(const FunctionTool& tool) const;
    [[nodiscard]] ordered_json calls(const ToolRequest& tools) const;
    [[nodiscard]] ordered_json thought() const;

  private:
    [[nodiscard]] static ordered_json json_call(const FunctionTool& tool, const char* arguments) {
        return sequence({text("{\"name\": \"" + tool.name + "\", \"" + arguments + "\": "), schema(tool), text("}")});
    }

    const AnswerRules& rules_;
    const text::Tokenizer& tokenizer_;
};

ordered_json TagBuilder::call(const FunctionTool& tool) const {
    switch (rules_.format.calls) {
        case CallFamily::kHermes:
            return sequence({mark("<tool_call>"), text("\n"), json_call(tool, "arguments"), text("\n"), mark("</tool_call>")});
        case CallFamily::kQwenXml:
            return sequence({mark("<tool_call>"), text("\n<function=" + tool.name + ">\n"), schema(tool, "qwen_xml"),
                             text("\n</function>\n"), mark("</tool_call>")});
        case CallFamily::kLlama:
            return json_call(tool, "parameters");
        case CallFamily::kMistralNamed:
            return sequence({mark("[TOOL_CALLS]"), text(tool.name), mark("[ARGS]"), schema(tool)});
        case CallFamily::kGemma:
            return sequence({mark("<|tool_call>"), text("call:" + tool.name), marked_schema(tool, "<|\"|>"), mark("<tool_call|>")});
        case CallFamily::kFunctionGemma:
            return sequence(
                {mark("<start_function_call>"), text("call:" + tool.name), marked_schema(tool, "<escape>"), mark("<end_function_call>")});
        case CallFamily::kDeepSeek:
            return sequence(
                {mark("<｜tool▁call▁begin｜>"), text(tool.name), mark("<｜tool▁sep｜>"), schema(tool), mark("<｜tool▁call▁end｜>")});
        case CallFamily::kDeepSeekFenced:
            return sequence({mark("<｜tool▁call▁begin｜>"), text("function"), mark("<｜tool▁sep｜>"), text(tool.name + "\n```json\n"),
                             schema(tool), text("\n```"), mark("<｜tool▁call▁end｜>")});
        case CallFamily::kHarmony:
            return sequence({mark("<|channel|>"), text("commentary to=functions." + tool.name + " "), mark("<|constrain|>"), text("json"),
                             mark("<|message|>"), schema(tool)});
        default:
            return json_call(tool, "arguments");
    }
}

// One after another. Harmony ends an answer with its first call.
ordered_json TagBuilder::calls(const ToolRequest& tools) const {
    ordered_json any{{"type", "or"}, {"elements", ordered_json::array()}};
    for (const FunctionTool& tool : tools.callable()) any["elements"].push_back(call(tool));
    if (any["elements"].size() == 1) any = ordered_json(any["elements"][0]);
    const CallFamily family = rules_.format.calls;
    const bool one = !tools.parallel || tools.choice == ToolChoice::kNamed || family == CallFamily::kHarmony;
    const bool is_gemma = family == CallFamily::kGemma || family == CallFamily::kFunctionGemma;
    const char* between = family == CallFamily::kLlama                      ? "; "
                          : family == CallFamily::kMistral                  ? ", "
                          : family == CallFamily::kMistralNamed || is_gemma ? ""
                                                                            : "\n";
    ordered_json all = ordered_json::array();
    if (family == CallFamily::kMistral) {
        all.push_back(mark("[TOOL_CALLS]"));
        all.push_back(text("["));
    }
    const bool deep_seek = family == CallFamily::kDeepSeek || family == CallFamily::kDeepSeekFenced;
    if (deep_seek) all.push_back(mark("<｜tool▁calls▁begin｜>"));
    all.push_back(any);
    if (!one) {
        ordered_json next = *between == '\0' ? any : sequence({text(between), any});
        all.push_back({{"type", "star"}, {"content", std::move(next)}});
    }
    if (family == CallFamily::kMistral) all.push_back(text("]"));
    if (deep_seek) all.push_back(mark("<｜tool▁calls▁end｜>"));
    return sequence(std::move(all));
}

// Null: none.
ordered_json TagBuilder::thought() const {
    if (rules_.format.thought == ThoughtForm::kNone || rules_.thought == ThoughtStart::kNone) return nullptr;
    if (rules_.format.thought == ThoughtForm::kHarmony) {
        return {{"type", "optional"},
                {"content", sequence({mark("<|channel|>"), text("analysis"), mark("<|message|>"), through("<|end|>"), mark("<|start|>"),
                                      text("assistant")})}};
    }
    const ThoughtNotation& tags = *rules_.format.tags;
    const ordered_json rest = sequence({through(tags.end), line_ends()});
    if (rules_.thought == ThoughtStart::kOpen) return rest;
    return {{"type", "optional"}, {"content", sequence({mark(tags.begin), rest})}};
}

}  // namespace

ordered_json after_thought(const AnswerRules& rules, ordered_json content, const text::Tokenizer& tokenizer) {
    ordered_json thought = TagBuilder(rules, tokenizer).thought();
    if (thought.is_null()) return content;
    return TagBuilder::sequence({std::move(thought), std::move(content)});
}

ordered_json constrained_answer(const AnswerRules& rules, const ToolRequest& tools, ordered_json content,
                                const text::Tokenizer& tokenizer) {
    const TagBuilder builder(rules, tokenizer);
    if (rules.format.thought == ThoughtForm::kHarmony) {
        content =
            TagBuilder::sequence({builder.mark("<|channel|>"), TagBuilder::text("final"), builder.mark("<|message|>"), std::move(content)});
    }
    const CallFamily family = rules.format.calls;
    if (!tools.callable().empty() && family != CallFamily::kNone) {
        content = {{"type", "or"}, {"elements", ordered_json::array({std::move(content), builder.calls(tools)})}};
    }
    return {{"type", "structural_tag"}, {"format", after_thought(rules, std::move(content), tokenizer)}};
}

Result<grammar::Grammar> tool_choice_grammar(const AnswerRules& rules, const ToolRequest& tools, const text::Tokenizer& tokenizer,
                                             const std::string& where) {
    const CallFamily family = rules.format.calls;
    if (family == CallFamily::kNone) {
        return bad_input("{}: {}: no grammar says how this model writes calls (\"{}\"); expected \"auto\" or \"none\"", where,
                         kNotSupportedWords, call_notation(family).name);
    }
    ordered_json format = after_thought(rules, TagBuilder(rules, tokenizer).calls(tools), tokenizer);
    const ordered_json tag{{"type", "structural_tag"}, {"format", std::move(format)}};
    return grammar::Grammar{.kind = grammar::GrammarKind::kStructuralTag,
                            .text = tag.dump(-1, ' ', false, ordered_json::error_handler_t::replace)};
}

}  // namespace rafter::protocols
