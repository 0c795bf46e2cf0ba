// Forced tokens in the engine: in the midst of an answer, under drafts and stop texts, and from another thread. What the definition gives,
// with masks and all else, is mask_engine_test.cpp's.
#include <gtest/gtest.h>

#include <thread>

#include "tests/engine/engine_rig.h"
#include "tests/engine/speculation/knowing_drafter.h"
#include "tests/engine/thread_rig.h"

namespace rafter::engine {
namespace {

using namespace tests;

TEST(ForcedTokens, CountForMaxTokensAndStopTexts) {
    Request request = request_of("abc", 6);
    request.forced = {{.after = 2, .tokens = {7, 8, 9, 10, 11, 12}}};
    Rig rig;
    StreamUpdate found = rig.run(request);
    const std::vector<TokenId> free = slow_answer(rig.model, request.prompt, 2);
    EXPECT_EQ(ids(found), (std::vector<TokenId>{free[0], free[1], 7, 8, 9, 10}));
    EXPECT_EQ(found.finish->reason, FinishReason::kLength);
    request.stop = {"ij"};  // 8, 9
    found = rig.run(request);
    EXPECT_EQ(ids(found), (std::vector<TokenId>{free[0], free[1], 7, 8, 9}));
    EXPECT_EQ(found.finish->reason, FinishReason::kStop);
    EXPECT_TRUE(found.text.ends_with("h"));
}

TEST(ForcedTokens, AnEndTokenEndsTheAnswerBeforeMinTokensToo) {
    Request request = request_of("abc", 20);
    request.end_tokens = {FakeTokenizer::kEnd};
    request.min_tokens = 10;
    request.forced = {{.after = 3, .tokens = {FakeTokenizer::kEnd}}};
    const StreamUpdate found = Rig().run(request);
    EXPECT_EQ(found.tokens.size(), 4U);
    EXPECT_EQ(found.finish->reason, FinishReason::kStop);
}

TEST(ForcedTokens, HaveTheLogprobsThatTheModelGivesThem) {
    Request request = request_of("abc", 3);
    request.forced = {{.after = 1, .tokens = {7}}};
    request.n_logprobs = 2;
    Rig rig;
    const StreamUpdate found = rig.run(request);
    std::vector<TokenId> history = request.prompt;
    history.push_back(found.tokens[0].id);
    EXPECT_EQ(found.tokens[1].logprobs->logprob, logprobs_of(rig.model.logits_after(history), 7, 2).logprob);
}

TEST(ForcedTokens, UnknownOnesAreRefused) {
    Rig rig;
    Request request = request_of("abc", 6);
    request.forced = {{.after = 2, .tokens = {7}}, {.after = 4, .tokens = {32}}};
    const auto refused = rig.engine.submit(request);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().message, "the forced answer holds token 32: expected 0 to 31");
    const auto stream = rig.submit(request_of("abc", 6));
    EXPECT_EQ(stream->force(std::vector<TokenId>{3, 32}).error().kind, ErrorKind::kBadInput);
    EXPECT_EQ(stream->force(std::vector<TokenId>{-1}).error().kind, ErrorKind::kBadInput);
    while (rig.engine.step()) {}
    EXPECT_EQ(ids(stream->take()), slow_answer(rig.model, request_of("abc").prompt, 6));
}

TEST(ForcedTokens, OfARunningAnswerComeWithTheNextStep) {
    for (const std::uint32_t n_drafts : {0U, 3U}) {
        KnowingDrafter drafter(1.0);
        RigOptions setup;
        if (n_drafts > 0) setup.speculation = {.drafter = &drafter, .most_drafts = 8, .fixed = n_drafts};
        Rig rig(setup);
        drafter.model = &rig.model;
        const auto stream = rig.submit(request_of("abc", 12));
        rig.engine.step();
        rig.engine.step();
        StreamUpdate all = stream->take();
        const std::size_t n_before = all.tokens.size();
        ASSERT_TRUE(stream->force(std::vector<TokenId>{7, 8}));
        ASSERT_TRUE(stream->force(std::vector<TokenId>{9}));
        while (rig.engine.step()) {}
        append(all, stream->take());
        std::vector<TokenId> expected = slow_answer(rig.model, request_of("abc").prompt, n_before);
        std::vector<TokenId> history = request_of("abc").prompt;
        for (const TokenId token : {7, 8, 9}) expected.push_back(token);
        history.insert(history.end(), expected.begin(), expected.end());
        const auto rest = slow_answer(rig.model, history, 12 - expected.size());
        expected.insert(expected.end(), rest.begin(), rest.end());
        EXPECT_EQ(ids(all), expected);
    }
}

TEST(ForcedTokens, MayComeFromAnyThreadAtAnyTime) {
    const ThreadRig rig;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 30; ++i) {
                const auto stream = rig.submit(request_of("abc", 30));
                std::thread other([&] { EXPECT_TRUE(stream->force(std::vector<TokenId>{7, 8, 9}).has_value()); });
                const std::vector<TokenId> found = ids(read(*stream));
                other.join();
                EXPECT_EQ(found.size(), 30U);
                // Up to the forced tokens, and after them, it is what the model says.
                const std::vector<TokenId> prompt = request_of("abc").prompt;
                for (std::size_t j = 0; j < found.size(); ++j) {
                    std::vector<TokenId> history = prompt;
                    history.insert(history.end(), found.begin(), found.begin() + static_cast<std::ptrdiff_t>(j));
                    const TokenId chosen = slow_answer(rig.model, history, 1)[0];
                    if (found[j] != chosen) EXPECT_TRUE(found[j] >= 7 && found[j] <= 9) << "token " << j;
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace rafter::engine
