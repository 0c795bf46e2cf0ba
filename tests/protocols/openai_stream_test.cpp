// Streams of OpenAI's endpoints: joined they are the whole answer, however the engine's updates are cut.
#include "protocols/openai_stream.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/sampling/stop_matcher.h"
#include "tests/protocols/letters.h"
#include "tests/support/rounds.h"
#include "text/utf8_stream.h"

namespace rafter::protocols {
namespace {

using engine::tests::FakeTokenizer;
using tests::token;
using Json = nlohmann::ordered_json;

OpenAiRequest request_of(OpenAiEndpoint endpoint, std::size_t n_choices, bool logprobs) {
    OpenAiRequest request{.endpoint = endpoint, .n_prompt_tokens = 5};
    request.choices.resize(n_choices);
    if (logprobs) request.n_logprobs = 2;
    return request;
}

engine::StreamUpdate update(std::vector<engine::GeneratedToken> tokens, std::string text) {
    engine::StreamUpdate update;
    update.tokens = std::move(tokens);
    update.text = std::move(text);
    return update;
}

engine::StreamUpdate finish(engine::FinishReason reason, std::uint32_t n_generated = 0) {
    engine::StreamUpdate update;
    update.finish = engine::Finish{.reason = reason};
    update.finish->times.n_generated = n_generated;
    return update;
}

class OpenAiStreams : public testing::Test {
  protected:
    OpenAiStream stream(const OpenAiRequest& request) { return {request, {.id = "7", .created_unix_s = 123, .model = "m"}, tokenizer_}; }

    tests::Letters tokenizer_;
};

TEST_F(OpenAiStreams, AChatBeginsWithItsRoleAndEndsWithItsReason) {
    auto chat = stream(request_of(OpenAiEndpoint::kChatCompletions, 1, false));
    const auto first = chat.update(0, update({{0}}, "a"));
    ASSERT_EQ(first.size(), 2U);
    EXPECT_EQ(Json::parse(first[0]),
              (Json{{"id", "chatcmpl-7"},
                    {"object", "chat.completion.chunk"},
                    {"created", 123},
                    {"model", "m"},
                    {"choices", Json::array({{{"index", 0},
                                              {"delta", {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}},
                                              {"logprobs", nullptr},
                                              {"finish_reason", nullptr}}})}}));
    EXPECT_EQ(Json::parse(first[1])["choices"][0]["delta"], (Json{{"content", "a"}}));
    EXPECT_TRUE(chat.update(0, update({{FakeTokenizer::kHalf}}, "")).empty());  // nothing to show yet
    EXPECT_TRUE(chat.update(0, finish(engine::FinishReason::kLength, 2)).empty());
    EXPECT_TRUE(chat.complete());
    const auto end = chat.end();
    ASSERT_EQ(end.size(), 2U);
    const Json last = Json::parse(end[0]);
    EXPECT_EQ(last["choices"][0]["finish_reason"], "length");
    EXPECT_EQ(last["choices"][0]["delta"], Json::object());
    EXPECT_FALSE(last.contains("usage"));
    EXPECT_EQ(end[1], "[DONE]");
    EXPECT_TRUE(chat.end().empty());
}

TEST_F(OpenAiStreams, UsageComesLastWithoutChoicesAndIsNullBefore) {
    for (const OpenAiEndpoint endpoint : {OpenAiEndpoint::kChatCompletions, OpenAiEndpoint::kCompletions}) {
        auto request = request_of(endpoint, 2, false);
        request.n = 2;
        request.stream_usage = true;
        auto answer = stream(request);
        std::vector<std::string> events;
        for (const std::size_t i : {0U, 1U}) {
            for (auto& event : answer.update(i, update({{0}}, "\"\n\u00e9"))) events.push_back(event);
            for (auto& event : answer.update(i, finish(engine::FinishReason::kStop, 3))) events.push_back(event);
        }
        const AnswerTimings timings{.queue_seconds = 0.25};
        for (auto& event : answer.end(&timings)) events.push_back(event);
        ASSERT_GE(events.size(), 4U);
        EXPECT_EQ(events.back(), "[DONE]");
        const Json last = Json::parse(events[events.size() - 2]);
        EXPECT_EQ(last["choices"], Json::array());
        EXPECT_EQ(last["usage"]["completion_tokens"], 6);
        EXPECT_EQ(last["usage"]["total_tokens"], 11);
        EXPECT_EQ(last["timings"]["queue_seconds"], 0.25);
        for (std::size_t i = 0; i + 2 < events.size(); ++i) {
            const Json chunk = Json::parse(events[i]);
            EXPECT_EQ(events[i].find('\n'), std::string::npos);
            EXPECT_TRUE(chunk.contains("usage") && chunk["usage"].is_null()) << events[i];
            EXPECT_FALSE(chunk.contains("timings"));
        }
    }
}

TEST_F(OpenAiStreams, TimingsAreInTheLastChunkWithoutUsage) {
    auto completion = stream(request_of(OpenAiEndpoint::kCompletions, 1, false));
    EXPECT_EQ(completion.update(0, update({{0}}, "a")).size(), 1U);
    EXPECT_TRUE(completion.update(0, finish(engine::FinishReason::kStop, 1)).empty());
    const AnswerTimings timings{.bound = "compute"};
    EXPECT_EQ(Json::parse(completion.end(&timings)[0])["timings"]["bound"], "compute");
}

TEST_F(OpenAiStreams, AFailureIsOneErrorAndTheEnd) {
    auto chat = stream(request_of(OpenAiEndpoint::kChatCompletions, 2, false));
    EXPECT_EQ(chat.update(0, update({{0}}, "a")).size(), 2U);
    engine::StreamUpdate failed = finish(engine::FinishReason::kError);
    failed.finish->error = Error{"logits: expected numbers, found NaN", ErrorKind::kInternal};
    const auto events = chat.update(1, std::move(failed));
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(Json::parse(events[0]), openai_error(500, "logits: expected numbers, found NaN"));
    EXPECT_TRUE(chat.failed());
    EXPECT_TRUE(chat.update(0, update({{0}}, "b")).empty());
    EXPECT_TRUE(chat.fail(503, "again").empty());
    EXPECT_TRUE(chat.end().empty());
    EXPECT_FALSE(chat.complete());
}

TEST_F(OpenAiStreams, AnEchoWaitsForThePromptsScores) {
    auto request = request_of(OpenAiEndpoint::kCompletions, 2, true);
    request.n = 2;
    request.echoes = {{.text = "ab", .tokens = {0, 1}}};
    auto completion = stream(request);
    EXPECT_TRUE(completion.update(1, update({token(2)}, "c")).empty());  // the first choice brings the scores
    engine::StreamUpdate scores;
    scores.prompt_scores = {{.logprob = -1.5, .top = {}}};
    const auto events = completion.update(0, std::move(scores));
    ASSERT_EQ(events.size(), 2U);
    const Json echo = Json::parse(events[0])["choices"][0];
    EXPECT_EQ(echo["index"], 1);
    EXPECT_EQ(echo["text"], "ab");
    EXPECT_EQ(echo["logprobs"]["token_logprobs"], (Json{nullptr, -1.5}));
    EXPECT_EQ(Json::parse(events[1])["choices"][0]["logprobs"]["text_offset"], Json{2});
    // A first choice that ends without them holds nobody up.
    auto timeout = stream(request);
    EXPECT_TRUE(timeout.update(1, update({token(2)}, "c")).empty());
    EXPECT_EQ(timeout.update(0, finish(engine::FinishReason::kTimeout)).size(), 4U);
}

// A choice as the engine would bring it: random tokens, shown with a stop text and whole characters only, cut at random.
class RandomChoice {
  public:
    RandomChoice(std::mt19937& random, const text::Tokenizer& tokenizer, bool logprobs, bool ignore_eos) {
        const auto below = [&](std::uint32_t n) { return std::uniform_int_distribution<std::uint32_t>(0, n - 1)(random); };
        text::Utf8Stream characters;
        engine::StopMatcher stops({"ab", "bca"});
        engine::StreamUpdate next;
        const std::uint32_t n = below(12);
        bool stopped = false;
        std::uint32_t n_tokens = 0;
        for (; n_tokens < n && !stopped; ++n_tokens) {
            const std::uint32_t kind = below(12);
            const engine::TokenId id = kind < 8 ? static_cast<engine::TokenId>(below(4))
                                                : static_cast<engine::TokenId>(FakeTokenizer::kEnd + static_cast<int>(below(4)));
            next.tokens.push_back(logprobs ? token(id, -0.25 * kind) : engine::GeneratedToken{.id = id});
            const bool is_end = id == FakeTokenizer::kEnd;
            if (!is_end) {
                auto pushed = stops.push(characters.push(tokenizer.piece(id, text::SpecialTokens::kAsText)));
                next.text += pushed.text;
                stopped = pushed.stopped;
            } else if (!ignore_eos) {
                next.text += stops.push(characters.finish()).text + stops.finish();
                stopped = true;
            }
            if (below(3) == 0) updates.push_back(std::exchange(next, {}));
        }
        if (!stopped) next.text += stops.push(characters.finish()).text + stops.finish();
        if (below(2) == 0) updates.push_back(std::exchange(next, {}));
        next.finish = engine::Finish{.reason = stopped ? engine::FinishReason::kStop : engine::FinishReason::kLength};
        next.finish->times.n_generated = n_tokens;
        updates.push_back(std::move(next));
    }
    std::vector<engine::StreamUpdate> updates;
};

// The choices of all chunks, joined.
std::vector<Json> joined(const std::vector<std::string>& events, std::size_t n_choices, bool is_chat) {
    std::vector<Json> choices(n_choices, Json::object());
    for (const std::string& event : events) {
        const Json parsed = Json::parse(event);
        for (const Json& piece : parsed["choices"]) {
            Json& choice = choices[piece["index"].get<std::size_t>()];
            const Json text = is_chat ? piece["delta"].value("content", Json("")) : piece["text"];
            choice["text"] = choice.value("text", "") + text.get<std::string>();
            if (!piece["finish_reason"].is_null()) choice["finish_reason"] = piece["finish_reason"];
            if (piece["logprobs"].is_null()) continue;
            for (const auto& [key, list] : piece["logprobs"].items()) {
                for (const Json& one : list) choice["logprobs"][key].push_back(one);
            }
        }
    }
    return choices;
}

TEST_F(OpenAiStreams, ChunksJoinedAreTheWholeAnswer) {
    std::mt19937 random(7);
    for (std::size_t round = 0; round < static_cast<std::size_t>(rafter::tests::rounds(1000)); ++round) {
        const bool is_chat = round % 2 == 0;
        const bool logprobs = round % 3 != 0;
        OpenAiRequest request = request_of(is_chat ? OpenAiEndpoint::kChatCompletions : OpenAiEndpoint::kCompletions, 4, logprobs);
        request.n = 2;
        request.ignore_eos = random() % 4 == 0;
        if (!is_chat && random() % 2 == 0) {
            const std::vector<engine::TokenId> echoed = logprobs ? std::vector<engine::TokenId>{0, 1, 2} : std::vector<engine::TokenId>();
            request.echoes = {{.text = "abc", .tokens = echoed}, {.text = "bc", .tokens = echoed}};
        }
        std::vector<RandomChoice> sources;
        for (std::size_t i = 0; i < 4; ++i) {
            sources.emplace_back(random, tokenizer_, logprobs, request.ignore_eos);
            if (i % 2 == 0 && logprobs && !request.echoes.empty()) {
                sources[i].updates.insert(sources[i].updates.begin(), engine::StreamUpdate{});
                sources[i].updates[0].prompt_scores = {{.logprob = -1.0, .top = {{1, -1.0}}}};
                sources[i].updates[1].prompt_scores = {{.logprob = -2.0, .top = {}}};
            }
        }
        auto chunks = stream(request);
        std::vector<OpenAiChoice> choices(4);
        std::vector<std::size_t> at(4, 0);
        std::vector<std::string> events;
        while (!chunks.complete()) {
            const std::size_t i = random() % 4;
            if (at[i] == sources[i].updates.size()) continue;
            engine::StreamUpdate copy = sources[i].updates[at[i]];
            static_cast<void>(choices[i].take(std::move(copy)));
            for (auto& event : chunks.update(i, std::move(sources[i].updates[at[i]++]))) events.push_back(event);
        }
        for (auto& event : chunks.end()) events.push_back(event);
        ASSERT_EQ(events.back(), "[DONE]");
        events.pop_back();
        const Json whole = openai_answer(request, choices, {.id = "7", .created_unix_s = 123, .model = "m"}, tokenizer_);
        const std::vector<Json> pieces = joined(events, 4, is_chat);
        for (std::size_t i = 0; i < 4; ++i) {
            const Json& choice = whole["choices"][i];
            ASSERT_EQ(pieces[i]["text"], is_chat ? choice["message"]["content"] : choice["text"]) << "round " << round;
            ASSERT_EQ(pieces[i]["finish_reason"], choice["finish_reason"]);
            const char* key = is_chat ? "content" : "tokens";
            const bool has_some = !choice["logprobs"].is_null() && !choice["logprobs"][key].empty();
            ASSERT_EQ(pieces[i].contains("logprobs"), has_some) << "round " << round;
            if (!has_some) continue;
            for (const auto& [name, list] : choice["logprobs"].items()) {
                if (!list.is_array()) continue;
                ASSERT_EQ(pieces[i]["logprobs"][name], list) << "round " << round << " " << name;
            }
        }
    }
}

}  // namespace
}  // namespace rafter::protocols
