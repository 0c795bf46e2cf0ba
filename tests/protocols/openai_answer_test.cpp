// The engine's answers as OpenAI's objects: which tokens are shown, and how.
#include "protocols/openai_answer.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/protocols/letters.h"

namespace rafter::protocols {
namespace {

using engine::tests::FakeTokenizer;
using tests::Letters;
using tests::token;
using Json = nlohmann::ordered_json;

OpenAiChoice choice(std::vector<engine::GeneratedToken> tokens, std::string text, engine::FinishReason reason) {
    OpenAiChoice choice{.tokens = std::move(tokens), .text = std::move(text), .finish = {.reason = reason}};
    choice.finish.times.n_generated = static_cast<std::uint32_t>(choice.tokens.size());
    return choice;
}

class OpenAiAnswers : public testing::Test {
  protected:
    nlohmann::ordered_json answer(std::vector<OpenAiChoice> choices) {
        return openai_answer(request_, choices, {.id = "7", .created_unix_s = 123, .model = "m"}, tokenizer_);
    }
    nlohmann::ordered_json first(OpenAiChoice one) { return answer({std::move(one)})["choices"][0]; }

    Letters tokenizer_;
    OpenAiRequest request_{.endpoint = OpenAiEndpoint::kCompletions, .n_prompt_tokens = 5, .n_logprobs = 2};
};

TEST_F(OpenAiAnswers, CompletionsAndChatsHaveTheirOwnShapes) {
    request_.n_logprobs.reset();
    std::vector<OpenAiChoice> choices = {choice({{0}, {1}}, "ab", engine::FinishReason::kLength),
                                         choice({{2}, {FakeTokenizer::kEnd}}, "c", engine::FinishReason::kStop)};
    const auto completion = answer(choices);
    EXPECT_EQ(completion["id"], "cmpl-7");
    EXPECT_EQ(completion["object"], "text_completion");
    EXPECT_EQ(completion["created"], 123);
    EXPECT_EQ(completion["model"], "m");
    EXPECT_EQ(completion["choices"][0], (Json{{"index", 0}, {"text", "ab"}, {"logprobs", nullptr}, {"finish_reason", "length"}}));
    EXPECT_EQ(completion["choices"][1]["finish_reason"], "stop");
    EXPECT_EQ(completion["usage"], (Json{{"prompt_tokens", 5},
                                         {"completion_tokens", 4},
                                         {"total_tokens", 9},
                                         {"prompt_tokens_details", {{"cached_tokens", 0}}},
                                         {"completion_tokens_details", {{"reasoning_tokens", 0}}}}));
    request_.endpoint = OpenAiEndpoint::kChatCompletions;
    const auto chat = answer(choices);
    EXPECT_EQ(chat["id"], "chatcmpl-7");
    EXPECT_EQ(chat["object"], "chat.completion");
    EXPECT_EQ(chat["choices"][1]["message"], (Json{{"role", "assistant"}, {"content", "c"}, {"refusal", nullptr}}));
}

TEST_F(OpenAiAnswers, LogprobsAreOfTheTokensThatTheTextShows) {
    const auto end = first(choice({token(0), token(1), token(FakeTokenizer::kEnd)}, "ab", engine::FinishReason::kStop))["logprobs"];
    EXPECT_EQ(end["tokens"], (Json{"a", "b"}));
    EXPECT_EQ(end["text_offset"], (Json{0, 1}));
    EXPECT_EQ(end["token_logprobs"], (Json{-0.5, -0.5}));
    EXPECT_EQ(end["top_logprobs"][0], (Json{{"a", -0.5}, {"z", -3.0}}));
    // "bc" was the stop text: of its tokens none is shown.
    const auto cut = first(choice({token(0), token(1), token(2)}, "a", engine::FinishReason::kStop))["logprobs"];
    EXPECT_EQ(cut["tokens"], Json{"a"});
    const auto none = first(choice({}, "", engine::FinishReason::kStop));
    EXPECT_EQ(none["logprobs"], nullptr);
}

TEST_F(OpenAiAnswers, HalvesOfACharacterAreBytesAndStandWhereItBegins) {
    const std::vector<engine::GeneratedToken> tokens = {token(0), token(FakeTokenizer::kHalf), token(FakeTokenizer::kOtherHalf), token(1)};
    const auto completion = first(choice(tokens, "a\u00e9b", engine::FinishReason::kLength))["logprobs"];
    EXPECT_EQ(completion["tokens"], (Json{"a", "bytes:\\xc3", "bytes:\\xa9", "b"}));
    EXPECT_EQ(completion["text_offset"], (Json{0, 1, 1, 2}));
    request_.endpoint = OpenAiEndpoint::kChatCompletions;
    const auto chat = first(choice(tokens, "a\u00e9b", engine::FinishReason::kLength))["logprobs"];
    EXPECT_EQ(chat["content"][1]["bytes"], Json{0xC3});
    EXPECT_EQ(chat["content"][0]["token"], "a");
    EXPECT_EQ(chat["content"][0]["top_logprobs"].size(), 2U);
    EXPECT_EQ(chat["refusal"], nullptr);
}

TEST_F(OpenAiAnswers, AnEchoStandsBeforeTheAnswerInTextAndLogprobs) {
    request_.n = 2;
    request_.echoes = {{.text = "ab", .tokens = {0, 1}}};
    auto one = choice({token(2)}, "c", engine::FinishReason::kLength);
    one.prompt_scores = {{.logprob = -1.5, .top = {{1, -1.5}, {25, -3.0}}}};
    const auto both = answer({one, choice({token(3)}, "d", engine::FinishReason::kLength)})["choices"];
    EXPECT_EQ(both[0]["text"], "abc");
    EXPECT_EQ(both[1]["text"], "abd");
    EXPECT_EQ(both[1]["logprobs"]["tokens"], (Json{"a", "b", "d"}));
    EXPECT_EQ(both[1]["logprobs"]["token_logprobs"], (Json{nullptr, -1.5, -0.5}));
    EXPECT_EQ(both[1]["logprobs"]["top_logprobs"][0], nullptr);
    EXPECT_EQ(both[1]["logprobs"]["top_logprobs"][1], (Json{{"b", -1.5}, {"z", -3.0}}));
    EXPECT_EQ(both[1]["logprobs"]["text_offset"], (Json{0, 1, 2}));
    // What stands before the text (BOS, a space) has none of its characters.
    request_.n = 1;
    request_.echoes = {{.text = "b", .tokens = {0, 1}}};
    EXPECT_EQ(answer({one})["choices"][0]["logprobs"]["text_offset"], (Json{0, 0, 1}));
}

TEST_F(OpenAiAnswers, AnEchoWithoutItsScoresHasNulls) {
    request_.echoes = {{.text = "ab", .tokens = {0, 1}}};
    const auto logprobs = first(choice({token(2)}, "c", engine::FinishReason::kTimeout))["logprobs"];
    EXPECT_EQ(logprobs["token_logprobs"], (Json{nullptr, nullptr, -0.5}));
    EXPECT_EQ(logprobs["top_logprobs"][1], nullptr);
}

TEST_F(OpenAiAnswers, EndTokensThatEndNothingAreShownAsOthersAre) {
    request_.ignore_eos = true;
    const std::vector<engine::GeneratedToken> tokens = {token(0), token(FakeTokenizer::kEnd), token(1), token(FakeTokenizer::kEnd)};
    EXPECT_EQ(first(choice(tokens, "ab", engine::FinishReason::kLength))["logprobs"]["tokens"], (Json{"a", "", "b", ""}));
    // The stop text "b" was found: the last end token comes after it.
    EXPECT_EQ(first(choice(tokens, "a", engine::FinishReason::kStop))["logprobs"]["tokens"], (Json{"a"}));
}

// Prompt tokens count once, so those are cached that no choice had to compute.
TEST_F(OpenAiAnswers, CachedTokensAreThoseOfTheChoiceThatFoundFewest) {
    std::vector<engine::Finish> finishes(4);
    finishes[0].times.n_reused = 5;
    finishes[1].times.n_reused = 3;
    finishes[2].times.n_reused = 0;
    finishes[3].times.n_reused = 9;
    EXPECT_EQ(openai_usage(20, 2, finishes).n_cached_tokens, 3U);
    EXPECT_EQ(openai_usage(20, 1, finishes).n_cached_tokens, 17U);
}

TEST_F(OpenAiAnswers, TimingsStandBehindTheUsageWhereThereAreSome) {
    request_.n_logprobs.reset();
    const std::vector<OpenAiChoice> choices = {choice({{0}}, "a", engine::FinishReason::kLength)};
    const AnswerTimings timings{.queue_seconds = 0.5, .bound = "memory"};
    const auto timed = openai_answer(request_, choices, {.id = "7", .model = "m"}, tokenizer_, {.timings = &timings});
    EXPECT_EQ(timed["timings"]["queue_seconds"], 0.5);
    EXPECT_EQ(timed["timings"]["bound"], "memory");
    EXPECT_EQ(timed["timings"]["predicted_first_token_seconds"], nullptr);
    EXPECT_FALSE(answer(choices).contains("timings"));
}

TEST_F(OpenAiAnswers, CachedTokensCanBeLeftOut) {
    request_.n_logprobs.reset();
    const std::vector<OpenAiChoice> choices = {choice({{0}}, "a", engine::FinishReason::kLength)};
    const auto usage = openai_answer(request_, choices, {.id = "7", .model = "m"}, tokenizer_, {.without_cached_tokens = true})["usage"];
    EXPECT_FALSE(usage.contains("prompt_tokens_details"));
    EXPECT_EQ(usage["total_tokens"], 6);
}

TEST_F(OpenAiAnswers, OnlyAsManyLikeliestTokensAreShownAsAskedFor) {
    request_.n_logprobs = 1;  // the engine gave two
    const auto one = first(choice({token(0)}, "a", engine::FinishReason::kLength))["logprobs"];
    EXPECT_EQ(one["top_logprobs"][0], (Json{{"a", -0.5}}));
    request_.endpoint = OpenAiEndpoint::kChatCompletions;
    request_.n_logprobs = 0;
    const auto none = first(choice({token(0)}, "a", engine::FinishReason::kLength))["logprobs"];
    EXPECT_EQ(none["content"][0]["logprob"], -0.5);
    EXPECT_EQ(none["content"][0]["top_logprobs"], Json::array());
}

TEST_F(OpenAiAnswers, PromptLogprobsAreByTokenWithRanks) {
    request_.n_logprobs.reset();
    request_.n_prompt_logprobs = 1;
    request_.n = 2;
    request_.scored_prompts = {{0, 1, 2}};
    auto one = choice({token(3)}, "d", engine::FinishReason::kLength);
    one.prompt_scores = {{.logprob = -1.5, .top = {{25, -0.25}, {1, -1.5}}}, {.logprob = -9.0, .top = {{25, -0.25}, {24, -3.0}}}};
    const std::vector<OpenAiChoice> both = {one, choice({token(4)}, "e", engine::FinishReason::kLength)};
    const Json expected{nullptr,
                        {{"1", {{"logprob", -1.5}, {"rank", 2}, {"decoded_token", "b"}}},
                         {"25", {{"logprob", -0.25}, {"rank", 1}, {"decoded_token", "z"}}}},
                        {{"2", {{"logprob", -9.0}, {"rank", nullptr}, {"decoded_token", "c"}}},
                         {"25", {{"logprob", -0.25}, {"rank", 1}, {"decoded_token", "z"}}}}};
    const auto completion = answer(both);
    for (const std::size_t i : {0U, 1U}) {
        EXPECT_EQ(completion["choices"][i]["prompt_logprobs"], expected);
        EXPECT_EQ(completion["choices"][i]["logprobs"], nullptr);
    }
    request_.endpoint = OpenAiEndpoint::kChatCompletions;
    EXPECT_EQ(answer(both)["prompt_logprobs"], expected);
}

TEST_F(OpenAiAnswers, InfiniteLogprobsAreOpenAisLeast) {
    const double least = -std::numeric_limits<double>::infinity();
    const auto logprobs = first(choice({token(0, least)}, "a", engine::FinishReason::kLength))["logprobs"];
    EXPECT_EQ(logprobs["token_logprobs"], Json{-9999.0});
    EXPECT_EQ(logprobs["top_logprobs"][0]["a"], -9999.0);
}

TEST_F(OpenAiAnswers, ChoiceIsWhatItsStreamBrought) {
    OpenAiChoice choice;
    EXPECT_FALSE(choice.take({.tokens = {{.id = 0}}, .text = "a"}));
    EXPECT_TRUE(choice.take({.tokens = {{.id = 1}}, .text = "b", .finish = engine::Finish{.reason = engine::FinishReason::kLength}}));
    EXPECT_EQ(choice.text, "ab");
    EXPECT_EQ(choice.tokens.size(), 2U);
    EXPECT_EQ(choice.finish.reason, engine::FinishReason::kLength);
}

}  // namespace
}  // namespace rafter::protocols
