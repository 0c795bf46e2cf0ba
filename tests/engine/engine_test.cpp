// The engine on a model that hashes what it finds in its cache: outputs must be equal bit for bit whatever else runs, and no block may be
// lost.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/engine/engine_rig.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;

TEST(Engine, AnswersAsTheModelSays) {
    Rig rig;
    const StreamUpdate update = rig.run(request_of("hello", 20));
    EXPECT_EQ(ids(update), slow_answer(rig.model, request_of("hello").prompt, 20));
    EXPECT_EQ(update.text, rig.tokenizer.decode(ids(update), text::SpecialTokens::kAsText));
    ASSERT_TRUE(update.finish.has_value());
    EXPECT_EQ(update.finish->reason, FinishReason::kLength);
    EXPECT_FALSE(update.finish->context_full);
    EXPECT_EQ(update.finish->times.n_prompt, 5U);
    EXPECT_EQ(update.finish->times.n_generated, 20U);
    EXPECT_EQ(rig.n_used(), 0U);
}

TEST(Engine, DecodesAllRunningSequencesInOneBatch) {
    Rig rig;
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (const char* prompt : {"a", "bb", "ccc"}) streams.push_back(rig.submit(request_of(prompt, 5)));
    while (rig.engine.step()) {}
    ASSERT_EQ(rig.model.steps.size(), 5U);
    EXPECT_EQ(rig.model.steps[0].n_tokens(), 6U);
    for (std::size_t i = 1; i < 5; ++i) EXPECT_EQ(rig.model.steps[i].n_tokens(), 3U);
}

TEST(Engine, SaysWhetherAStepWasPrefillDecodeOrBoth) {
    Rig rig;
    EXPECT_FALSE(rig.engine.step());
    EXPECT_EQ(rig.engine.last_step().kind, StepKind::kNone);
    const auto first = rig.submit(request_of("a", 4));  // one token, and a prompt all the same
    std::vector<StepKind> kinds;
    for (int i = 0; i < 4; ++i) {
        if (i == 2) (void)rig.submit(request_of("bcd", 1));
        ASSERT_TRUE(rig.engine.step());
        kinds.push_back(rig.engine.last_step().kind);
    }
    EXPECT_EQ(kinds, (std::vector<StepKind>{StepKind::kPrefill, StepKind::kDecode, StepKind::kMixed, StepKind::kDecode}));
}

TEST(Engine, CutsALongPromptIntoStepsBesideTheDecodingOnes) {
    RigOptions setup;
    setup.limits = {.n_tokens = 8, .n_outputs = 4};
    Rig rig(setup);
    const auto first = rig.submit(request_of("ab", 6));
    ASSERT_TRUE(rig.engine.step());
    const auto second = rig.submit(request_of("abcdefghijklmnopqrst", 2));
    while (rig.engine.step()) {}
    EXPECT_EQ(rig.model.steps[1].n_tokens(), 8U);  // one decoding, seven of the prompt
    EXPECT_EQ(rig.model.steps[1].sequences[0].n_new, 1U);
    EXPECT_EQ(ids(first->take()), slow_answer(rig.model, request_of("ab").prompt, 6));
    EXPECT_EQ(ids(second->take()), slow_answer(rig.model, request_of("abcdefghijklmnopqrst").prompt, 2));
}

TEST(Engine, GivesEachRequestTheSameBitsWhateverElseRunsAndHoweverItIsCut) {
    std::mt19937 random(1);
    for (int round = 0; round < 60; ++round) {
        std::vector<Request> requests;
        for (int i = 0; i < 12; ++i) requests.push_back(random_request(random, 40, 20));
        std::vector<StreamUpdate> alone;
        for (const Request& request : requests) alone.push_back(Rig().run(request));

        RigOptions setup;
        setup.block_size = 1U << (random() % 5);
        setup.n_blocks = 800 / setup.block_size;
        setup.windows = std::vector<std::vector<std::uint32_t>>{{0}, {0, 20}, {0, 3, 9}}[random() % 3];
        setup.limits.n_tokens = 1 + random() % 50;
        setup.limits.n_outputs = 1 + random() % 9;
        Rig rig(setup);
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (const Request& request : requests) {
            streams.push_back(rig.submit(request));
            for (std::uint32_t n = random() % 4; n > 0; --n) rig.engine.step();
        }
        while (rig.engine.step()) {}
        for (std::size_t i = 0; i < requests.size(); ++i) {
            const StreamUpdate together = streams[i]->take();
            ASSERT_EQ(ids(together), ids(alone[i]));
            ASSERT_EQ(together.text, alone[i].text);
            ASSERT_EQ(together.finish->reason, alone[i].finish->reason);
            for (std::size_t j = 0; j < together.tokens.size(); ++j) {
                ASSERT_EQ(together.tokens[j].logprobs.has_value(), requests[i].n_logprobs.has_value());
                if (together.tokens[j].logprobs) {
                    ASSERT_EQ(together.tokens[j].logprobs->top, alone[i].tokens[j].logprobs->top);
                }
            }
        }
        for (const model::StepShape& step : rig.model.steps) {
            ASSERT_LE(step.n_tokens(), setup.limits.n_tokens);
            ASSERT_LE(step.n_outputs(), setup.limits.n_outputs);
        }
        ASSERT_EQ(rig.n_used(), 0U);
    }
}

TEST(Engine, LeavesThePoolEmptyAfterManyRequestsCancelledAnywhere) {
    std::mt19937 random(2);
    RigOptions setup;
    setup.n_blocks = 40;  // too few for all at once, and for the longest alone
    setup.context = 200;
    Rig rig(setup);
    std::vector<std::shared_ptr<TokenStream>> streams;
    std::map<FinishReason, int> endings;
    for (int i = 0; i < rafter::tests::rounds(5'000); ++i) {
        streams.push_back(rig.submit(random_request(random, 170, 50)));
        for (std::uint32_t n = random() % 8; n > 0; --n) rig.engine.step();
        if (random() % 3 == 0) streams[random() % streams.size()]->cancel();
        std::erase_if(streams, [&](const auto& stream) {
            const StreamUpdate update = stream->take();
            if (update.finish) ++endings[update.finish->reason];
            return update.finish.has_value();
        });
    }
    while (rig.engine.step()) {}
    for (const auto& stream : streams) ++endings[stream->take().finish.value().reason];
    EXPECT_EQ(rig.n_used(), 0U);
    for (const auto reason : {FinishReason::kStop, FinishReason::kLength, FinishReason::kCancelled, FinishReason::kError}) {
        EXPECT_GT(endings[reason], rafter::tests::rounds(50)) << to_string(reason);
    }
}

TEST(Engine, ComputesOnlyWhatIsNewOfAConversation) {
    Rig rig;
    Request first = request_of("abcdefghij", 6);
    const auto answer = ids(rig.run(first));
    Request second = first;
    second.prompt.insert(second.prompt.end(), answer.begin(), answer.end());
    for (const TokenId token : {3, 2, 1}) second.prompt.push_back(token);
    rig.model.steps.clear();
    const StreamUpdate update = rig.run(second);
    // The answer's last token was never computed.
    EXPECT_EQ(update.finish->times.n_reused, 15U);
    EXPECT_EQ(rig.model.steps[0].n_tokens(), 4U);
    EXPECT_EQ(ids(update), slow_answer(rig.model, second.prompt, 6));
    EXPECT_EQ(rig.n_used(), 0U);
}

TEST(Engine, ReusesUpToTheFirstTokenThatDiffersAndNeverTheLast) {
    Rig rig;
    (void)rig.run(request_of("abcdefgh", 3));
    const StreamUpdate branched = rig.run(request_of("abcdezzz", 4));
    EXPECT_EQ(branched.finish->times.n_reused, 5U);
    EXPECT_EQ(ids(branched), slow_answer(rig.model, request_of("abcdezzz").prompt, 4));
    const StreamUpdate same = rig.run(request_of("abcdezzz", 4));
    EXPECT_EQ(same.finish->times.n_reused, 7U);
    EXPECT_EQ(ids(same), ids(branched));
}

TEST(Engine, EndsWithAnEndTokenWhoseTextIsNotShown) {
    Rig rig;
    rig.model.script = {4, 5, FakeTokenizer::kEnd};
    rig.model.script_from = 2;
    Request request = request_of("ab");
    request.end_tokens = {FakeTokenizer::kEnd};
    const StreamUpdate update = rig.run(request);
    EXPECT_EQ(update.text, "ef");
    EXPECT_EQ(ids(update), (std::vector<TokenId>{4, 5, FakeTokenizer::kEnd}));
    EXPECT_EQ(update.finish->reason, FinishReason::kStop);
}

TEST(Engine, EndsBeforeAStopStringAcrossTokens) {
    Rig rig;
    rig.model.script = {4, 5, 6, 7, 8};
    rig.model.script_from = 2;
    Request request = request_of("ab");
    request.stop = {"gh", "zzz"};
    const StreamUpdate update = rig.run(request);
    EXPECT_EQ(update.text, "ef");
    EXPECT_EQ(update.tokens.size(), 4U);
    EXPECT_EQ(update.finish->reason, FinishReason::kStop);
}

TEST(Engine, ShowsWholeCharactersAndTheHeldBackTextAtTheEnd) {
    Rig rig;
    rig.model.script = {0, FakeTokenizer::kHalf, FakeTokenizer::kOtherHalf, FakeTokenizer::kHalf};
    rig.model.script_from = 2;
    const auto stream = rig.submit(request_of("ab", 4));
    std::vector<std::string> texts;
    while (rig.engine.step()) texts.push_back(stream->take().text);
    if (const auto rest = stream->take().text; !rest.empty()) texts.push_back(rest);
    std::erase(texts, "");
    EXPECT_EQ(texts, (std::vector<std::string>{"a", "\xC3\xA9", "\xEF\xBF\xBD"}));
}

TEST(Engine, StopsWhenTheContextIsFullAndSaysSo) {
    RigOptions setup;
    setup.context = 12;
    Rig rig(setup);
    const StreamUpdate update = rig.run(request_of("abcdefghi", 100));
    EXPECT_EQ(update.tokens.size(), 3U);
    EXPECT_EQ(update.finish->reason, FinishReason::kLength);
    EXPECT_TRUE(update.finish->context_full);
}

TEST(Engine, RefusesWhatCanNeverRun) {
    RigOptions setup;
    setup.context = 8;
    Rig rig(setup);
    const auto message = [&](Request request) { return rig.engine.submit(std::move(request)).error().message; };
    EXPECT_EQ(message(request_of("")), "the prompt is empty: expected at least one token");
    EXPECT_EQ(message(request_of("abcdefgh")), "the prompt is too long: expected at most 7 tokens in a context of 8, found 8");
    Request request = request_of("a");
    request.prompt = {0, 32};
    EXPECT_EQ(message(request), "the prompt holds token 32: expected 0 to 31");
    request.prompt = {-1};
    EXPECT_EQ(message(request), "the prompt holds token -1: expected 0 to 31");
    request = request_of("a");
    request.sampling.top_p = 2;
    EXPECT_EQ(message(request), "top-p: expected 0 to 1, found 2");
    request = request_of("abc");
    request.score_prompt_from = 3;
    EXPECT_EQ(message(request), "scoring starts at position 3, but the prompt has only 3 tokens");
    EXPECT_FALSE(rig.engine.step());
}

TEST(Engine, RunningOutOfBlocksEndsThatRequestAlone) {
    RigOptions setup;
    setup.n_blocks = 10;  // 40 positions
    Rig rig(setup);
    const StreamUpdate too_long = rig.run(request_of(std::string(50, 'a'), 5));
    EXPECT_EQ(too_long.finish->reason, FinishReason::kError);
    EXPECT_EQ(too_long.finish->error->message, "out of KV cache: the prompt has 50 tokens, but the cache has room for only 40");

    const auto grows = rig.submit(request_of("abcdefgh", 100));
    const auto ends = rig.submit(request_of("abcd", 5));
    while (rig.engine.step()) {}
    EXPECT_EQ(ids(ends->take()), slow_answer(rig.model, request_of("abcd").prompt, 5));
    const StreamUpdate update = grows->take();
    EXPECT_EQ(update.finish->reason, FinishReason::kError);
    EXPECT_EQ(update.finish->error->kind, ErrorKind::kOutOfMemory);
    EXPECT_EQ(ids(update), slow_answer(rig.model, request_of("abcdefgh").prompt, update.tokens.size()));
    EXPECT_EQ(update.tokens.size(), 33U);
    EXPECT_EQ(rig.n_used(), 0U);
}

TEST(Engine, PoisonedLogitsEndThatRequestAlone) {
    Rig rig;
    rig.model.poison = 25;
    const auto good = rig.submit(request_of("abc", 4));
    const auto bad = rig.submit(request_of("abz", 4));
    while (rig.engine.step()) {}
    EXPECT_EQ(bad->take().finish->reason, FinishReason::kError);
    EXPECT_EQ(good->take().finish->reason, FinishReason::kLength);
    EXPECT_EQ(rig.n_used(), 0U);
}

TEST(Engine, ScoresThePromptAsTheModelSaysHoweverItIsCut) {
    const Request plain = request_of("abracadabraabracadabra", 0);
    for (const std::uint32_t n_outputs : {1U, 3U, 100U}) {
        RigOptions setup;
        setup.limits = {.n_tokens = 7, .n_outputs = n_outputs};
        Rig rig(setup);
        Request request = plain;
        request.score_prompt_from = 9;
        const StreamUpdate update = rig.run(request);
        EXPECT_TRUE(update.tokens.empty());
        EXPECT_EQ(update.finish->reason, FinishReason::kLength);
        ASSERT_EQ(update.prompt_scores.size(), plain.prompt.size() - 10);
        for (std::size_t i = 0; i < update.prompt_scores.size(); ++i) {
            const std::span<const TokenId> history(plain.prompt.data(), 10 + i);
            EXPECT_EQ(update.prompt_scores[i].logprob, logprobs_of(rig.model.logits_after(history), plain.prompt[10 + i], 0).logprob);
        }
        EXPECT_EQ(rig.n_used(), 0U);
    }
}

TEST(Engine, ScoresAndAnswersInOneRequest) {
    Rig rig;
    Request request = request_of("abcdef", 3);
    request.score_prompt_from = 0;
    const StreamUpdate update = rig.run(request);
    EXPECT_EQ(update.prompt_scores.size(), 5U);
    EXPECT_EQ(ids(update), slow_answer(rig.model, request.prompt, 3));
}

TEST(Engine, TakesRequestsFromOtherThreadsWhileItSteps) {
    Rig rig;
    constexpr int kThreads = 4;
    constexpr int kRequests = 25;
    std::atomic<int> n_done = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < kRequests; ++i) {
                const auto stream = *rig.engine.submit(request_of("abc", 7));
                std::vector<TokenId> tokens;
                for (bool finished = false; !finished;) {
                    const StreamUpdate update = stream->wait();
                    for (const TokenId id : ids(update)) tokens.push_back(id);
                    finished = update.finish.has_value();
                }
                EXPECT_EQ(tokens.size(), 7U);
            }
            ++n_done;
        });
    }
    while (n_done < kThreads) {
        if (!rig.engine.step()) std::this_thread::yield();
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(rig.n_used(), 0U);
}

}  // namespace
}  // namespace rafter::engine
