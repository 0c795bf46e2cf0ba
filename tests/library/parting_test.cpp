// Answers that the library parts: thoughts, content and calls, as the server does.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rafter/rafter.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/tiny_model.h"

namespace rafter {
namespace {

using nlohmann::json;

// Short, as the tiny model's context is.
constexpr const char* kTemplate =
    "{# <tool_call> #}{% for t in tools or [] %}{{ t.function.name }}: {{ t.function.description }};{% endfor %}"
    "{% for m in messages %}{{ m.role }} {{ m.content }}{% if m.name %} of {{ m.name }}{% endif %}{% endfor %}";

class LibraryParting : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        path_ = std::filesystem::path(testing::TempDir()) / fmt::format("rafter-parting-{}.gguf", getpid());
        const auto bytes = model::tiny_gguf({.matrices = tensor::DType::kQ8_0, .template_source = kTemplate});
        std::ofstream(path_, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    static void TearDownTestSuite() { std::filesystem::remove(path_); }
    static inline std::filesystem::path path_;

    Model model_ = Model::open(path_, {.n_threads = 2});
    const std::vector<Tool> tools_ = {
        {.name = "set",
         .description = "Sets it",
         .parameters = R"({"type": "object", "properties": {"how": {"enum": ["slow", "fast"]}, "n": {"type": "integer", "minimum": 0,
                          "maximum": 9}}, "required": ["how", "n"], "additionalProperties": false})"},
        {.name = "now"}};

    Request request(const std::vector<Message>& messages, Parting parting) const {
        return {.prompt = model_.encode_chat(messages, {.tools = parting.tools}), .max_tokens = 250, .parting = std::move(parting)};
    }
    static std::string refusal_of(const std::function<void()>& fails) {
        try {
            fails();
        } catch (const Exception& error) {
            return error.code() == ErrorCode::kBadInput ? error.what() : "another code";
        }
        return "";
    }
};

TEST_F(LibraryParting, ALoopOfCallsAndResults) {
    std::vector<Message> messages = {{"user", "How fast?"}};
    for (int turn = 0; turn < 2; ++turn) {
        Request next = request(messages, {.tools = tools_, .tool_choice = ToolChoice::kNamed, .tool_name = "set"});
        next.sampling = {.temperature = 1.0, .seed = static_cast<std::uint64_t>(turn)};
        const Update whole = model_.submit(std::move(next)).wait_for_finish();
        EXPECT_EQ(whole.finish->reason, FinishReason::kStop);
        Answer answer;
        answer.add(whole.parts);
        ASSERT_EQ(answer.calls.size(), 1U) << whole.text;
        EXPECT_EQ(answer.calls[0].name, "set");
        EXPECT_EQ(answer.content + answer.reasoning, "");
        const json arguments = json::parse(answer.calls[0].arguments);
        EXPECT_TRUE(arguments["how"] == "slow" || arguments["how"] == "fast");
        EXPECT_TRUE(arguments["n"] >= 0 && arguments["n"] <= 9);
        // The text is as the model wrote it.
        EXPECT_NE(whole.text.find(answer.calls[0].arguments), std::string::npos);
        EXPECT_EQ(whole.parts.back().kind, PartKind::kCallEnd);
        messages.push_back({.role = "assistant", .content = answer.content, .calls = answer.calls});
        messages.push_back({.role = "tool", .content = "done"});
    }
    const std::string prompt = model_.apply_chat_template(messages, {.tools = tools_});
    EXPECT_NE(prompt.find("Sets it"), std::string::npos);
    EXPECT_NE(prompt.find("tool done of set"), std::string::npos) << prompt;
    EXPECT_EQ(model_.apply_chat_template(messages).find("Sets it"), std::string::npos);
}

TEST_F(LibraryParting, ACallThatIsCutOffHasTheBeginningOfItsArguments) {
    const auto answer_of = [&](std::uint32_t max_tokens) {
        Request next = request({{"user", "How fast?"}}, {.tools = tools_, .tool_choice = ToolChoice::kNamed, .tool_name = "set"});
        next.max_tokens = max_tokens;
        return model_.submit(std::move(next)).wait_for_finish();
    };
    const Update whole = answer_of(250);
    Answer expected;
    expected.add(whole.parts);
    ASSERT_EQ(expected.calls.size(), 1U);
    bool was_cut = false;
    for (std::uint32_t n = 8; n < whole.finish->n_generated; n += 8) {
        const Update cut = answer_of(n);
        Answer answer;
        answer.add(cut.parts);
        if (answer.calls.empty()) continue;
        EXPECT_TRUE(expected.calls[0].arguments.starts_with(answer.calls[0].arguments));
        const bool is_whole = answer.calls[0].arguments == expected.calls[0].arguments;
        EXPECT_EQ(std::ranges::count(cut.parts, PartKind::kCallEnd, &Part::kind), is_whole ? 1 : 0);
        was_cut |= !is_whole;
    }
    EXPECT_TRUE(was_cut);
}

TEST_F(LibraryParting, ThoughtsEndAtTheirLimitAndAConstraintIsTheAnswersAlone) {
    Request thinking = request({{"user", "Well?"}}, {.thinking_tokens = 5, .reasoning_parser = "think"});
    thinking.constraint = {.kind = ConstraintKind::kChoice, .choices = {"yes", "no"}};
    const Update whole = model_.submit(std::move(thinking)).wait_for_finish();
    Answer answer;
    answer.add(whole.parts);
    EXPECT_TRUE(answer.content == "yes" || answer.content == "no") << whole.text;
    EXPECT_NE(answer.reasoning.find("The time for thinking is used up"), std::string::npos);
    EXPECT_EQ(answer.reasoning.find("</think>"), std::string::npos);
    EXPECT_NE(whole.text.find("</think>"), std::string::npos);
}

TEST_F(LibraryParting, TheFinishEndsThePartsOnceAndAStreamMayOutliveItsModel) {
    std::optional<TokenStream> stream;
    {
        const Model model = Model::open(path_, {.n_threads = 2});
        Request plain{.prompt = model.encode_chat({{"user", "hello"}}), .max_tokens = 9, .ignore_eos = true, .parting = Parting{}};
        stream = model.submit(std::move(plain));
        model.stop(StopMode::kDrain);
    }
    const Update whole = stream->wait_for_finish();
    Answer answer;
    answer.add(whole.parts);
    EXPECT_EQ(answer.content, whole.text);
    EXPECT_FALSE(answer.content.empty());
    const Update again = stream->wait();
    EXPECT_TRUE(again.finish);
    EXPECT_TRUE(again.parts.empty());
    // Without Request::parting there are none.
    const Update unparted = model_.submit({.prompt = model_.encode_prompt("hello"), .max_tokens = 3}).wait_for_finish();
    EXPECT_TRUE(unparted.parts.empty());
}

TEST_F(LibraryParting, WhatIsNoToolIsRefused) {
    const auto refused = [&](Parting parting) {
        return refusal_of([&] { (void)model_.submit({.prompt = model_.encode_prompt("x"), .parting = std::move(parting)}); });
    };
    EXPECT_EQ(refused({.tools = {{.name = "a b"}}}).find("tools[0]: name: expected "), 0U);
    EXPECT_EQ(refused({.tools = {{.name = "a"}, {.name = "a"}}}).find("tools: expected each name once"), 0U);
    EXPECT_EQ(refused({.tools = {{.name = "a", .parameters = "[1]"}}}).find("tools[0]: parameters: expected a JSON object"), 0U);
    EXPECT_EQ(refused({.tools = tools_, .tool_choice = ToolChoice::kNamed, .tool_name = "b"}).find("tool_choice: expected the name"), 0U);
    EXPECT_EQ(refused({.tool_choice = ToolChoice::kRequired}).find("tool_choice: expected tools"), 0U);
    EXPECT_EQ(refused({.tool_parser = "x"}).find("tool parser: expected one of "), 0U);
    EXPECT_EQ(refused({.reasoning_parser = "x"}).find("reasoning parser: expected one of "), 0U);
    EXPECT_EQ(refused({.tools = tools_, .tool_choice = ToolChoice::kRequired, .tool_parser = "none"}).find("tool_choice: "), 0U);
    EXPECT_EQ(refusal_of([&] {
                  (void)model_.encode_chat({{"user", "x"}}, {.variables = "1"});
              }).find("variables: expected a JSON object"),
              0U);
    EXPECT_EQ(refusal_of([&] {
                  (void)model_.encode_chat({{.role = "assistant", .content = "", .calls = {{"a", "{"}}}});
              }).find("messages: calls: arguments: expected a JSON object"),
              0U);
}

}  // namespace
}  // namespace rafter
