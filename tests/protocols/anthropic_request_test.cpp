// /v1/messages: what becomes of blocks, tools, thinking and formats, what is refused by name, and how tokens are counted.
#include "protocols/anthropic_request.h"

#include <gtest/gtest.h>

#include "protocols/function_tools.h"
#include "protocols/openai_error.h"
#include "tests/protocols/tiny_opened_model.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;

// Writes all that it is given.
constexpr const char* kWritingAll =
    "{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}{% for m in messages %}{{ m | tojson }}\n{% endfor %}{# <tool_call> #}"
    "{{ enable_thinking }} {{ reasoning_effort }}{% if add_generation_prompt %}>{% endif %}";
constexpr const char* kWithThoughts =
    "{% for m in messages %}{{ m.content }}{% endfor %}{# <tool_call> </think> tools #}{% if enable_thinking %}<think>\n{% endif %}";

class AnthropicRequests : public testing::Test {
  protected:
    void use_template(const char* source) { opened_.chat_template = text::ChatTemplate::parse(source, "test").value(); }
    // The text keeps the order of keys.
    Result<AnthropicRequest> parse_text(std::string body) {
        body_ = std::move(body);
        defaults_.body.text = body_;
        return parse_anthropic_request(json::parse(body_), opened_, defaults_);
    }
    Result<AnthropicRequest> parse(const json& more) {
        json body = {{"max_tokens", 10}, {"messages", {{{"role", "user"}, {"content", "hello"}}}}};
        body.update(more);
        return parse_text(body.dump());
    }
    void expect_refused(const json& more, const std::string& words, const std::string& param) {
        const auto request = parse(more);
        ASSERT_FALSE(request) << words;
        EXPECT_EQ(request.error().kind, ErrorKind::kBadInput);
        EXPECT_EQ(request.error().message.find(words), 0U) << request.error().message << "\nexpected: " << words;
        EXPECT_EQ(openai_error_param(request.error().message), param);
    }
    void expect_block_refused(const std::string& role, const json& block, const std::string& words) {
        expect_refused({{"messages", {{{"role", role}, {"content", {block}}}, {{"role", "user"}, {"content", "x"}}}}},
                       "body: messages[0]: content[0]: " + words, "messages[0].content[0]");
    }
    [[nodiscard]] std::string prompt_of(const Result<AnthropicRequest>& request) const {
        EXPECT_TRUE(request) << request.error().message;
        return request ? opened_.tokenizer->decode(request->sequence.prompt, text::SpecialTokens::kParse) : "";
    }

    engine::OpenedModel opened_ = tests::tiny_opened_model();
    OpenAiDefaults defaults_{.max_tokens = std::nullopt, .seed = 9, .context = 2000};
    std::string body_;
};

TEST_F(AnthropicRequests, SystemAndMessagesAreTextsOrBlocks) {
    const std::string user = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n";
    EXPECT_EQ(prompt_of(parse(json::object())), user);
    EXPECT_EQ(prompt_of(parse({{"system", ""}})), user);
    const json cached = {{"type", "ephemeral"}};
    EXPECT_EQ(prompt_of(parse({{"system",
                                {{{"type", "text"}, {"text", "be brief"}, {"cache_control", cached}},
                                 {{"type", "text"}, {"text", "and kind"}, {"citations", nullptr}}}},
                               {"messages",
                                {{{"role", "user"}, {"content", {{{"type", "text"}, {"text", "a"}, {"cache_control", cached}}}}},
                                 {{"role", "user"}, {"content", "b"}},
                                 {{"role", "assistant"}, {"content", "c"}},
                                 {{"role", "assistant"}, {"content", {{{"type", "text"}, {"text", "d"}}}}},
                                 {{"role", "user"}, {"content", "e"}}}}})),
              "<|im_start|>system\nbe brief\nand kind<|im_end|>\n<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\nc\nd<|im_end|>\n"
              "<|im_start|>user\ne<|im_end|>\n<|im_start|>assistant\n");
}

TEST_F(AnthropicRequests, CallsResultsAndThoughtsReachTheTemplateInTheClientsOrder) {
    use_template(kWritingAll);
    const auto request = parse_text(R"({"max_tokens": 5, "messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "I look."}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"z": {"y": 1, "b": 2}, "a": 2}},
            {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": [{"type": "text", "text": "no"}, {"type": "text", "text": "way"}]},
            {"type": "tool_result", "tool_use_id": "toolu_3"}, {"type": "text", "text": "go on"}]}]})");
    EXPECT_EQ(
        prompt_of(request),
        R"({"role": "user", "content": "hi"})"
        "\n"
        R"({"role": "assistant", "content": "I look.", "reasoning_content": "hm", "tool_calls": [{"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": {"z": {"y": 1, "b": 2}, "a": 2}}}, {"id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": {}}}]})"
        "\n"
        R"({"role": "tool", "content": "42", "tool_call_id": "toolu_1", "name": "f"})"
        "\n"
        R"({"role": "tool", "content": "Error: no\nway", "tool_call_id": "toolu_2", "name": "g"})"
        "\n"
        R"({"role": "tool", "content": "", "tool_call_id": "toolu_3"})"
        "\n"
        R"({"role": "user", "content": "go on"})"
        "\nFalse >");
}

TEST_F(AnthropicRequests, ToolsAndChoicesAreThoseOfChats) {
    use_template(kWritingAll);
    const std::string tools =
        R"("tools": [{"input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}, "cache_control": {"type": "ephemeral"}, "name": "f", "description": "d"},
            {"type": "custom", "name": "g", "input_schema": {"type": "object"}}])";
    const std::string written =
        R"({"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}})"
        "\n"
        R"({"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}})"
        "\n"
        R"({"role": "user", "content": "hi"})"
        "\nFalse >";
    grammar::GrammarCompiler compiler(*opened_.tokenizer);
    defaults_.grammars = &compiler;
    const auto with = [&](const std::string& choice) {
        return parse_text(R"({"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], )" + tools + choice + "}");
    };
    auto request = with("");
    EXPECT_EQ(prompt_of(request), written);
    EXPECT_EQ(request->rules->functions.size(), 2U);
    EXPECT_EQ(request->rules->max_calls, UINT32_MAX);
    EXPECT_FALSE(request->grammar);
    request = with(R"(, "tool_choice": {"type": "auto", "disable_parallel_tool_use": true})");
    EXPECT_EQ(request->rules->max_calls, 1U);
    EXPECT_FALSE(request->grammar);
    request = with(R"(, "tool_choice": {"type": "any"})");
    EXPECT_EQ(prompt_of(request), written);
    ASSERT_TRUE(request->grammar);
    EXPECT_NE(request->sequence.mask, nullptr);
    request = with(R"(, "tool_choice": {"type": "tool", "name": "g"})");
    EXPECT_EQ(request->rules->functions.size(), 1U);
    EXPECT_TRUE(request->rules->functions.contains("g"));
    EXPECT_TRUE(request->grammar);
    request = with(R"(, "tool_choice": {"type": "none"})");
    EXPECT_EQ(prompt_of(request), "{\"role\": \"user\", \"content\": \"hi\"}\nFalse >");
    EXPECT_FALSE(request->grammar);
}

TEST_F(AnthropicRequests, NamesOfToolsMayBeTwiceAsLongAsOpenAis) {
    static_assert(kMaxAnthropicName == 128 && kMaxFunctionName == 64);
    const auto asking_for = [&](std::size_t length) {
        const std::string name(length, 'n');
        const json call = {{"type", "tool_use"}, {"id", "a"}, {"name", name}, {"input", json::object()}};
        const json tool = {{"name", name}, {"input_schema", {{"type", "object"}}}};
        return json{{"tools", {tool}},
                    {"tool_choice", {{"type", "tool"}, {"name", name}}},
                    {"messages", {{{"role", "assistant"}, {"content", {call}}}, {{"role", "user"}, {"content", "x"}}}}};
    };
    grammar::GrammarCompiler compiler(*opened_.tokenizer);
    defaults_.grammars = &compiler;
    for (const std::size_t length : {1, 64, 65, 128}) {
        const auto request = parse(asking_for(length));
        ASSERT_TRUE(request) << request.error().message;
        EXPECT_TRUE(request->rules->functions.contains(std::string(length, 'n'))) << length;
    }
    const json too_long = asking_for(129);
    expect_refused({{"tools", too_long["tools"]}}, "body: tools[0]: name: expected 1 to 128 letters", "tools[0].name");
    expect_refused({{"messages", too_long["messages"]}}, "body: messages[0]: content[0]: name: expected 1 to 128 letters",
                   "messages[0].content[0]");
    expect_refused({{"tools", asking_for(1)["tools"]}, {"tool_choice", too_long["tool_choice"]}},
                   "body: tool_choice: name: expected 1 to 128 letters", "tool_choice");
}

TEST_F(AnthropicRequests, ThinkingIsAVariableAndALimit) {
    use_template(kWritingAll);
    const auto end_of = [&](const json& more) {
        const std::string prompt = prompt_of(parse(more));
        return prompt.substr(prompt.find('\n') + 1);
    };
    EXPECT_EQ(end_of(json::object()), "False >");
    EXPECT_EQ(end_of({{"thinking", {{"type", "disabled"}}}}), "False >");
    EXPECT_EQ(end_of({{"thinking", {{"type", "enabled"}, {"budget_tokens", 1024}}}}), "True >");
    EXPECT_EQ(end_of({{"thinking", {{"type", "adaptive"}}}, {"output_config", {{"effort", "low"}}}}), "True low>");
    EXPECT_EQ(end_of({{"enable_thinking", true}}), "True >");
    expect_refused({{"thinking", {{"type", "enabled"}}}}, "body: thinking: budget_tokens: expected a whole number, found no such key",
                   "thinking");
    expect_refused({{"thinking", {{"type", "on"}}}},
                   "body: thinking: type: expected \"enabled\", \"adaptive\" or \"disabled\", found \"on\"", "thinking");
    expect_refused({{"thinking", true}}, "body: thinking: expected", "thinking");
}

TEST_F(AnthropicRequests, ParametersReachTheEngine) {
    const auto request = parse({{"model", "m"},
                                {"temperature", 0.5},
                                {"top_p", 0.25},
                                {"top_k", 7},
                                {"stop_sequences", {"x", "yz"}},
                                {"stream", true},
                                {"metadata", {{"user_id", "u"}}},
                                {"service_tier", "auto"},
                                {"cache_control", {{"type", "ephemeral"}}},
                                {"context_management", {{"edits", json::array()}}},
                                {"container", nullptr},
                                {"priority", 5},
                                {"cache_salt", "s"},
                                {"timings", false},
                                {"wat", 1}});
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->model, "m");
    EXPECT_TRUE(request->stream);
    EXPECT_FALSE(request->timings);
    EXPECT_EQ(request->sequence.max_tokens, 10U);
    EXPECT_EQ(request->sequence.sampling.temperature, 0.5);
    EXPECT_EQ(request->sequence.sampling.top_p, 0.25);
    EXPECT_EQ(request->sequence.sampling.top_k, 7U);
    EXPECT_EQ(request->sequence.sampling.seed, 9U);
    EXPECT_EQ(request->sequence.stop, (std::vector<std::string>{"x", "yz"}));
    EXPECT_EQ(request->stop_sequences, request->sequence.stop);
    EXPECT_EQ(request->sequence.cache_salt, "s");
    EXPECT_EQ(request->sequence.end_tokens, opened_.tokenizer->special().end_of_generation);
    EXPECT_EQ(request->priority, 5);
    EXPECT_EQ(request->unknown_keys, std::vector<std::string>{"wat"});
    EXPECT_EQ(request->n_prompt_tokens, request->sequence.prompt.size());
    EXPECT_EQ(parse({{"max_tokens", 0}})->sequence.max_tokens, 0U);
}

TEST_F(AnthropicRequests, TheSystemPromptsTokensAreCounted) {
    const auto n_system = [&](const json& more) { return parse(more)->n_system_tokens; };
    const auto n_tokens = [&](const std::string& text) { return opened_.tokenizer->encode(text, text::SpecialTokens::kParse).size(); };
    EXPECT_EQ(n_system({{"system", " be brief \n"}}), n_tokens("<|im_start|>system\n be brief \n<|im_end|>\n<|im_start|>user\n"));
    EXPECT_EQ(n_system(json::object()), n_tokens("<|im_start|>user\n"));
    // A text that stands in the system prompt too is looked for behind it.
    EXPECT_EQ(n_system({{"system", "say hello"}}), n_tokens("<|im_start|>system\nsay hello<|im_end|>\n<|im_start|>user\n"));
}

TEST_F(AnthropicRequests, FormatsConstrainTheAnswer) {
    grammar::GrammarCompiler compiler(*opened_.tokenizer);
    defaults_.grammars = &compiler;
    const json format = {{"type", "json_schema"}, {"schema", {{"type", "object"}, {"properties", {{"a", {{"type", "integer"}}}}}}}};
    EXPECT_TRUE(parse({{"output_config", {{"format", format}}}})->grammar);
    EXPECT_TRUE(parse({{"output_format", format}})->grammar);
    EXPECT_FALSE(parse({{"output_config", {{"format", nullptr}}}})->grammar);
    expect_refused({{"output_config", {{"format", format}}}, {"output_format", format}},
                   "body: output_format: expected no such key beside output_config.format", "output_format");
    expect_refused({{"output_config", {{"format", {{"type", "json_schema"}}}}}},
                   "body: output_config: format: schema: expected a JSON schema", "output_config");
    expect_refused({{"output_format", {{"type", "yaml"}}}}, "body: output_format: type: expected", "output_format");
    use_template(kWithThoughts);
    const auto thinks = parse({{"output_format", format}, {"thinking", {{"type", "adaptive"}}}});
    ASSERT_TRUE(thinks) << thinks.error().message;
    EXPECT_EQ(thinks->grammar->kind, grammar::GrammarKind::kStructuralTag);  // the thought is free
}

TEST_F(AnthropicRequests, WhatCannotBeServedIsRefusedByName) {
    expect_refused({{"max_tokens", nullptr}}, "body: max_tokens: expected a whole number, found no such key", "max_tokens");
    expect_refused({{"max_tokens", -1}}, "body: max_tokens: expected a whole number from 0", "max_tokens");
    expect_refused({{"min_tokens", 11}}, "body: min_tokens: expected at most the 10 of max_tokens", "min_tokens");
    expect_refused({{"messages", json::array()}}, "body: messages: expected a list of at least one message, found []", "messages");
    expect_refused({{"messages", nullptr}}, "body: messages: expected a list of at least one message, found no such key", "messages");
    expect_refused({{"messages", {7}}}, "body: messages[0]: expected", "messages[0]");
    expect_refused({{"messages", {{{"role", "user"}, {"content", json::array()}}}}},
                   "body: messages: expected at least one block, found none", "messages");
    expect_refused({{"messages", {{{"role", "user"}}}}},
                   "body: messages[0]: content: expected a text or a list of blocks, found no such key", "messages[0].content");
    expect_refused({{"messages", {{{"role", "tool"}, {"content", "x"}}}}}, "body: messages[0]: role: expected user, assistant or system",
                   "messages[0].role");
    expect_refused({{"messages", {{{"role", "user"}, {"content", "x"}}, {{"role", "assistant"}, {"content", "The answer is"}}}}},
                   "body: messages[1]: role: expected the last message to be the user's: this is not supported", "messages[1].role");
    expect_refused({{"system", 7}}, "body: system: expected a text or a list of text blocks, found 7", "system");
    expect_refused({{"system", {{{"type", "image"}}}}}, "body: system[0]: type: expected \"text\": this is not supported; found \"image\"",
                   "system[0].type");
    expect_refused({{"stop_sequences", {""}}}, "body: stop_sequences: expected texts that are not empty", "stop_sequences");
    expect_refused({{"stop_sequences", std::vector<std::string>(65, "x")}}, "body: stop_sequences: expected at most 64", "stop_sequences");
    expect_refused({{"mcp_servers", {{{"url", "x"}}}}}, "body: mcp_servers: expected no such key: this is not supported", "mcp_servers");
    expect_refused({{"container", "c"}}, "body: container: expected no such key: this is not supported", "container");

    const json source = {{"type", "base64"}, {"media_type", "image/png"}, {"data", ""}};
    for (const char* type : {"image", "document", "search_result", "container_upload", "tool_use", "thinking"}) {
        expect_block_refused("user", {{"type", type}, {"source", source}},
                             fmt::format("type: expected \"text\" or \"tool_result\": this is not supported; found \"{}\"", type));
    }
    expect_block_refused("assistant", {{"type", "server_tool_use"}}, "type: expected \"text\", \"tool_use\", \"thinking\" or");
    expect_block_refused("user", {{"text", "x"}}, "type: expected \"text\" or \"tool_result\": this is not supported; found null");
    expect_block_refused("user", {{"type", "text"}}, "text: expected a text, found no such key");
    expect_block_refused("user", {{"type", "tool_result"}}, "tool_use_id: expected a text, found no such key");
    expect_block_refused("user", {{"type", "tool_result"}, {"tool_use_id", "a"}, {"content", {{{"type", "image"}}}}},
                         "content[0]: type: expected \"text\": this is not supported; found \"image\"");
    expect_block_refused("assistant", {{"type", "tool_use"}, {"name", "f"}, {"input", json::object()}}, "id: expected a text");
    expect_block_refused("assistant", {{"type", "tool_use"}, {"id", "a"}, {"name", "a b"}}, "name: expected 1 to 128 letters");
    expect_block_refused("assistant", {{"type", "tool_use"}, {"id", "a"}, {"name", "f"}, {"input", "{}"}}, "input: expected");
}

TEST_F(AnthropicRequests, ToolsOfServersAndChoicesWithoutSenseAreRefusedByName) {
    const json tool = {{"name", "f"}, {"input_schema", {{"type", "object"}}}};
    expect_refused({{"tools", {{{"type", "web_search_20250305"}, {"name", "web_search"}}}}},
                   "body: tools[0]: type: expected \"custom\": this is not supported; found \"web_search_20250305\"", "tools[0].type");
    expect_refused({{"tools", {{{"name", "f"}}}}}, "body: tools[0]: input_schema: expected a JSON schema, found no such key",
                   "tools[0].input_schema");
    expect_refused({{"tools", {{{"name", "f"}, {"input_schema", {{"type", "array"}}}}}}},
                   "body: tools[0]: input_schema: type: expected \"object\"", "tools[0].input_schema");
    expect_refused({{"tools", {tool, tool}}}, "body: tools: expected each name once, found \"f\" twice", "tools");
    expect_refused({{"tools", 1}}, "body: tools: expected a list", "tools");
    expect_refused({{"tool_choice", {{"type", "any"}}}}, "body: tool_choice: expected tools with it, found none", "tool_choice");
    expect_refused({{"tool_choice", "any"}}, "body: tool_choice: expected", "tool_choice");
    expect_refused({{"tools", {tool}}, {"tool_choice", {{"type", "required"}}}},
                   "body: tool_choice: type: expected \"auto\", \"any\", \"tool\" or \"none\", found \"required\"", "tool_choice");
    expect_refused({{"tools", {tool}}, {"tool_choice", {{"type", "tool"}}}}, "body: tool_choice: name: expected 1 to 128 letters",
                   "tool_choice");
    expect_refused({{"tools", {tool}}, {"tool_choice", {{"type", "tool"}, {"name", "g"}}}},
                   "body: tool_choice: expected the name of one of the tools, found \"g\"", "tool_choice");
}

TEST_F(AnthropicRequests, TokensAreCountedThatAPromptWouldHave) {
    defaults_.context = 30;
    const std::string text(100, 'x');
    const json body = {
        {"model", "m"}, {"system", "be brief"}, {"messages", {{{"role", "user"}, {"content", text}}}}, {"max_tokens", "any"}};
    const auto counted = count_anthropic_tokens(body, opened_, defaults_);
    ASSERT_TRUE(counted) << counted.error().message;
    const auto expected = opened_.tokenizer->encode(
        "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\n" + text + "<|im_end|>\n<|im_start|>assistant\n",
        text::SpecialTokens::kParse);
    EXPECT_GT(expected.size(), 30U);
    EXPECT_EQ(counted->body, (nlohmann::ordered_json{{"input_tokens", expected.size()}}));
    EXPECT_EQ(counted->model, "m");
    EXPECT_EQ(counted->unknown_keys, std::vector<std::string>{"max_tokens"});
    EXPECT_FALSE(parse(body));  // does not fit
    EXPECT_FALSE(count_anthropic_tokens({{"messages", 1}}, opened_, defaults_));
}

}  // namespace
}  // namespace rafter::protocols
