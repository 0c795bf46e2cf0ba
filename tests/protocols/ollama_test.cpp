// Ollama's requests: what becomes of messages, options and formats, and what is refused by name; and the lines of its streams.
#include <gtest/gtest.h>

#include <limits>

#include "protocols/answers/answer_format.h"
#include "protocols/ollama_answer.h"
#include "protocols/ollama_embed.h"
#include "protocols/ollama_models.h"
#include "protocols/ollama_request.h"
#include "tests/protocols/letters.h"
#include "tests/protocols/tiny_opened_model.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

class OllamaRequests : public testing::Test {
  protected:
    OllamaRequests() { opened_.config.d_model = 8; }
    Result<OllamaRequest> chat(json body) {
        if (!body.contains("messages")) body["messages"] = {{{"role", "user"}, {"content", "hello"}}};
        return parse_ollama_request(OllamaEndpoint::kChat, body, opened_, defaults_);
    }
    Result<OllamaRequest> generate(json body) {
        if (!body.contains("prompt")) body["prompt"] = "hello";
        return parse_ollama_request(OllamaEndpoint::kGenerate, body, opened_, defaults_);
    }
    void expect_refused(const Result<OllamaRequest>& request, const std::string& words) {
        ASSERT_FALSE(request) << words;
        EXPECT_EQ(request.error().kind, ErrorKind::kBadInput);
        EXPECT_EQ(request.error().message.find(words), 0U) << request.error().message << "\nexpected: " << words;
    }
    [[nodiscard]] std::vector<engine::TokenId> encode(std::string_view text) const {
        return opened_.tokenizer->encode(text, text::SpecialTokens::kParse);
    }

    engine::OpenedModel opened_ = tests::tiny_opened_model();
    OpenAiDefaults defaults_{.max_tokens = std::nullopt, .seed = 9, .context = 200};
};

TEST_F(OllamaRequests, OptionsReachTheEngineAndMissingOnesHaveOllamasDefaults) {
    const auto plain = chat({});
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_EQ(plain->sequence.prompt, encode("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"));
    EXPECT_TRUE(plain->stream);
    EXPECT_EQ(plain->sequence.sampling.temperature, 0.8);
    EXPECT_EQ(plain->sequence.sampling.top_k, 40U);
    EXPECT_EQ(plain->sequence.sampling.top_p, 0.9);
    EXPECT_EQ(plain->sequence.sampling.repeat_penalty, 1.1);
    EXPECT_EQ(plain->sequence.sampling.repeat_last_n, 64U);
    EXPECT_EQ(plain->sequence.sampling.seed, 9U);
    EXPECT_EQ(plain->sequence.max_tokens, 200U - plain->n_prompt_tokens);

    const auto request = chat({{"model", "m"},
                               {"stream", false},
                               {"keep_alive", "5m"},
                               {"wat", 1},
                               {"options",
                                {{"num_predict", 7},
                                 {"temperature", 0.5},
                                 {"top_k", 3},
                                 {"top_p", 0.25},
                                 {"min_p", 0.1},
                                 {"typical_p", 0.75},
                                 {"seed", 42},
                                 {"stop", {"x"}},
                                 {"repeat_penalty", 1.5},
                                 {"repeat_last_n", -1},
                                 {"presence_penalty", 0.25},
                                 {"frequency_penalty", 0.125},
                                 {"num_ctx", 4096},
                                 {"num_keep", 4}}}});
    ASSERT_TRUE(request) << request.error().message;
    const engine::SamplingOptions& sampling = request->sequence.sampling;
    EXPECT_EQ(request->model, "m");
    EXPECT_FALSE(request->stream);
    EXPECT_EQ(request->sequence.max_tokens, 7U);
    EXPECT_EQ(sampling.temperature, 0.5);
    EXPECT_EQ(sampling.top_k, 3U);
    EXPECT_EQ(sampling.top_p, 0.25);
    EXPECT_EQ(sampling.min_p, 0.1);
    EXPECT_EQ(sampling.typical_p, 0.75);
    EXPECT_EQ(sampling.seed, 42U);
    EXPECT_EQ(sampling.repeat_penalty, 1.5);
    EXPECT_EQ(sampling.repeat_last_n, 0U);
    EXPECT_EQ(sampling.presence_penalty, 0.25);
    EXPECT_EQ(sampling.frequency_penalty, 0.125);
    EXPECT_EQ(request->sequence.stop, std::vector<std::string>{"x"});
    EXPECT_EQ(request->unknown_keys, (std::vector<std::string>{"wat", "num_keep"}));
    ASSERT_EQ(request->warnings.size(), 1U);
    EXPECT_EQ(request->warnings[0], "num_ctx: the server's context of 200 tokens holds, not 4096");
}

TEST_F(OllamaRequests, NumbersBelowZeroHaveTheirMeanings) {
    for (const int n : {-2, -1, 0}) {
        const auto request = chat({{"options", {{"num_predict", n}, {"seed", -1}, {"repeat_last_n", 0}, {"presence_penalty", 1}}}});
        ASSERT_TRUE(request) << request.error().message;
        EXPECT_EQ(request->sequence.max_tokens, 200U - request->n_prompt_tokens);
        EXPECT_EQ(request->sequence.sampling.seed, 9U);
        EXPECT_EQ(request->sequence.sampling.repeat_penalty, 1.0);
        EXPECT_EQ(request->sequence.sampling.presence_penalty, 0.0);
    }
    EXPECT_EQ(chat({{"options", {{"seed", 0}}}})->sequence.sampling.seed, 0U);
    expect_refused(chat({{"options", {{"num_predict", -3}}}}), "body: options: num_predict: expected a number from -2");
    expect_refused(chat({{"options", {{"num_predict", 1.5}}}}), "body: options: num_predict: expected a whole number from -2");
    expect_refused(chat({{"options", {{"repeat_last_n", -2}}}}), "body: options: repeat_last_n: expected a number from -1");
    expect_refused(chat({{"options", {{"temperature", -1}}}}), "body: options: temperature: expected a number from 0");
    expect_refused(chat({{"options", {{"stop", 1}}}}), "body: options: stop: expected a text");
    expect_refused(chat({{"options", 1}}), "body: options: expected an object");
}

TEST_F(OllamaRequests, WhatAnAnswerCannotHaveIsRefusedByName) {
    for (const char* key : {"suffix", "template"}) {
        expect_refused(generate({{key, "x"}}), fmt::format("body: {}: expected no such key: this is not supported", key));
        EXPECT_TRUE(generate({{key, ""}}));
    }
    expect_refused(generate({{"images", {"aGk="}}}), "body: images: expected no such key: this is not supported");
    expect_refused(chat({{"messages", {{{"role", "user"}, {"content", "x"}, {"images", {"aGk="}}}}}}),
                   "body: messages[0]: images: expected no such key: this is not supported");
    expect_refused(chat({{"messages", {{{"role", "king"}}}}}), "body: messages[0]: role: expected system");
    expect_refused(chat({{"messages", "x"}}), "body: messages: expected a list, found \"x\"");
    expect_refused(chat({{"messages", {{{"role", "user"}, {"tool_calls", {{{"function", {{"name", "f"}}}}}}}}}}),
                   "body: messages[0]: tool_calls: expected no such key in a message of the role user");
    expect_refused(chat({{"think", true}}), "body: think: the model does not support thinking");
    expect_refused(chat({{"think", "x"}}), "body: think: expected true, false, low, medium or high, found \"x\"");
    expect_refused(chat({{"format", "yaml"}}), "body: format: expected \"json\" or a JSON schema, found \"yaml\"");
    expect_refused(chat({{"format", "json"}}), "body: format: this is not supported here");
    expect_refused(chat({{"keep_alive", true}}), "body: keep_alive: expected a number of seconds");
    expect_refused(generate({{"raw", true}, {"system", "x"}}), "body: raw: expected neither system nor context with it, found system");
    expect_refused(generate({{"context", {300}}}), "body: context: expected token ids from 0 to 299, found 300");
    expect_refused(generate({{"context", "x"}}), "body: context: expected a list of token ids");
    EXPECT_TRUE(chat({{"think", false}}));
    EXPECT_TRUE(chat({{"format", ""}}));
}

TEST_F(OllamaRequests, PromptsAreRawOrGoThroughTheTemplate) {
    EXPECT_EQ(generate({{"system", "be brief"}})->sequence.prompt,
              encode("<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"));
    const auto raw = generate({{"raw", true}});
    EXPECT_EQ(raw->sequence.prompt, encode("hello"));
    EXPECT_FALSE(raw->with_context);
    EXPECT_EQ(raw->rules, nullptr);
    auto going_on = encode("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n");
    going_on.insert(going_on.begin(), {5, 6});
    const auto request = generate({{"context", {5, 6}}});
    EXPECT_EQ(request->sequence.prompt, going_on);
    EXPECT_TRUE(request->with_context);
    defaults_.context = 20;
    expect_refused(generate({{"context", std::vector<int>(19, 5)}}), "body: prompt: the prompt is too long");
}

TEST_F(OllamaRequests, WithNothingToAnswerTheModelIsLoaded) {
    const auto loads = chat({{"messages", nullptr}});
    EXPECT_EQ(loads->purpose, OllamaPurpose::kLoad);
    EXPECT_EQ(chat({{"messages", json::array()}, {"keep_alive", 0}})->purpose, OllamaPurpose::kUnload);
    EXPECT_EQ(generate({{"prompt", ""}})->purpose, OllamaPurpose::kLoad);
    EXPECT_EQ(generate({{"prompt", ""}, {"keep_alive", "0"}})->purpose, OllamaPurpose::kUnload);
    EXPECT_EQ(generate({{"keep_alive", 0}})->purpose, OllamaPurpose::kAnswer);
    const OllamaIdentity identity{.id = "7", .model = "m", .now = [] { return std::string("now"); }};
    EXPECT_EQ(ollama_loaded(*loads, identity).dump(),
              R"({"model":"m","created_at":"now","message":{"role":"assistant","content":""},"done":true,"done_reason":"load"})");
}

TEST_F(OllamaRequests, KeepAliveIsSecondsOrADurationOfAnyLength) {
    constexpr double kForEver = std::numeric_limits<double>::infinity();
    const std::pair<json, double> known[] = {{0, 0.0},
                                             {300, 300.0},
                                             {0.5, 0.5},
                                             {"5m", 300.0},
                                             {"1h30m", 5400.0},
                                             {"0", 0.0},
                                             {"0s", 0.0},
                                             {"-1", kForEver},
                                             {-1, kForEver},
                                             {"-1m", kForEver},
                                             {-0.5, kForEver},
                                             {1e300, kForEver},
                                             {"9999999h", kForEver},
                                             {UINT64_MAX, kForEver},
                                             {1e9, 1e9}};
    for (const auto& [value, seconds] : known) {
        for (const auto& request : {chat({{"keep_alive", value}}), generate({{"keep_alive", value}})}) {
            ASSERT_TRUE(request) << value << request.error().message;
            EXPECT_EQ(request->keep_alive_seconds, seconds) << value;
        }
        EXPECT_EQ(parse_ollama_embed(OllamaEmbedEndpoint::kEmbed, {{"keep_alive", value}}, opened_, defaults_)->keep_alive_seconds,
                  seconds);
    }
    EXPECT_FALSE(chat({})->keep_alive_seconds);
    EXPECT_FALSE(chat({{"keep_alive", nullptr}})->keep_alive_seconds);
    for (const json& value : {json("soon"), json(""), json("5 m"), json(true), json::array({1}), json::object()}) {
        expect_refused(chat({{"keep_alive", value}}), "body: keep_alive: expected a number of seconds, or a text such as \"5m\", found");
    }
}

TEST_F(OllamaRequests, ToUnloadNeedsNoModel) {
    const auto asks = [](OllamaEndpoint endpoint, const char* body) { return asks_to_unload(endpoint, json::parse(body)); };
    for (const char* body : {R"({"keep_alive": 0})", R"({"model": "m", "keep_alive": "0", "messages": [], "prompt": ""})",
                             R"({"keep_alive": "0m", "messages": null, "prompt": null, "x": 1})"}) {
        EXPECT_TRUE(asks(OllamaEndpoint::kChat, body)) << body;
        EXPECT_TRUE(asks(OllamaEndpoint::kGenerate, body)) << body;
    }
    for (const char* body :
         {"{}", "[]", "0", R"({"keep_alive": 1})", R"({"keep_alive": -1})", R"({"keep_alive": "x"})", R"({"keep_alive": [0]})",
          R"({"keep_alive": 0, "messages": [{}], "prompt": "x"})", R"({"keep_alive": 0, "messages": 1, "prompt": 1})"}) {
        EXPECT_FALSE(asks(OllamaEndpoint::kChat, body)) << body;
        EXPECT_FALSE(asks(OllamaEndpoint::kGenerate, body)) << body;
    }
}

TEST_F(OllamaRequests, ResultsFindTheirCallsAndArgumentsKeepTheirOrder) {
    opened_.chat_template = text::ChatTemplate::parse(
                                "{# tools #}{% for m in messages %}{{ m.role }}:{{ m.content }}"
                                "{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}"
                                "{{ c.id | length }}{% endfor %}{% if m.role == 'tool' %}{{ m.name }}{% endif %};{% endfor %}",
                                "test")
                                .value();
    const std::string body = R"({"messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"z": 1, "a": 2}}}, {"function": {"name": "g"}}]},
        {"role": "tool", "tool_name": "g", "content": "x"}, {"role": "tool", "content": "y"}]})";
    defaults_.body.text = body;
    const auto request = parse_ollama_request(OllamaEndpoint::kChat, json::parse(body), opened_, defaults_);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(opened_.tokenizer->decode(request->sequence.prompt, text::SpecialTokens::kParse),
              R"(user:q;assistant:f{"z": 1, "a": 2}9g{}9;tool:xg;tool:yf;)");
}

TEST_F(OllamaRequests, TextsToEmbedAreCutWhereTheyAreTooLong) {
    defaults_.context = 3;
    const auto parse = [&](const json& body) { return parse_ollama_embed(OllamaEmbedEndpoint::kEmbed, body, opened_, defaults_); };
    const auto whole = opened_.tokenizer->encode("abcdefgh", text::SpecialTokens::kParse);
    ASSERT_GT(whole.size(), 3U);
    const auto cut = parse({{"input", {"abcdefgh", "a"}}});
    ASSERT_TRUE(cut) << cut.error().message;
    ASSERT_EQ(cut->sequences.size(), 2U);
    EXPECT_EQ(cut->sequences[0].prompt.size(), 3U);
    EXPECT_EQ(cut->sequences[0].prompt[0], whole[0]);
    EXPECT_EQ(cut->sequences[0].output, engine::OutputKind::kHiddenMean);
    const auto refused = parse({{"input", "abcdefgh"}, {"truncate", false}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message.find("body: input: the prompt is too long"), 0U) << refused.error().message;
    EXPECT_TRUE(parse({{"input", json::array()}})->sequences.empty());
    EXPECT_FALSE(parse({{"input", {1}}}));
    EXPECT_EQ(parse_ollama_embed(OllamaEmbedEndpoint::kEmbeddings, {{"prompt", "a"}}, opened_, defaults_)->sequences.size(), 1U);
}

TEST(OllamaModels, NamesCountWithAndWithoutLatest) {
    EXPECT_EQ(without_latest("m:latest"), "m");
    EXPECT_EQ(without_latest("m:7b"), "m:7b");
    EXPECT_EQ(without_latest(":latest"), "");
}

TEST(OllamaModels, ExpireWhenItIsKnown) {
    OllamaModel stays, goes;
    goes.expires_unix_us = 1'764'439'200'000'042;
    const auto listed = ollama_ps(std::vector{stays, goes})["models"];
    EXPECT_EQ(listed[0]["expires_at"], "9999-12-31T23:59:59Z");
    EXPECT_EQ(listed[1]["expires_at"], "2025-11-29T18:00:00.000042Z");
}

TEST(OllamaModels, TimesAreInRfc3339) {
    EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000Z");
    EXPECT_EQ(rfc3339(1'764'439'200'000'042), "2025-11-29T18:00:00.000042Z");
}

// A thought, a text and two calls, in pieces of every size: what the lines have, joined, is the whole answer's.
class OllamaAnswers : public testing::Test {
  protected:
    static OllamaIdentity identity() {
        return {.id = "7", .model = "m", .now = [] { return std::string("now"); }};
    }
    static OllamaRequest thinking() {
        AnswerRules rules{.format = {.calls = CallFamily::kHermes, .thought = ThoughtForm::kTags, .tags = &thought_notations()[0]},
                          .functions = {{"f", json()}, {"g", json()}}};
        return {.n_prompt_tokens = 3, .rules = std::make_shared<const AnswerRules>(std::move(rules))};
    }
    static engine::StreamUpdate finish(engine::FinishReason reason) {
        engine::StreamUpdate update;
        update.finish = engine::Finish{.reason = reason};
        return update;
    }
    tests::Letters tokenizer_;
    AnswerTimings timings_{.queue_seconds = 0.5, .prefill_seconds = 0.25, .decode_seconds = 2.0, .n_generated_tokens = 5};
};

TEST_F(OllamaAnswers, LinesJoinedAreTheWholeAnswer) {
    const std::string text =
        "<think>\nhm</think>\nsome text <tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": [1, 2]}}\n</tool_call>"
        "<tool_call>{\"name\": \"g\", \"arguments\": {}}</tool_call>";
    for (const std::size_t size : {std::size_t{1}, std::size_t{7}, text.size()}) {
        OllamaAnswer whole(thinking(), identity(), tokenizer_);
        OllamaAnswer stream(thinking(), identity(), tokenizer_);
        std::vector<std::string> lines;
        const auto both = [&](engine::StreamUpdate update) {
            engine::StreamUpdate copy = update;
            whole.take(std::move(copy));
            for (std::string& line : stream.update(std::move(update))) lines.push_back(std::move(line));
        };
        for (std::size_t at = 0; at < text.size(); at += size) both({.text = text.substr(at, size)});
        both(finish(engine::FinishReason::kStop));
        for (std::string& line : stream.end(timings_)) lines.push_back(std::move(line));

        ordered_json joined{{"role", "assistant"}, {"content", ""}, {"thinking", ""}, {"tool_calls", ordered_json::array()}};
        for (std::size_t i = 0; i < lines.size(); ++i) {
            const ordered_json line = ordered_json::parse(lines[i]);
            EXPECT_EQ(line["done"], i + 1 == lines.size());
            EXPECT_EQ(lines[i].find('\n'), std::string::npos);
            for (const char* key : {"content", "thinking"}) {
                if (!line["message"].contains(key)) continue;
                joined[key] = joined[key].get<std::string>() + line["message"][key].get<std::string>();
            }
            if (!line["message"].contains("tool_calls")) continue;
            for (const auto& call : line["message"]["tool_calls"]) joined["tool_calls"].push_back(call);
        }
        const ordered_json answer = whole.answer(timings_);
        EXPECT_EQ(joined, answer["message"]);
        EXPECT_EQ(answer["message"]["content"].get<std::string>().find("some text"), 0U);
        EXPECT_EQ(answer["message"]["thinking"], "hm");
        EXPECT_EQ(answer["message"]["tool_calls"][0]["function"]["arguments"].dump(), R"({"x":[1,2]})");
        EXPECT_EQ(answer["message"]["tool_calls"][1]["function"]["index"], 1);
        const ordered_json last = ordered_json::parse(lines.back());
        for (const char* key : {"done_reason", "total_duration", "prompt_eval_count", "eval_count", "eval_duration"}) {
            EXPECT_EQ(last[key], answer[key]) << key;
        }
    }
}

TEST_F(OllamaAnswers, EndWithTheirReasonAndDurationsInNanoseconds) {
    OllamaAnswer answer({.endpoint = OllamaEndpoint::kGenerate, .n_prompt_tokens = 3}, identity(), tokenizer_);
    answer.take({.text = "ab"});
    answer.take(finish(engine::FinishReason::kLength));
    EXPECT_EQ(answer.answer(timings_).dump(),
              R"({"model":"m","created_at":"now","response":"ab","done":true,"done_reason":"length","total_duration":2750000000,)"
              R"("load_duration":0,"prompt_eval_count":3,"prompt_eval_duration":250000000,"eval_count":5,"eval_duration":2000000000})");
}

TEST_F(OllamaAnswers, HaveTheTokensOfTheConversationAndLogprobsWhereTheyAreAskedFor) {
    OllamaRequest request{.endpoint = OllamaEndpoint::kGenerate, .n_prompt_tokens = 2, .n_logprobs = 1, .with_context = true};
    request.sequence.prompt = {8, 9};
    OllamaAnswer stream(request, identity(), tokenizer_);
    const auto lines = stream.update({.tokens = {tests::token(0)}, .text = "a"});
    ASSERT_EQ(lines.size(), 1U);
    const json line = json::parse(lines[0]);
    EXPECT_EQ(line["logprobs"][0]["token"], "a");
    EXPECT_EQ(line["logprobs"][0]["top_logprobs"].size(), 1U);
    EXPECT_TRUE(stream.update(finish(engine::FinishReason::kStop)).empty());
    EXPECT_EQ(json::parse(stream.end(timings_).at(0))["context"], (json{8, 9, 0}));
}

TEST_F(OllamaAnswers, SayAnErrorOnce) {
    OllamaAnswer stream({}, identity(), tokenizer_);
    engine::StreamUpdate failed = finish(engine::FinishReason::kError);
    failed.finish->error = Error{"no \xFFmemory", ErrorKind::kOutOfMemory};
    EXPECT_EQ(stream.update(std::move(failed)), std::vector<std::string>{"{\"error\":\"no \uFFFDmemory\"}"});
    EXPECT_TRUE(stream.update({.text = "a"}).empty());
    EXPECT_TRUE(stream.end(timings_).empty());
    EXPECT_TRUE(stream.fail("again").empty());
}

}  // namespace
}  // namespace rafter::protocols
