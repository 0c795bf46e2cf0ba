// What the scheduler promises beyond the right tokens: who shares, who waits, who makes room, and for how long.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/engine/engine_rig.h"
#include "tests/engine/made_up_price.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;

std::uint32_t tokens_computed(const FakeModel& model) {
    std::uint32_t n = 0;
    for (const model::StepShape& step : model.steps) n += step.n_tokens();
    return n;
}

TEST(Scheduler, RequestsThatBeginAlikeComputeTheBeginningOnce) {
    RigOptions setup;
    setup.n_blocks = 400;
    Rig rig(setup);
    const std::string shared(60, 'q');
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (const char* own : {"a", "b", "c", "d"}) streams.push_back(rig.submit(request_of(shared + own, 3)));
    while (rig.engine.step()) {}
    EXPECT_EQ(rig.engine.scheduler().counters().waited_for_prefix, 3U);
    EXPECT_EQ(tokens_computed(rig.model), 60U + 4U + 4U * 2U);  // the beginning, each one's own, and each answer but its last token
    for (std::size_t i = 0; i < streams.size(); ++i) {
        const StreamUpdate update = streams[i]->take();
        EXPECT_EQ(update.finish->times.n_reused, i == 0 ? 0U : 60U);
        EXPECT_EQ(ids(update), slow_answer(rig.model, request_of(shared + std::string(1, static_cast<char>('a' + i))).prompt, 3));
    }
    EXPECT_EQ(rig.n_used(), 0U);
}

TEST(Scheduler, TenantsWithTheirOwnSaltShareNothing) {
    Rig rig;
    Request request = request_of("abcdefghijklmnop", 3);
    (void)rig.run(request);
    request.cache_salt = "somebody else";
    EXPECT_EQ(rig.run(request).finish->times.n_reused, 0U);
    EXPECT_EQ(rig.run(request).finish->times.n_reused, 15U);
}

TEST(Scheduler, WithoutThePrefixCacheEverythingIsComputed) {
    RigOptions setup;
    setup.prefix_cache = false;
    Rig rig(setup);
    (void)rig.run(request_of("abcdefghijklmnop", 3));
    EXPECT_EQ(rig.run(request_of("abcdefghijklmnop", 3)).finish->times.n_reused, 0U);
}

TEST(Scheduler, WhoIsPutOffGoesOnToTheSameTokens) {
    std::mt19937 random(3);
    std::uint64_t n_preemptions = 0;
    for (int round = 0; round < rafter::tests::rounds(200); ++round) {
        RigOptions setup;
        setup.n_blocks = 26;  // of 4 positions
        setup.windows = std::vector<std::vector<std::uint32_t>>{{0}, {0, 20}}[random() % 2];
        setup.context = 100;
        setup.prefix_cache = random() % 4 > 0;
        if (random() % 2) setup.cost = StepCost(made_up_price, 32, 100);
        Rig rig(setup);
        std::vector<Request> requests;
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (int i = 0; i < 6; ++i) {
            Request request = random_request(random, 20, 40);
            request.stop.clear();
            // The first answer is short, so that little room is expected for the others.
            request.max_tokens = i == 0 ? 1 : 20 + request.max_tokens;
            if (i > 0 && random() % 3 == 0) request.score_prompt_from = random() % request.prompt.size();
            streams.push_back(rig.submit(request));
            requests.push_back(std::move(request));
            if (i == 0) (void)rig.engine.step();
        }
        while (rig.engine.step()) rig.engine.scheduler().check();
        n_preemptions += rig.engine.scheduler().counters().preemptions;
        for (std::size_t i = 0; i < streams.size(); ++i) {
            const StreamUpdate together = streams[i]->take();
            const StreamUpdate alone = Rig({.n_blocks = 200}).run(requests[i]);
            ASSERT_EQ(ids(together), ids(alone)) << "round " << round << ", request " << i;
            ASSERT_EQ(together.text, alone.text);
            ASSERT_EQ(together.prompt_scores.size(), alone.prompt_scores.size());
            for (std::size_t j = 0; j < alone.prompt_scores.size(); ++j) {
                ASSERT_EQ(together.prompt_scores[j].logprob, alone.prompt_scores[j].logprob);
            }
        }
        ASSERT_EQ(rig.n_used(), 0U);
    }
    EXPECT_GT(n_preemptions, static_cast<std::uint64_t>(rafter::tests::rounds(200)));
}

TEST(Scheduler, TheFirstInOrderIsNeverPutOff) {
    RigOptions setup;
    setup.n_blocks = 12;
    setup.context = 48;
    Rig rig(setup);
    (void)rig.run(request_of("z", 1));  // answers seem to be short
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (const char* prompt : {"abcd", "bcde", "cdef"}) streams.push_back(rig.submit(request_of(prompt, 40)));
    while (rig.engine.step()) {}
    EXPECT_GT(rig.engine.scheduler().counters().preemptions, 0U);
    EXPECT_EQ(streams[0]->take().finish->times.n_preemptions, 0U);
    for (std::size_t i = 1; i < 3; ++i) EXPECT_EQ(streams[i]->take().finish->reason, FinishReason::kLength);
}

TEST(Scheduler, ThoseThatShareAllTheirBlocksMakeRoomTogether) {
    RigOptions setup;
    setup.windows = {0};
    setup.n_blocks = 8;
    setup.limits = {.n_tokens = 1, .n_outputs = 8};  // prompts get nothing while somebody decodes
    Rig rig(setup);
    (void)rig.run(request_of("pppppppp", 1));  // answers seem to be short, and two blocks are kept
    const auto first = rig.submit(request_of("abc", 25));
    for (int i = 0; i < 3; ++i) (void)rig.engine.step();
    const auto second = rig.submit(request_of("ppppppppx", 1));
    const auto third = rig.submit(request_of("ppppppppy", 1));
    (void)rig.engine.step();
    EXPECT_EQ(rig.engine.scheduler().n_running(), 3U);  // the last two hold the kept blocks and none of their own
    while (rig.engine.step()) rig.engine.scheduler().check();
    EXPECT_EQ(rig.engine.scheduler().counters().preemptions, 2U);
    EXPECT_EQ(ids(first->take()), slow_answer(rig.model, request_of("abc").prompt, 25));
    EXPECT_EQ(ids(second->take()), slow_answer(rig.model, request_of("ppppppppx").prompt, 1));
    EXPECT_EQ(ids(third->take()), slow_answer(rig.model, request_of("ppppppppy").prompt, 1));
    EXPECT_EQ(rig.n_used(), 0U);
}

TEST(Scheduler, AdmitsOnlyWhatFitsWithItsExpectedAnswer) {
    RigOptions setup;
    setup.n_blocks = 12;
    setup.context = 48;
    Rig rig(setup);
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (const char* prompt : {"abcd", "bcde", "cdef"}) streams.push_back(rig.submit(request_of(prompt, 40)));
    while (rig.engine.step()) {}
    EXPECT_EQ(rig.engine.scheduler().counters().preemptions, 0U);
}

TEST(Scheduler, HigherPrioritiesGoFirstAndWaitingCounts) {
    double now = 0.0;
    RigOptions setup;
    setup.limits.n_outputs = 1;  // one at a time
    setup.clock = [&now] { return now; };
    Rig rig(setup);
    std::map<char, std::shared_ptr<TokenStream>> streams;
    const auto submit = [&](char name, int priority, double at) {
        now = at;
        Request request = request_of(std::string(1, name), 2);
        request.priority = priority;
        streams[name] = rig.submit(std::move(request));
        (void)rig.engine.step();
    };
    submit('r', 0, 0.0);  // runs from the start
    submit('a', 0, 0.0);
    std::string order;
    submit('b', 1, 10.0);
    submit('c', 1, 70.0);  // waited for less than a has in the meantime, by more than a step of priority
    for (int i = 0; i < 20; ++i) {
        now += 1.0;
        (void)rig.engine.step();
        for (auto& [name, stream] : streams) {
            if (stream->take().finish && order.find(name) == std::string::npos) order += name;
        }
    }
    EXPECT_EQ(order.size(), 4U);
    EXPECT_LT(order.find('b'), order.find('a'));
    EXPECT_LT(order.find('a'), order.find('c'));
}

TEST(Scheduler, ARequestOutOfTimeEndsWithWhatItHas) {
    double now = 0.0;
    RigOptions setup;
    setup.clock = [&now] { return now; };
    Rig rig(setup);
    Request request = request_of("abc", 50);
    request.timeout_seconds = 5.0;
    const auto stream = rig.submit(request);
    for (int i = 0; i < 10; ++i) {
        (void)rig.engine.step();
        now += 1.0;
    }
    const StreamUpdate update = stream->take();
    ASSERT_TRUE(update.finish.has_value());
    EXPECT_EQ(update.finish->reason, FinishReason::kTimeout);
    EXPECT_EQ(update.tokens.size(), 5U);
    EXPECT_EQ(rig.n_used(), 0U);
}

TEST(Scheduler, PromptsBesideDecodingSequencesKeepToTheTarget) {
    RigOptions setup;
    setup.n_blocks = 400;
    setup.context = 600;
    setup.limits = {.n_tokens = 256, .n_outputs = 8};
    setup.cost = StepCost(made_up_price, 256, 600);
    setup.target_itl_seconds = 40e-3;
    Rig rig(setup);
    const auto decoding = rig.submit(request_of("ab", 60));
    (void)rig.engine.step();
    (void)rig.engine.step();
    const auto prompt = rig.submit(request_of(std::string(500, 'x'), 1));
    rig.model.steps.clear();
    const double correction = rig.engine.scheduler().cost().correction();  // this model's steps take no time, and that is learned
    (void)rig.engine.step();
    const model::StepShape& first = rig.model.steps[0];
    EXPECT_EQ(first.sequences.size(), 2U);
    EXPECT_NEAR(made_up_price(first), 40e-3 / correction, 2e-3);
    EXPECT_LT(correction, 1.0);
}

}  // namespace
}  // namespace rafter::engine
