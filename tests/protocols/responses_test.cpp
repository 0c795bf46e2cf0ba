// /v1/responses: what becomes of items, what is refused by name, and the events of a stream.
#include <gtest/gtest.h>

#include "protocols/openai_error.h"
#include "protocols/responses_answer.h"
#include "protocols/responses_request.h"
#include "tests/protocols/letters.h"
#include "tests/protocols/tiny_opened_model.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using tests::token;

class ResponsesRequests : public testing::Test {
  protected:
    Result<ResponsesRequest> parse(json body) {
        if (!body.contains("input")) body["input"] = "hello";
        return parse_responses_request(body, opened_, defaults_);
    }
    void expect_refused(json body, const std::string& words, const std::string& param) {
        const auto request = parse(std::move(body));
        ASSERT_FALSE(request) << words;
        EXPECT_EQ(request.error().kind, ErrorKind::kBadInput);
        EXPECT_EQ(request.error().message.find(words), 0U) << request.error().message << "\nexpected: " << words;
        EXPECT_EQ(openai_error_param(request.error().message), param);
    }
    [[nodiscard]] std::vector<engine::TokenId> encode(std::string_view text) const {
        return opened_.tokenizer->encode(text, text::SpecialTokens::kParse);
    }

    engine::OpenedModel opened_ = tests::tiny_opened_model();
    OpenAiDefaults defaults_{.max_tokens = std::nullopt, .seed = 9, .context = 200};
};

TEST_F(ResponsesRequests, InputsAreTextsOrMessages) {
    const auto user = encode("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n");
    EXPECT_EQ(parse({})->sequence.prompt, user);
    EXPECT_EQ(parse({{"input", {{{"role", "user"}, {"content", "hello"}}}}})->sequence.prompt, user);
    const json items = {{{"type", "message"},
                         {"role", "user"},
                         {"content", {{{"type", "input_text"}, {"text", "a"}}, {{"type", "input_text"}, {"text", "b"}}}}},
                        {{"type", "message"},
                         {"id", "msg_1"},
                         {"status", "completed"},
                         {"role", "assistant"},
                         {"content", {{{"type", "output_text"}, {"text", "c"}, {"annotations", json::array()}}}}},
                        {{"role", "developer"}, {"content", "d"}}};
    EXPECT_EQ(parse({{"input", items}, {"instructions", "be brief"}})->sequence.prompt,
              encode("<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\nc<|im_end|>\n"
                     "<|im_start|>system\nd<|im_end|>\n<|im_start|>assistant\n"));
}

TEST_F(ResponsesRequests, ParametersReachTheEngine) {
    const auto request = parse({{"model", "m"},
                                {"max_output_tokens", 7},
                                {"temperature", 0.5},
                                {"top_p", 0.25},
                                {"stream", true},
                                {"include", {"message.output_text.logprobs"}},
                                {"top_logprobs", 3},
                                {"metadata", {{"a", "b"}}},
                                {"store", false},
                                {"reasoning", {{"effort", "low"}, {"summary", "auto"}}},
                                {"text", {{"format", {{"type", "text"}}}, {"verbosity", "low"}}},
                                {"truncation", "disabled"},
                                {"parallel_tool_calls", true},
                                {"priority", 5},
                                {"cache_salt", "s"},
                                {"wat", 1}});
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->model, "m");
    EXPECT_TRUE(request->stream);
    EXPECT_EQ(request->sequence.max_tokens, 7U);
    EXPECT_EQ(request->sequence.sampling.temperature, 0.5);
    EXPECT_EQ(request->sequence.sampling.top_p, 0.25);
    EXPECT_EQ(request->sequence.sampling.seed, 9U);
    EXPECT_EQ(request->sequence.n_logprobs, 3U);
    EXPECT_EQ(request->sequence.cache_salt, "s");
    EXPECT_EQ(request->priority, 5);
    EXPECT_EQ(request->metadata["a"], "b");
    EXPECT_EQ(request->unknown_keys, std::vector<std::string>{"wat"});
    EXPECT_EQ(request->n_prompt_tokens, request->sequence.prompt.size());
    const auto plain = parse({});
    EXPECT_EQ(plain->sequence.max_tokens, 200U - plain->n_prompt_tokens);
    EXPECT_FALSE(plain->sequence.n_logprobs);
}

TEST_F(ResponsesRequests, WhatNeedsAMemoryOrIsMissingIsRefusedByName) {
    const json refused = {
        {"previous_response_id", "resp_1"}, {"store", true}, {"background", true}, {"conversation", "conv_1"}, {"prompt", {{"id", "p"}}}};
    for (const auto& [key, value] : refused.items()) {
        expect_refused({{key, value}}, fmt::format("body: {}: expected no such key: this is not supported", key), key);
    }
    expect_refused({{"tool_choice", "required"}}, "body: tool_choice: expected tools with it, found none", "tool_choice");
    expect_refused({{"tools", {{{"type", "web_search"}}}}}, "body: tools[0]: type: expected \"function\"", "tools[0].type");
    expect_refused({{"truncation", "auto"}}, "body: truncation: expected \"disabled\"", "truncation");
    expect_refused({{"text", {{"format", {{"type", "yaml"}}}}}}, "body: text: format: type: expected \"text\"", "text");
    expect_refused({{"text", {{"format", {{"type", "json_schema"}}}}}}, "body: text: format: schema: expected a JSON schema", "text");
    expect_refused({{"text", {{"format", {{"type", "json_object"}}}}}}, "body: text: this is not supported here", "text");
    expect_refused({{"include", {"file_search_call.results"}}}, "body: include: expected \"message.output_text.logprobs\"", "include");
    expect_refused({{"include", "x"}}, "body: include: expected a list of texts", "include");
    expect_refused({{"max_output_tokens", 0}}, "body: max_output_tokens: expected a whole number from 1", "max_output_tokens");
    expect_refused({{"min_tokens", 199}}, "body: min_tokens: expected at most the ", "min_tokens");
    expect_refused({{"metadata", {{"a", 1}}}}, "body: metadata: expected texts of at most 512 bytes, found \"a\": 1", "metadata");
    expect_refused({{"input", json::array()}}, "body: input: expected a text or a list of at least one message, found []", "input");
    expect_refused({{"input", nullptr}}, "body: input: expected a text or a list of at least one message, found no such key", "input");
    expect_refused({{"input", {{{"type", "file_search_call"}}}}},
                   "body: input[0]: type: expected \"message\": this is not supported; found \"file_search_call\"", "input[0].type");
    expect_refused({{"input", {{{"role", "user"}, {"content", {{{"type", "input_image"}}}}}}}},
                   "body: input[0]: content[0]: type: expected \"input_text\" or \"output_text\"", "input[0].content[0]");
    expect_refused({{"input", {{{"role", "tool"}, {"content", "x"}}}}}, "body: input[0]: role: expected system", "input[0].role");
}

class ResponsesAnswers : public testing::Test {
  protected:
    ResponsesAnswer answer_to(const ResponsesRequest& request) {
        return {request, {.id = "7", .created_unix_s = 123, .model = "m"}, tokenizer_};
    }
    static engine::StreamUpdate update(std::vector<engine::GeneratedToken> tokens, std::string text) {
        engine::StreamUpdate update;
        update.tokens = std::move(tokens);
        update.text = std::move(text);
        return update;
    }
    static engine::StreamUpdate finish(engine::FinishReason reason) {
        engine::StreamUpdate update;
        update.finish = engine::Finish{.reason = reason};
        update.finish->times.n_generated = 3;
        update.finish->times.n_reused = 2;
        return update;
    }
    tests::Letters tokenizer_;
};

TEST_F(ResponsesAnswers, AreOneMessageWithOneText) {
    ResponsesAnswer answer = answer_to({.n_prompt_tokens = 5});
    EXPECT_FALSE(answer.take(update({{0}}, "a")));
    EXPECT_FALSE(answer.take(update({{1}}, "b")));
    EXPECT_TRUE(answer.take(finish(engine::FinishReason::kStop)));
    const auto whole = answer.answer();
    EXPECT_EQ(whole["id"], "resp_7");
    EXPECT_EQ(whole["status"], "completed");
    EXPECT_EQ(whole["incomplete_details"], nullptr);
    EXPECT_EQ(whole["output"][0]["content"][0]["text"], "ab");
    EXPECT_EQ(whole["usage"]["input_tokens"], 5);
    EXPECT_EQ(whole["usage"]["input_tokens_details"]["cached_tokens"], 2);
    EXPECT_EQ(whole["usage"]["total_tokens"], 8);
    EXPECT_FALSE(whole.contains("timings"));
    ResponsesAnswer cut = answer_to({});
    EXPECT_TRUE(cut.take(finish(engine::FinishReason::kLength)));
    const AnswerTimings timings{.bound = "memory"};
    EXPECT_EQ(cut.answer(&timings)["incomplete_details"]["reason"], "max_output_tokens");
    EXPECT_EQ(cut.answer(&timings)["timings"]["bound"], "memory");
}

TEST_F(ResponsesAnswers, StreamsAreTypedAndNumbered) {
    ResponsesAnswer answer = answer_to({.n_logprobs = 1});
    std::vector<NamedEvent> events = answer.begin();
    const auto add = [&](std::vector<NamedEvent> more) {
        for (NamedEvent& event : more) events.push_back(std::move(event));
    };
    add(answer.update(update({token(0)}, "a")));
    add(answer.update(update({token(1)}, "")));  // held back
    add(answer.update(update({token(2)}, "bc")));
    add(answer.update(finish(engine::FinishReason::kLength)));
    add(answer.end());
    const std::vector<std::string> expected = {"response.created",
                                               "response.in_progress",
                                               "response.output_item.added",
                                               "response.content_part.added",
                                               "response.output_text.delta",
                                               "response.output_text.delta",
                                               "response.output_text.done",
                                               "response.content_part.done",
                                               "response.output_item.done",
                                               "response.incomplete",
                                               ""};
    std::vector<std::string> names;
    std::string text;
    json logprobs = json::array();
    for (const NamedEvent& event : events) {
        names.push_back(event.event);
        if (event.event.empty()) continue;
        const json data = json::parse(event.data);
        EXPECT_EQ(data["type"], event.event);
        EXPECT_EQ(data["sequence_number"], names.size() - 1);
        if (event.event != "response.output_text.delta") continue;
        text += data["delta"].get<std::string>();
        for (const json& one : data["logprobs"]) logprobs.push_back(one);
    }
    EXPECT_EQ(names, expected);
    EXPECT_EQ(events.back().data, "[DONE]");
    EXPECT_EQ(text, "abc");
    const json last = json::parse(events[events.size() - 2].data)["response"];
    EXPECT_EQ(last["output"][0]["content"][0]["text"], text);
    EXPECT_EQ(last["output"][0]["content"][0]["logprobs"], logprobs);
    EXPECT_EQ(logprobs.size(), 3U);
    EXPECT_EQ(last, json(answer.answer()));
}

TEST_F(ResponsesAnswers, AFailureInMidstreamIsTheLastEvent) {
    ResponsesAnswer answer = answer_to({});
    EXPECT_EQ(answer.begin().size(), 2U);
    EXPECT_EQ(answer.update(update({{0}}, "a")).size(), 3U);
    engine::StreamUpdate failed = finish(engine::FinishReason::kError);
    failed.finish->error = Error{"the machine is on fire", ErrorKind::kInternal};
    const auto events = answer.update(std::move(failed));
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].event, "response.failed");
    const json data = json::parse(events[0].data);
    EXPECT_EQ(data["response"]["status"], "failed");
    EXPECT_EQ(data["response"]["error"], (json{{"code", "server_error"}, {"message", "the machine is on fire"}}));
    EXPECT_EQ(data["response"]["output"][0]["content"][0]["text"], "a");
    EXPECT_TRUE(answer.failed());
    EXPECT_TRUE(answer.update(update({{0}}, "b")).empty());
    EXPECT_TRUE(answer.end().empty());
    EXPECT_TRUE(answer.fail("again").empty());
}

}  // namespace
}  // namespace rafter::protocols
