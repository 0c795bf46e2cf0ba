// Tools from the request to the prompt, and calls from the answer's text to the client.
#include "protocols/openai_tools.h"

#include <gtest/gtest.h>

#include "grammar/grammar_compiler.h"
#include "protocols/openai_answer.h"
#include "protocols/openai_prompts.h"
#include "protocols/openai_request.h"
#include "protocols/openai_stream.h"
#include "protocols/responses_answer.h"
#include "protocols/tool_grammar.h"
#include "tests/protocols/tiny_opened_model.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Writes all that it is given.
constexpr const char* kShowing =
    "{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}{% for m in messages %}{{ m | tojson }}\n{% endfor %}"
    "{% if enable_thinking is defined %}{{ enable_thinking }}{% endif %}"
    "{# <tool_call> #}{% if add_generation_prompt %}>{% endif %}";
constexpr const char* kThinking =
    "{% for m in messages %}{{ m.content }}{% endfor %}{# <tool_call> </think> tools #}{% if open %}<think>\n{% endif %}"
    "{% if closed %}<think>\n\n</think>\n\n{% endif %}";

class OpenAiTools : public testing::Test {
  protected:
    void use_template(const char* source) { opened_.chat_template = text::ChatTemplate::parse(source, "test").value(); }
    Result<OpenAiRequest> parse(const std::string& body) {
        defaults_.body = {.text = body};
        body_ = body;
        defaults_.body.text = body_;
        return parse_openai_request(OpenAiEndpoint::kChatCompletions, json::parse(body), opened_, defaults_);
    }
    Result<OpenAiRequest> parse_with(const json& more) {
        json body = json::parse(R"({"messages": [{"role": "user", "content": "hi"}], "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}},
            {"type": "function", "function": {"name": "g"}}]})");
        body.update(more);
        return parse(body.dump());
    }
    [[nodiscard]] std::string prompt_of(const Result<OpenAiRequest>& request) const {
        EXPECT_TRUE(request) << request.error().message;
        return opened_.tokenizer->decode(request->choices.at(0).prompt, text::SpecialTokens::kParse);
    }
    static void expect_refused(const Result<OpenAiRequest>& request, std::string_view words) {
        ASSERT_FALSE(request) << words;
        EXPECT_EQ(request.error().message.find(words), 0U) << request.error().message << "\nexpected: " << words;
    }
    // The message that the text of an answer becomes.
    [[nodiscard]] json answered(const OpenAiRequest& request, const std::string& text,
                                engine::FinishReason reason = engine::FinishReason::kStop) const {
        const OpenAiChoice choice{.tokens = {}, .prompt_scores = {}, .text = text, .finish = {.reason = reason}};
        return openai_answer(request, {&choice, 1}, {.id = "7", .created_unix_s = 1, .model = "m"}, *opened_.tokenizer)["choices"][0];
    }

    engine::OpenedModel opened_ = tests::tiny_opened_model();
    OpenAiDefaults defaults_;
    std::string body_;
};

TEST_F(OpenAiTools, ReachTheTemplateInTheClientsOrder) {
    use_template(kShowing);
    const auto request = parse(
        R"({"tools": [{"function": {"strict": true, "parameters": {"type": "object", "properties": {"z": {}, "a": {}}, "additionalProperties": false}, "name": "f", "description": "d"}, "type": "function"}],
            "messages": [{"role": "user", "content": "hi"}], "enable_thinking": false})");
    EXPECT_EQ(
        prompt_of(request),
        R"({"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"z": {}, "a": {}}, "additionalProperties": false}}})"
        "\n"
        R"({"role": "user", "content": "hi"})"
        "\nFalse>");
}

TEST_F(OpenAiTools, CallsAndResultsOfTheConversationReachTheTemplate) {
    use_template(kShowing);
    const auto request = parse(R"({"messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"z\": 1, \"a\": 2}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "42"}]}]})");
    EXPECT_EQ(
        prompt_of(request),
        R"({"role": "user", "content": "hi"})"
        "\n"
        R"({"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"z": 1, "a": 2}}}]})"
        "\n"
        R"({"role": "tool", "content": "42", "tool_call_id": "c1", "name": "f"})"
        "\n>");
    // A template that joins texts gets text.
    use_template(
        "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ 'args ' + c.function.arguments }}{% endfor %}{% endfor %}{# tools #}");
    EXPECT_EQ(prompt_of(parse(body_)), R"(args {"z":1,"a":2})");
}

TEST_F(OpenAiTools, ATemplateWithoutToolsGetsThemInWords) {
    use_template("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}");
    const std::string prompt =
        prompt_of(parse(R"({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"}, {"role": "tool", "tool_call_id": "c2", "content": "43"}],
        "tools": [{"type": "function", "function": {"name": "f"}}]})"));
    EXPECT_EQ(prompt.find("system: Be brief.\n\nYou can call functions."), 0U) << prompt;
    EXPECT_NE(prompt.find("\n{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}\n"), std::string::npos) << prompt;
    EXPECT_NE(prompt.find("user: hi\nassistant: {\"name\":\"f\",\"arguments\":{}}\nuser: Result of f: 42\nResult: 43\n"), std::string::npos)
        << prompt;
    const auto request = parse_with(json::object());
    EXPECT_EQ(request->rules->format.calls, CallFamily::kJson);
}

TEST_F(OpenAiTools, WhatIsWrongIsSaidWithItsPlace) {
    const auto tools = [](const json& list) { return json{{"tools", list}}; };
    expect_refused(parse_with(tools("x")), "body: tools: expected a list, found \"x\"");
    expect_refused(parse_with(tools({{{"type", "web"}}})),
                   "body: tools[0]: type: expected \"function\": this is not supported; found \"web\"");
    expect_refused(parse_with(tools({{{"type", "function"}}})), "body: tools[0]: function: expected an object, found no such key");
    const auto function = [&](const json& f) { return tools({{{"type", "function"}, {"function", f}}}); };
    expect_refused(parse_with(function({{"name", "a b"}})), "body: tools[0]: function: name: expected 1 to 64 letters, digits, ");
    expect_refused(parse_with(function({{"name", std::string(65, 'a')}})), "body: tools[0]: function: name: expected 1 to 64 letters, ");
    expect_refused(parse_with(function({{"description", "x"}})), "body: tools[0]: function: name: expected 1 to 64 ");
    expect_refused(parse_with(function({{"name", "a"}, {"parameters", json::array()}})),
                   "body: tools[0]: function: parameters: expected an object");
    expect_refused(parse_with(function({{"name", "a"}, {"parameters", {{"type", "string"}}}})),
                   "body: tools[0]: function: parameters: type: expected \"object\"");
    const json twice = {{"type", "function"}, {"function", {{"name", "a"}}}};
    expect_refused(parse_with(tools({twice, twice})), "body: tools: expected each name once, found \"a\" twice");
    expect_refused(parse_with({{"tool_choice", "maybe"}}),
                   "body: tool_choice: expected \"auto\", \"none\", \"required\" or a function, found \"maybe\"");
    expect_refused(parse_with({{"tool_choice", {{"type", "function"}, {"function", {{"name", "h"}}}}}}),
                   "body: tool_choice: expected the name of one of the tools, found \"h\"");
    json wide = json::object();
    for (int i = 0; i < 1001; ++i) wide[fmt::format("k{}", i)] = 1;
    expect_refused(parse_with(function({{"name", "a"}, {"parameters", wide}})),
                   "body: tools: expected objects of at most 1000 keys, found 1001");
    const auto message = [](const json& m) { return json{{"messages", {{{"role", "user"}, {"content", "hi"}}, m}}}; };
    expect_refused(parse_with(message({{"role", "tool"}, {"content", "x"}})),
                   "body: messages[1]: tool_call_id: expected the id of a call, found no such key");
    expect_refused(parse_with(message({{"role", "user"}, {"content", "x"}, {"tool_calls", {1}}})),
                   "body: messages[1]: tool_calls: expected no such key");
    expect_refused(parse_with(message({{"role", "assistant"}, {"content", nullptr}})), "body: messages[1]: content: expected a text");
    expect_refused(
        parse_with(message({{"role", "assistant"}, {"tool_calls", {{{"id", "1"}, {"function", {{"name", "f"}, {"arguments", "[1]"}}}}}}})),
        "body: messages[1]: tool_calls[0]: function: arguments: expected a JSON object as text, found \"[1]\"");
    expect_refused(parse_with(message({{"role", "assistant"}, {"tool_calls", {{{"function", {{"name", "f"}}}}}}})),
                   "body: messages[1]: tool_calls[0]: id: expected a text, found no such key");
}

TEST_F(OpenAiTools, CallsOfAnAnswerAreCallsForTheClient) {
    use_template(kShowing);
    const auto request = parse_with(json::object());
    ASSERT_TRUE(request) << request.error().message;
    const std::string text = "Wait.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";
    const json choice = answered(*request, text);
    EXPECT_EQ(choice["finish_reason"], "tool_calls");
    EXPECT_EQ(choice["message"]["content"], "Wait.");
    const json call = choice["message"]["tool_calls"][0];
    EXPECT_EQ(call, (json{{"id", call["id"]}, {"type", "function"}, {"function", {{"name", "f"}, {"arguments", "{\"a\": 1}"}}}}));
    EXPECT_EQ(call["id"].get<std::string>().size(), 9U);
    EXPECT_EQ(answered(*request, text.substr(6))["message"]["content"], nullptr);
    EXPECT_EQ(answered(*request, text, engine::FinishReason::kLength)["finish_reason"], "length");

    OpenAiStream stream(*request, {.id = "7", .created_unix_s = 1, .model = "m"}, *opened_.tokenizer);
    json joined = {{"content", ""}, {"tool_calls", json::array()}};
    std::string reason;
    const auto join = [&](const std::vector<std::string>& events) {
        for (const std::string& event : events) {
            if (event == "[DONE]") continue;
            const json one = json::parse(event)["choices"][0];
            if (one["finish_reason"].is_string()) reason = one["finish_reason"];
            joined["content"] = joined["content"].get<std::string>() + one["delta"].value("content", "");
            for (const json& part : one["delta"].value("tool_calls", json::array())) {
                if (part.contains("id")) {
                    joined["tool_calls"].push_back({{"id", part["id"]}, {"type", part["type"]}, {"function", part["function"]}});
                } else {
                    json& arguments = joined["tool_calls"][part["index"].get<std::size_t>()]["function"]["arguments"];
                    arguments = arguments.get<std::string>() + part["function"]["arguments"].get<std::string>();
                }
            }
        }
    };
    for (const char byte : text) join(stream.update(0, {.tokens = {}, .text = std::string(1, byte)}));
    join(stream.update(0, {.finish = engine::Finish{.reason = engine::FinishReason::kStop}}));
    join(stream.end());
    EXPECT_EQ(joined, (json{{"content", "Wait."}, {"tool_calls", choice["message"]["tool_calls"]}}));
    EXPECT_EQ(reason, "tool_calls");
}

TEST_F(OpenAiTools, ToolChoiceNoneMakesCallsText) {
    use_template(kShowing);
    const auto request = parse_with({{"tool_choice", "none"}});
    EXPECT_EQ(prompt_of(request).find("\"function\""), std::string::npos);
    EXPECT_EQ(request->rules, nullptr);
    EXPECT_EQ(answered(*request, "<tool_call>{\"name\": \"g\"}")["message"]["content"], "<tool_call>{\"name\": \"g\"}");
}

TEST_F(OpenAiTools, ThoughtsAreSetApart) {
    use_template(kThinking);
    const auto request = parse(R"({"messages": [{"role": "user", "content": "hi"}]})");
    const json message = answered(*request, "<think>\nWell.\n</think>\n\nYes.")["message"];
    EXPECT_EQ(message["reasoning_content"], "Well.");
    EXPECT_EQ(message["content"], "Yes.");
    const auto open = parse(R"({"messages": [{"role": "user", "content": "hi"}], "chat_template_kwargs": {"open": true}})");
    EXPECT_EQ(open->rules->thought, ThoughtStart::kOpen);
    EXPECT_EQ(answered(*open, "Well.</think>Yes.")["message"]["reasoning_content"], "Well.");
    const auto closed = parse(R"({"messages": [{"role": "user", "content": "hi"}], "chat_template_kwargs": {"closed": true}})");
    EXPECT_EQ(closed->rules->thought, ThoughtStart::kNone);
    defaults_.format.reasoning = "none";
    EXPECT_EQ(parse(body_)->rules, nullptr);
    defaults_.format.reasoning = "wat";
    expect_refused(parse(body_), "reasoning parser: expected one of auto, none, ");
}

TEST_F(OpenAiTools, ReasoningTokensAreThoseThatBeginInAThought) {
    use_template(kThinking);
    const auto request = parse(R"({"messages": [{"role": "user", "content": "hi"}]})");
    OpenAiChoice choice{.tokens = {}, .prompt_scores = {}, .text = "<think>a</think>bc", .finish = {}};
    for (const text::TokenId id : opened_.tokenizer->encode(choice.text, text::SpecialTokens::kParse)) choice.tokens.push_back({.id = id});
    const std::size_t n_answer = opened_.tokenizer->encode("bc", text::SpecialTokens::kParse).size();
    const auto answer = openai_answer(*request, {&choice, 1}, {.id = "7", .created_unix_s = 1, .model = "m"}, *opened_.tokenizer);
    EXPECT_EQ(answer["usage"]["completion_tokens_details"]["reasoning_tokens"], choice.tokens.size() - n_answer);
}

TEST_F(OpenAiTools, AnAnswerThatMustCallHasAGrammar) {
    use_template(kThinking);
    const auto grammar_of = [&](const json& more) -> Result<grammar::Grammar> {
        json body = {
            {"tools", {{{"type", "function"}, {"function", {{"name", "f"}}}}, {{"type", "function"}, {"function", {{"name", "g"}}}}}}};
        body.update(more);
        RAFTER_TRY(const JsonReader reader, JsonReader::open(body, "body"));
        RAFTER_TRY(const ToolRequest tools, read_tools(reader, {}, {}));
        RAFTER_TRY(const AnswerRules rules, answer_rules(opened_, defaults_.format, tools, {}));
        return tool_choice_grammar(rules, tools, *opened_.tokenizer, "body: tool_choice");
    };
    const json named = {{"tool_choice", {{"type", "function"}, {"function", {{"name", "g"}}}}}};
    const auto required = grammar_of({{"tool_choice", "required"}});
    ASSERT_TRUE(required) << required.error().message;
    EXPECT_EQ(required->kind, grammar::GrammarKind::kStructuralTag);
    EXPECT_NE(required->text.find("\\\"f\\\""), std::string::npos);
    EXPECT_NE(required->text.find("\\\"g\\\""), std::string::npos);
    EXPECT_NE(required->text.find("</think>"), std::string::npos);
    EXPECT_EQ(grammar_of(named)->text.find("\\\"f\\\""), std::string::npos);
    EXPECT_EQ(grammar_of(named)->text.find("\"star\""), std::string::npos);
    EXPECT_EQ(grammar_of({{"tool_choice", "required"}, {"parallel_tool_calls", false}})->text.find("\"star\""), std::string::npos);
    defaults_.format.tools = "functiongemma";
    EXPECT_NE(grammar_of(named)->text.find("<escape>"), std::string::npos);
    defaults_.format.tools = "none";
    const auto refused = grammar_of({{"tool_choice", "required"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message.find("body: tool_choice: this is not supported: no grammar says "), 0U) << refused.error().message;
}

TEST_F(OpenAiTools, AStreamBringsTheArgumentsOfAForcedCallAsTheyCome) {
    use_template(kShowing);
    grammar::GrammarCompiler compiler(*opened_.tokenizer);
    defaults_.grammars = &compiler;
    const auto request = parse_with({{"tool_choice", "required"}, {"stream", true}});
    ASSERT_TRUE(request) << request.error().message;
    const std::string text = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 12}}\n</tool_call>";
    for (const std::size_t n : {text.size(), text.find("2}")}) {
        OpenAiStream stream(*request, {.id = "7", .created_unix_s = 1, .model = "m"}, *opened_.tokenizer);
        std::vector<json> deltas;
        std::string reason, arguments;
        const auto note = [&](const std::vector<std::string>& events) {
            for (const std::string& event : events) {
                if (event == "[DONE]") continue;
                const json choice = json::parse(event)["choices"][0];
                if (choice["finish_reason"].is_string()) reason = choice["finish_reason"];
                EXPECT_EQ(choice["delta"].value("content", ""), "");
                for (const json& call : choice["delta"].value("tool_calls", json::array())) deltas.push_back(call);
            }
        };
        for (const char byte : text.substr(0, n)) note(stream.update(0, {.text = std::string(1, byte)}));
        const bool is_cut = n < text.size();
        note(stream.update(0, {.finish = engine::Finish{.reason = is_cut ? engine::FinishReason::kLength : engine::FinishReason::kStop}}));
        note(stream.end());
        const std::string expected = is_cut ? "{\"a\": 1" : "{\"a\": 12}";
        ASSERT_EQ(deltas.size(), 1 + expected.size());
        EXPECT_EQ(deltas[0]["function"], (json{{"name", "f"}, {"arguments", ""}}));
        EXPECT_EQ(deltas[0]["id"].get<std::string>().size(), 9U);
        for (std::size_t i = 1; i < deltas.size(); ++i) {
            EXPECT_EQ(deltas[i]["function"].size(), 1U);
            arguments += deltas[i]["function"]["arguments"].get<std::string>();
        }
        EXPECT_EQ(arguments, expected);
        EXPECT_EQ(reason, is_cut ? "length" : "tool_calls");
        const json whole = answered(*request, text.substr(0, n), is_cut ? engine::FinishReason::kLength : engine::FinishReason::kStop);
        EXPECT_EQ(whole["message"].contains("tool_calls"), !is_cut) << "what is sent whole is a call or text";
    }
}

TEST_F(OpenAiTools, ABudgetIsMetByAModelThatDoesNotThink) {
    use_template(kShowing);
    EXPECT_TRUE(parse_with({{"thinking_token_budget", 5}})->choices[0].forced.empty());
    use_template(kThinking);
    // The tiny vocabulary has no such token: the mark is a text of several.
    ASSERT_FALSE(opened_.tokenizer->find("</think>"));
    const auto forced = parse_with({{"thinking_token_budget", 5}})->choices[0].forced;
    ASSERT_EQ(forced.size(), 2U);
    const auto text = [&](std::size_t i) { return opened_.tokenizer->decode(forced[i].tokens, text::SpecialTokens::kParse); };
    EXPECT_EQ(text(0), "<think>\n");
    EXPECT_EQ(forced[1].after, forced[0].tokens.size() + 5);
    EXPECT_EQ(text(1), "\n\nThe time for thinking is used up, so I give my answer now.\n</think>\n\n");
    EXPECT_FALSE(forced[1].unless);
    EXPECT_EQ(forced[1].unless_text, "</think>");
    EXPECT_TRUE(parse_with({{"thinking_token_budget", 5}, {"chat_template_kwargs", {{"closed", true}}}})->choices[0].forced.empty());
}

TEST_F(OpenAiTools, ResponsesHaveItemsOfTheirOwn) {
    use_template(kThinking);
    const json body = {{"input",
                        {{{"role", "user"}, {"content", "hi"}},
                         {{"type", "reasoning"}, {"content", {{{"type", "reasoning_text"}, {"text", "hm"}}}}},
                         {{"type", "function_call"}, {"call_id", "c"}, {"name", "f"}, {"arguments", "{}"}},
                         {{"type", "function_call_output"}, {"call_id", "c"}, {"output", "42"}}}},
                       {"tools", {{{"type", "function"}, {"name", "f"}}}}};
    const auto request = parse_responses_request(body, opened_, {});
    ASSERT_TRUE(request) << request.error().message;
    ResponsesAnswer answer(*request, {.id = "7", .created_unix_s = 1, .model = "m"}, *opened_.tokenizer);
    std::vector<std::string> types;
    std::string arguments;
    const auto note = [&](const std::vector<NamedEvent>& events) {
        for (const NamedEvent& event : events) {
            if (event.event.empty()) continue;
            types.push_back(event.event);
            if (event.event == "response.function_call_arguments.delta") arguments += json::parse(event.data)["delta"].get<std::string>();
        }
    };
    note(answer.update({.text = "<think>a</think>b"}));
    note(answer.update({.text = "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call>"}));
    note(answer.update({.finish = engine::Finish{.reason = engine::FinishReason::kStop}}));
    note(answer.end());
    const std::vector<std::string> expected = {"response.output_item.added",
                                               "response.content_part.added",
                                               "response.reasoning_text.delta",
                                               "response.reasoning_text.done",
                                               "response.content_part.done",
                                               "response.output_item.done",
                                               "response.output_item.added",
                                               "response.content_part.added",
                                               "response.output_text.delta",
                                               "response.output_text.done",
                                               "response.content_part.done",
                                               "response.output_item.done",
                                               "response.output_item.added",
                                               "response.function_call_arguments.delta",
                                               "response.function_call_arguments.done",
                                               "response.output_item.done",
                                               "response.completed"};
    EXPECT_EQ(types, expected);
    EXPECT_EQ(arguments, "{\"x\": 1}");
    const json whole = answer.answer();
    ASSERT_EQ(whole["output"].size(), 3U);
    EXPECT_EQ(whole["output"][0]["content"][0]["text"], "a");
    EXPECT_EQ(whole["output"][1]["content"][0]["text"], "b");
    EXPECT_EQ(whole["output"][2]["name"], "f");
    EXPECT_EQ(whole["output"][2]["arguments"], "{\"x\": 1}");
}

}  // namespace
}  // namespace rafter::protocols
