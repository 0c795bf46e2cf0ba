// When an answer ends: end tokens, stop texts, min_tokens and ignore_eos, on a model that says what its script says.
#include <gtest/gtest.h>

#include <random>

#include "tests/engine/engine_rig.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using tests::ids;
using tests::request_of;
using tests::Rig;
using Ids = std::vector<TokenId>;

constexpr TokenId kEnd = tests::FakeTokenizer::kEnd;

StreamUpdate scripted(Ids script, const Request& request) {
    Rig fake;
    fake.model.script = std::move(script);
    fake.model.script_from = static_cast<std::uint32_t>(request.prompt.size());
    return fake.run(request);
}

TEST(Ending, TheEndTokenComesAfterMinTokensOthers) {
    const Ids script{4, kEnd, 5, kEnd, 6};
    Request request = request_of("ab", 5);
    request.end_tokens = {kEnd};
    EXPECT_EQ(ids(scripted(script, request)), (Ids{4, kEnd}));
    request.min_tokens = 1;
    EXPECT_EQ(ids(scripted(script, request)), (Ids{4, kEnd}));

    request.min_tokens = 2;
    const StreamUpdate update = scripted(script, request);
    // In its place stands what is the likeliest beside it.
    std::vector<float> logits = Rig().model.logits_after(Ids{0, 1, 4});
    logits[kEnd] = -1e9F;
    EXPECT_EQ(ids(update), (Ids{4, *argmax(logits), 5, kEnd}));
    EXPECT_EQ(update.finish->reason, FinishReason::kStop);
}

TEST(Ending, MaxTokensEndsAnAnswerWhateverMinTokensSays) {
    Request request = request_of("ab", 3);
    request.end_tokens = {kEnd, 500, -7};
    request.min_tokens = 1000;
    const StreamUpdate update = scripted({kEnd, kEnd, kEnd, kEnd}, request);
    EXPECT_EQ(update.tokens.size(), 3U);
    EXPECT_EQ(update.finish->reason, FinishReason::kLength);
    for (const TokenId id : ids(update)) EXPECT_NE(id, kEnd);
}

TEST(Ending, StopTextsThatAreCompleteWithinMinTokensAreText) {
    const Ids script{0, 1, 2, 0, 1, 3};  // "abcabd"
    Request request = request_of("zz", 6);
    request.stop = {"ab"};
    EXPECT_EQ(scripted(script, request).text, "");
    request.min_tokens = 1;  // it ends with the second token
    EXPECT_EQ(scripted(script, request).text, "");
    for (const std::uint32_t min_tokens : {2U, 3U, 4U}) {
        request.min_tokens = min_tokens;
        const StreamUpdate update = scripted(script, request);
        EXPECT_EQ(update.text, "abc");
        EXPECT_EQ(update.finish->reason, FinishReason::kStop);
    }
    for (const std::uint32_t min_tokens : {5U, 6U, 7U}) {
        request.min_tokens = min_tokens;
        const StreamUpdate update = scripted(script, request);
        EXPECT_EQ(update.text, "abcabd");
        EXPECT_EQ(update.finish->reason, FinishReason::kLength);
    }
}

TEST(Ending, IgnoredEndTokensAreDrawnAndNeitherEndNorShow) {
    Request request = request_of("ab", 4);
    request.end_tokens = {kEnd, 5};  // the second has a text of its own
    request.ignore_eos = true;
    const StreamUpdate update = scripted({4, kEnd, 5, 6}, request);
    EXPECT_EQ(ids(update), (Ids{4, kEnd, 5, 6}));
    EXPECT_EQ(update.text, "eg");
    EXPECT_EQ(update.finish->reason, FinishReason::kLength);
    request.stop = {"eg"};
    EXPECT_EQ(scripted({4, kEnd, 5, 6}, request).text, "");
    EXPECT_EQ(scripted({4, kEnd, 5, 6}, request).finish->reason, FinishReason::kStop);
}

TEST(Ending, MinTokensForbidsEndTokensAlsoWhereTheyAreIgnored) {
    Request request = request_of("ab", 4);
    request.end_tokens = {kEnd};
    request.ignore_eos = true;
    request.min_tokens = 2;
    const Ids answer = ids(scripted({kEnd, kEnd, kEnd, kEnd}, request));
    EXPECT_NE(answer[0], kEnd);
    EXPECT_NE(answer[1], kEnd);
    EXPECT_EQ(Ids(answer.begin() + 2, answer.end()), (Ids{kEnd, kEnd}));
}

// An answer by the definitions: all tokens first, as if nothing ended, then where it ends.
TEST(Ending, IsWhereTheDefinitionsPutItForRandomRequests) {
    std::mt19937 random(31);
    int n_stopped = 0;
    for (int round = 0; round < rafter::tests::rounds(2000); ++round) {
        std::vector<Request> requests(1 + random() % 4);
        for (Request& request : requests) {
            request = request_of("q", 1 + random() % 15);
            request.prompt.push_back(static_cast<TokenId>(random() % 26));
            request.sampling.temperature = random() % 2 ? 3.0 : 0.0;
            request.sampling.typical_p = random() % 2 ? 0.8 : 1.0;
            request.sampling.seed = random();
            request.min_tokens = random() % 8;
            request.ignore_eos = random() % 3 == 0;
            for (TokenId i = 0; i < 4; ++i) request.end_tokens.push_back(static_cast<TokenId>(random() % 26));
            for (int i = 0; i < 3; ++i) request.stop.emplace_back(1, static_cast<char>('a' + random() % 26));
        }
        const std::vector<StreamUpdate> updates = Rig().run(requests);
        for (std::size_t i = 0; i < requests.size(); ++i) {
            const Request& request = requests[i];
            const auto is_end = [&](TokenId id) { return std::count(request.end_tokens.begin(), request.end_tokens.end(), id) > 0; };
            Ids tokens;
            std::string text;
            FinishReason reason = FinishReason::kLength;
            while (tokens.size() < request.max_tokens && reason == FinishReason::kLength) {
                Ids history = request.prompt;
                history.insert(history.end(), tokens.begin(), tokens.end());
                std::vector<float> logits = Rig().model.logits_after(history);
                for (const TokenId end : request.end_tokens) {
                    if (tokens.size() < request.min_tokens) logits[static_cast<std::size_t>(end)] = -std::numeric_limits<float>::infinity();
                }
                Request plain;
                plain.sampling = request.sampling;
                SamplerScratch scratch;
                tokens.push_back(*Sampler(plain).sample(logits, static_cast<std::uint32_t>(history.size()), scratch));
                if (is_end(tokens.back())) {
                    if (!request.ignore_eos) reason = FinishReason::kStop;
                    continue;
                }
                const std::string letter(1, static_cast<char>('a' + tokens.back()));
                const bool stops = std::count(request.stop.begin(), request.stop.end(), letter) > 0;
                if (stops && tokens.size() > request.min_tokens) {
                    reason = FinishReason::kStop;
                } else {
                    text += letter;
                }
            }
            ASSERT_EQ(ids(updates[i]), tokens) << "round " << round;
            ASSERT_EQ(updates[i].text, text) << "round " << round;
            ASSERT_EQ(updates[i].finish->reason, reason) << "round " << round;
            n_stopped += reason == FinishReason::kStop;
        }
    }
    EXPECT_GT(n_stopped, rafter::tests::rounds(500));
}

}  // namespace
}  // namespace rafter::engine
