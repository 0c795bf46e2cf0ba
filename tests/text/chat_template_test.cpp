// Chat templates as the rest of the program uses them: variables, defaults, special tokens, threads and speed.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>

#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "text/default_templates.h"

namespace rafter::text {
namespace {

using Json = nlohmann::ordered_json;

Json message(const char* role, Json content) { return {{"role", role}, {"content", std::move(content)}}; }

ChatTemplateInput input_of(Json messages) {
    ChatTemplateInput input;
    input.messages = std::move(messages);
    return input;
}

// Compilers disagree on what Json({one}) is: a list of one, or a copy.
ChatTemplateInput input_of(const std::vector<Json>& messages) { return input_of(Json(messages)); }

std::string rendered(const ChatTemplate& chat_template, const ChatTemplateInput& input) {
    const auto text = chat_template.render(input);
    EXPECT_TRUE(text) << text.error().message;
    return text.value_or("");
}

std::string rendered(std::string source, const ChatTemplateInput& input) {
    const auto parsed = ChatTemplate::parse(std::move(source), "t");
    EXPECT_TRUE(parsed) << parsed.error().message;
    return parsed ? rendered(*parsed, input) : "";
}

TEST(ChatTemplate, SeesTheVariablesThatTransformersPasses) {
    ChatTemplateInput input = input_of(std::vector{message("user", "Hi")});
    EXPECT_EQ(rendered("{{ messages[0].content }}{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}", input),
              "HiTrueTrueTrue");
    input.tools = Json::array({Json::object({{"name", "f"}})});
    input.add_generation_prompt = false;
    input.variables = {{"enable_thinking", false}, {"documents", Json::array({1})}};
    EXPECT_EQ(rendered("{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ enable_thinking }}", input),
              "[{'name': 'f'}][1]FalseFalse");
}

TEST(ChatTemplate, VariablesCannotReplaceTheConversation) {
    const auto parsed = ChatTemplate::parse("{{ messages }}", "t");
    for (const char* name : {"messages", "tools", "add_generation_prompt"}) {
        ChatTemplateInput input;
        input.variables[name] = 1;
        EXPECT_FALSE(parsed->render(input)) << name;
    }
}

TEST(ChatTemplate, RefusesInputOfTheWrongShape) {
    const auto parsed = ChatTemplate::parse("x", "t");
    ChatTemplateInput input;
    input.messages = "text";
    EXPECT_EQ(parsed->render(input).error().message, "messages: expected a JSON array, found string");
    input = {};
    input.tools = Json::object();
    EXPECT_EQ(parsed->render(input).error().message, "tools: expected a JSON array, found object");
    input = {};
    input.variables = 5;
    EXPECT_EQ(parsed->render(input).error().message, "variables: expected a JSON object, found number");
}

TEST(ChatTemplate, KeepsNumbersAsTheyAreWritten) {
    const auto input = input_of(Json::parse(R"([18446744073709551615, -9223372036854775808, 1.0, 1e2, 0.1, 1e300, true, null])"));
    EXPECT_EQ(rendered("{{ messages | tojson }}", input),
              "[18446744073709551615, -9223372036854775808, 1.0, 100.0, 0.1, 1e+300, true, null]");
    EXPECT_EQ(rendered("{{ messages[0] + 1 }} {{ messages[0] == messages[0] }}", input), "18446744073709551616 True");
}

TEST(ChatTemplate, MakesTextsThatAreNotUtf8Valid) {
    EXPECT_EQ(rendered("{{ messages[0] }}{{ messages[0] | length }}", input_of(std::vector<Json>{"a\xff\xe2\x82z"})),
              "a\uFFFD\uFFFD\uFFFDz5");
}

TEST(ChatTemplate, WritesTheDateItIsGiven) {
    ChatTemplateInput input;
    input.now = std::tm{};
    input.now->tm_year = 124;
    input.now->tm_mon = 6;
    input.now->tm_mday = 26;
    EXPECT_EQ(rendered("{{ strftime_now('%d %b %Y') }}", input), "26 Jul 2024");
}

TEST(ChatTemplate, RendersOnSeveralThreadsAtOnce) {
    const auto parsed = ChatTemplate::parse(
        "{% macro m(x) %}<{{ x ~ 'é' }}>{% endmacro %}{% for m1 in messages %}{{ m(m1.content) }}{{ 'literal é'[8:] }}{{ ['a', 'b'] | join "
        "}}{% endfor %}",
        "t");
    std::vector<std::thread> threads;
    std::vector<std::string> texts(4);
    for (std::size_t t = 0; t < texts.size(); ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 200; ++i)
                texts[t] = *parsed->render(input_of(std::vector{message("user", "Hi"), message("assistant", "Ho")}));
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& text : texts) EXPECT_EQ(text, "<Hié>éab<Hoé>éab");
}

files::Metadata metadata_of(std::initializer_list<std::pair<const char*, files::MetadataValue>> entries) {
    files::Metadata metadata;
    for (const auto& [key, value] : entries) metadata.add(key, value);
    return metadata;
}

files::MetadataArray texts(std::vector<std::string_view> values) { return files::MetadataArray(std::move(values)); }

TEST(ChatTemplate, LoadsTheModelsOwnWithItsSpecialTokens) {
    const auto metadata = metadata_of(
        {{"general.architecture", std::string_view("llama")},
         {"tokenizer.chat_template", std::string_view("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}")},
         {"tokenizer.ggml.tokens", texts({"<unk>", "<s>", "</s>"})},
         {"tokenizer.ggml.bos_token_id", std::uint64_t{1}},
         {"tokenizer.ggml.eos_token_id", std::uint64_t{2}}});
    const auto loaded = ChatTemplate::load(metadata);
    ASSERT_TRUE(loaded) << loaded.error().message;
    ChatTemplateInput input = input_of(std::vector{message("user", "Hi")});
    EXPECT_EQ(rendered(*loaded, input), "<s>Hi</s>");
    input.variables["eos_token"] = "!";
    EXPECT_EQ(rendered(*loaded, input), "<s>Hi!");
    EXPECT_EQ(loaded->name(), "chat template");
}

TEST(ChatTemplate, UsesTheTemplateForToolsWhenThereAreTools) {
    const auto loaded =
        ChatTemplate::load(metadata_of({{"tokenizer.chat_template", std::string_view("plain")},
                                        {"tokenizer.chat_template.tool_use", std::string_view("with {{ tools | length }}")}}));
    ASSERT_TRUE(loaded) << loaded.error().message;
    ChatTemplateInput input;
    EXPECT_EQ(rendered(*loaded, input), "plain");
    input.tools = Json::array();
    EXPECT_EQ(rendered(*loaded, input), "plain");
    input.tools = Json::array({Json::object()});
    EXPECT_EQ(rendered(*loaded, input), "with 1");
}

TEST(ChatTemplate, IgnoresASpecialTokenOutsideTheVocabulary) {
    for (const files::MetadataValue& id :
         {files::MetadataValue(std::uint64_t{1}), files::MetadataValue(std::uint64_t{4294967295}),
          files::MetadataValue(std::numeric_limits<std::uint64_t>::max()), files::MetadataValue(std::int64_t{-1})}) {
        const auto loaded = ChatTemplate::load(metadata_of({{"tokenizer.chat_template", std::string_view("[{{ bos_token }}]")},
                                                            {"tokenizer.ggml.tokens", texts({"a"})},
                                                            {"tokenizer.ggml.bos_token_id", id},
                                                            {"tokenizer.ggml.seperator_token_id", id}}));
        ASSERT_TRUE(loaded) << loaded.error().message;
        EXPECT_EQ(rendered(*loaded, ChatTemplateInput()), "[]");
    }
}

TEST(ChatTemplate, ThatDoesNotParseIsAnErrorOnlyOfRendering) {
    const auto metadata = metadata_of({{"tokenizer.chat_template", std::string_view("{{ bos_token")},
                                       {"tokenizer.ggml.tokens", texts({"<s>"})},
                                       {"tokenizer.ggml.bos_token_id", std::uint64_t{0}}});
    const auto loaded = ChatTemplate::load(metadata);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->name(), "chat template");
    const auto text = loaded->render(ChatTemplateInput());
    ASSERT_FALSE(text);
    EXPECT_TRUE(text.error().message.starts_with("chat template, line 1, column 13: ")) << text.error().message;
    EXPECT_NE(text.error().message.find("--chat-template FILE replaces the template"), std::string::npos);
    EXPECT_FALSE(loaded->render_any_system(ChatTemplateInput()));

    const auto replaced = ChatTemplate::load(metadata, {.source = "{{ bos_token }}!", .name = "mine.jinja"});
    ASSERT_TRUE(replaced) << replaced.error().message;
    EXPECT_EQ(rendered(*replaced, ChatTemplateInput()), "<s>!");
    const auto wrong = ChatTemplate::load(metadata, {.source = "{{", .name = "mine.jinja"});
    ASSERT_FALSE(wrong);
    EXPECT_TRUE(wrong.error().message.starts_with("mine.jinja, line 1, column 3: ")) << wrong.error().message;
}

std::optional<RenderedChat> any_system(std::string source, Json messages) {
    const auto parsed = ChatTemplate::parse(std::move(source), "t");
    auto made = parsed->render_any_system(input_of(std::move(messages)));
    return made ? std::optional(*std::move(made)) : std::nullopt;
}

TEST(ChatTemplate, ThatTakesNoSystemMessageGetsItsTextBeforeTheFirstUserMessage) {
    const std::string refuses =
        "{% if messages[0].role in ['system', 'developer'] %}{{ raise_exception('no') }}{% endif %}"
        "{% for m in messages %}{{ m.role }}:{{ m.content if m.content is string else m.content | map(attribute='text') | join('+') }};"
        "{% endfor %}";
    const auto moved = any_system(refuses, {message("system", "S"), message("developer", "D"), message("user", "U"), message("user", "V")});
    ASSERT_TRUE(moved);
    EXPECT_EQ(moved->text, "user:S\n\nD\n\nU;user:V;");
    EXPECT_TRUE(moved->system_moved);
    const Json parts = Json::array({{{"type", "text"}, {"text", "U"}}});
    const auto in_parts = any_system(refuses, {message("system", "S"), {{"role", "user"}, {"content", parts}}});
    ASSERT_TRUE(in_parts);
    EXPECT_EQ(in_parts->text, "user:S\n\n+U;");

    const auto taken = any_system("{{ messages[0].role }}", {message("system", "S"), message("user", "U")});
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->text, "system");
    EXPECT_FALSE(taken->system_moved);
    EXPECT_FALSE(any_system(refuses, {message("system", "S")}));  // nobody to say it
    EXPECT_FALSE(any_system("{{ raise_exception('never') }}", {message("system", "S"), message("user", "U")}));
}

std::string default_prompt(std::vector<std::string_view> tokens, const char* architecture, Json messages) {
    const auto loaded = ChatTemplate::load(metadata_of({{"general.architecture", std::string_view(architecture)},
                                                        {"tokenizer.ggml.tokens", texts(std::move(tokens))},
                                                        {"tokenizer.ggml.bos_token_id", std::uint64_t{0}},
                                                        {"tokenizer.ggml.eos_token_id", std::uint64_t{1}}}));
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded ? rendered(*loaded, input_of(std::move(messages))) : "";
}

const Json kTurns = {message("system", "Be brief."), message("user", " Hi "), message("assistant", "Ho"), message("user", "Bye")};

TEST(DefaultTemplates, GemmaPutsTheSystemTextIntoTheFirstTurn) {
    const char* expected =
        "<bos><start_of_turn>user\nBe "
        "brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHo<end_of_turn>\n<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n";
    EXPECT_EQ(default_prompt({"<bos>", "<eos>"}, "gemma3", kTurns), expected);
    EXPECT_EQ(default_prompt({"<bos>", "<eos>", "<start_of_turn>"}, "llama", kTurns), expected);
    EXPECT_EQ(default_prompt({"<bos>", "<eos>"}, "gemma3",
                             Json::array({message("user", Json::array({Json::object({{"type", "image"}}),
                                                                       Json::object({{"type", "text"}, {"text", " what? "}})}))})),
              "<bos><start_of_turn>user\n<start_of_image>what?<end_of_turn>\n<start_of_turn>model\n");
}

TEST(DefaultTemplates, ChatMlIsWhatNothingElseFits) {
    const char* expected =
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi "
        "<|im_end|>\n<|im_start|>assistant\nHo<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
        "<|im_start|>assistant\n";
    EXPECT_EQ(default_prompt({"<s>", "</s>", "<|im_start|>"}, "qwen2", kTurns), expected);
    EXPECT_EQ(default_prompt({"<s>", "</s>"}, "never heard of", kTurns), expected);
}

TEST(DefaultTemplates, OtherFamiliesAreKnownByTheirMarks) {
    EXPECT_EQ(default_prompt({"<b>", "<e>", "<|start_header_id|>"}, "llama", Json::array({message("user", "Hi")})),
              "<b><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
    EXPECT_EQ(default_prompt({"<s>", "</s>", "[INST]"}, "llama", kTurns), "<s>[INST]  Hi  [/INST] Ho</s>[INST] Be brief.\n\nBye [/INST]");
    EXPECT_EQ(default_prompt({"<s>", "</s>"}, "phi3", kTurns),
              "<|system|>\nBe brief.<|end|>\n<|user|>\n Hi <|end|>\n<|assistant|>\nHo<|end|>\n<|user|>\nBye<|end|>\n<|assistant|>\n");
}

TEST(DefaultTemplates, ChatMlShowsToolsAndCalls) {
    const auto has_none = [](std::string_view) { return false; };
    ChatTemplateInput input = input_of(std::vector<Json>{
        message("user", "Time?"),
        {{"role", "assistant"},
         {"content", nullptr},
         {"tool_calls", Json::array({Json::object({{"function", {{"name", "now"}, {"arguments", Json::object({{"zone", "CET"}})}}}})})}},
        message("tool", "12:00")});
    input.tools = Json::array({Json::object({{"type", "function"}, {"function", Json::object({{"name", "now"}})}})});
    input.add_generation_prompt = false;
    const std::string text = rendered(std::string(default_chat_template("", has_none).source), input);
    EXPECT_NE(text.find("<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"now\"}}\n</tools>"), std::string::npos) << text;
    EXPECT_NE(
        text.find(
            "<|im_start|>assistant\n\n<tool_call>\n{\"name\": \"now\", \"arguments\": {\"zone\": \"CET\"}}\n</tool_call><|im_end|>\n"),
        std::string::npos)
        << text;
    EXPECT_NE(text.find("<|im_start|>user\n<tool_response>\n12:00\n</tool_response><|im_end|>\n"), std::string::npos) << text;
}

// A thousand messages take milliseconds; the bound leaves room for sanitizers and busy machines, not for quadratic time.
TEST(ChatTemplate, AThousandMessagesTakeNoTime) {
    Json messages = Json::array();
    for (int i = 0; i < 500; ++i) {
        messages.push_back(message("user", "What is " + std::to_string(i) + " times " + std::to_string(i) + "?"));
        messages.push_back(message("assistant", std::string(400, 'x')));
    }
    const ChatTemplateInput input = input_of(std::move(messages));
    const auto parsed = ChatTemplate::parse(
        "{% set ns = namespace(n=0) %}{% for message in messages %}{% set ns.n = ns.n + 1 %}{% if message.role == 'user' or loop.last %}"
        "{{ '<|im_start|>' + message.role + '\n' + message.content | trim + '<|im_end|>' + '\n' }}{% elif message['role'] == 'assistant' %}"
        "{% set content = message.content.split('</think>')[-1].lstrip('\n') %}{{ '<|im_start|>assistant\n' ~ content ~ '<|im_end|>\n' "
        "}}{% endif %}{% endfor %}",
        "t");
    const std::clock_t start = std::clock();  // of this process, whatever else the machine does
    const std::string text = rendered(*parsed, input);
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    EXPECT_GT(text.size(), 200'000U);
    EXPECT_LT(seconds, 1);
}

}  // namespace
}  // namespace rafter::text
