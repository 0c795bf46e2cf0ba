// Speculation against the same engine without: draft tokens that are right, wrong, or both by turns may change how many steps an answer
// takes, and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/engine/engine_rig.h"
#include "tests/engine/speculation/knowing_drafter.h"
#include "tests/support/rounds.h"

namespace rafter::engine::tests {
namespace {

struct SpeculatingRig : Rig {
    SpeculatingRig(RigOptions setup, KnowingDrafter& drafter, std::uint32_t n_drafts)
        : Rig([&] {
              setup.speculation = {.drafter = &drafter, .most_drafts = 8, .fixed = n_drafts};
              return setup;
          }()) {
        drafter.model = &model;
    }
};

Request random_wish(std::mt19937& random) {
    Request request = random_request(random, 30, 20);
    if (random() % 4 == 0) request.sampling.frequency_penalty = 0.7;
    if (random() % 4 == 0) request.sampling.logit_bias = {{3, 2.0F}, {FakeTokenizer::kHalf, 25.0F}};
    if (random() % 4 == 0) request.end_tokens = {static_cast<TokenId>(random() % 26)};
    if (random() % 4 == 0) request.min_tokens = random() % 10;
    if (random() % 8 == 0) request.ignore_eos = true;
    if (random() % 4 == 0) request.score_prompt_from = random() % request.prompt.size();
    return request;
}

void expect_equal(const StreamUpdate& a, const StreamUpdate& b) {
    EXPECT_EQ(ids(a), ids(b));
    EXPECT_EQ(a.text, b.text);
    ASSERT_EQ(a.tokens.size(), b.tokens.size());
    const auto same = [](const TokenLogprobs& x, const TokenLogprobs& y) {
        EXPECT_EQ(x.logprob, y.logprob);
        EXPECT_EQ(x.top, y.top);
    };
    for (std::size_t i = 0; i < a.tokens.size(); ++i) {
        ASSERT_EQ(a.tokens[i].logprobs.has_value(), b.tokens[i].logprobs.has_value());
        if (a.tokens[i].logprobs) same(*a.tokens[i].logprobs, *b.tokens[i].logprobs);
    }
    ASSERT_EQ(a.prompt_scores.size(), b.prompt_scores.size());
    for (std::size_t i = 0; i < a.prompt_scores.size(); ++i) same(a.prompt_scores[i], b.prompt_scores[i]);
    ASSERT_TRUE(a.finish && b.finish);
    EXPECT_EQ(a.finish->reason, b.finish->reason);
    EXPECT_EQ(a.finish->context_full, b.finish->context_full);
    EXPECT_EQ(a.finish->error.has_value(), b.finish->error.has_value());
}

TEST(Speculation, RightDraftTokensSaveStepsAndWrongOnesChangeNothing) {
    Rig plain;
    const Request request = request_of("abc", 20);
    const StreamUpdate expected = plain.run(request);
    EXPECT_EQ(plain.model.steps.size(), 20U);
    KnowingDrafter always(1.0);
    SpeculatingRig quick({}, always, 4);
    expect_equal(quick.run(request), expected);
    EXPECT_EQ(quick.model.steps.size(), 5U);  // the prompt and a token, then 5 + 5 + 5 + 4
    const SpeculationCounters& counters = quick.engine.scheduler().speculator().counters();
    EXPECT_EQ(counters.n_draft_tokens, 4U + 4U + 4U + 3U);  // none beyond the last token
    EXPECT_EQ(counters.n_accepted_tokens, counters.n_draft_tokens);
    EXPECT_EQ(counters.accepted_per_position, (std::vector<std::uint64_t>{4, 4, 4, 3}));
    KnowingDrafter never(0.0);
    SpeculatingRig idle({}, never, 4);
    expect_equal(idle.run(request), expected);
    EXPECT_EQ(idle.model.steps.size(), 20U);
}

TEST(Speculation, NoLimitOnTheAnswerIsTooLargeForIt) {
    std::vector<std::size_t> n_steps;
    for (const std::uint32_t max_tokens : {200U, 4'000'000'000U, 0xFFFFFFFFU}) {
        KnowingDrafter drafter(1.0);
        SpeculatingRig rig({}, drafter, 4);
        (void)rig.run(request_of("abc", max_tokens));
        n_steps.push_back(rig.model.steps.size());
    }
    EXPECT_LT(n_steps[0], 30U);  // the context's 125 tokens
    EXPECT_EQ(n_steps[1], n_steps[0]);
    EXPECT_EQ(n_steps[2], n_steps[0]);
}

TEST(Speculation, AnswersAreEqualWhateverIsDrafted) {
    std::mt19937 random(7);
    std::uint64_t n_right = 0, n_wrong = 0, n_preempted = 0;
    for (int round = 0; round < rafter::tests::rounds(1500); ++round) {
        RigOptions setup;
        setup.block_size = 1 + random() % 6;
        setup.limits = {.n_tokens = 4 + static_cast<std::uint32_t>(random() % 40),
                        .n_outputs = 3 + static_cast<std::uint32_t>(random() % 16)};
        setup.context = 40 + random() % 40;
        setup.windows = random() % 2 ? std::vector<std::uint32_t>{0, 8} : std::vector<std::uint32_t>{0};
        setup.n_blocks = (setup.context + random() % 100) / setup.block_size + 4;
        setup.prefix_cache = random() % 4 != 0;
        std::vector<Request> requests;
        for (std::size_t i = 0; i < 1 + random() % 5; ++i) requests.push_back(random_wish(random));
        Rig plain(setup);
        KnowingDrafter drafter(std::vector<double>{0.0, 0.3, 0.8, 1.0}[random() % 4], random());
        drafter.sometimes_fewer = random() % 2;
        SpeculatingRig rig(setup, drafter, 1 + random() % 6);
        if (random() % 2) rig.run(request_of("z", 1));  // answers are expected to be short, so that more are let in than there is room for
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (const Request& request : requests) streams.push_back(rig.submit(request));
        while (rig.engine.step()) rig.engine.scheduler().check();
        const std::vector<StreamUpdate> expected = plain.run(requests);
        for (std::size_t i = 0; i < requests.size(); ++i) expect_equal(streams[i]->take(), expected[i]);
        const SpeculationCounters& counters = rig.engine.scheduler().speculator().counters();
        n_right += counters.n_accepted_tokens;
        n_wrong += counters.n_draft_tokens - counters.n_accepted_tokens;
        n_preempted += rig.engine.scheduler().counters().preemptions;
        EXPECT_EQ(drafter.n_states, 0U);
        EXPECT_EQ(rig.n_used(), 0U);
        if (HasFailure()) FAIL() << "in round " << round;
    }
    EXPECT_GT(n_right, 100U);
    EXPECT_GT(n_wrong, 100U);
    EXPECT_GT(n_preempted, 0U);
}

TEST(Speculation, AnAnswerEndsInTheMiddleOfRightDraftTokens) {
    for (std::uint32_t length = 1; length < 8; ++length) {
        KnowingDrafter drafter(1.0);
        SpeculatingRig rig({}, drafter, 6);
        Rig plain;
        Request request = request_of("abcd", 30);
        request.end_tokens = {FakeTokenizer::kEnd};
        for (Rig* each : {static_cast<Rig*>(&rig), &plain}) {
            each->model.script.assign(length, 5);
            each->model.script.push_back(FakeTokenizer::kEnd);
            each->model.script_from = 4;
        }
        const StreamUpdate update = rig.run(request);
        expect_equal(update, plain.run(request));
        EXPECT_EQ(update.tokens.size(), length + 1);
        EXPECT_EQ(update.finish->reason, FinishReason::kStop);
        EXPECT_EQ(rig.n_used(), 0U);
    }
}

TEST(Speculation, PoisonAmongTheDraftTokensEndsThatRequestAloneAfterWhatWasRight) {
    KnowingDrafter drafter(1.0);
    SpeculatingRig rig({}, drafter, 6);
    Rig plain;
    for (Rig* each : {static_cast<Rig*>(&rig), &plain}) {
        each->model.script = {1, 2, 3, 7, 4};
        each->model.script_from = 4;
        each->model.poison = 7;
    }
    const StreamUpdate update = rig.run(request_of("abcd", 30));
    expect_equal(update, plain.run(request_of("abcd", 30)));
    EXPECT_EQ(update.finish->reason, FinishReason::kError);
    EXPECT_EQ(ids(update), (std::vector<TokenId>{1, 2, 3, 7}));
}

TEST(Speculation, NoDraftTokenGoesBeyondTheContext) {
    KnowingDrafter drafter(1.0);
    SpeculatingRig rig({.context = 16}, drafter, 8);
    const StreamUpdate update = rig.run(request_of("abcd", 100));
    EXPECT_EQ(update.tokens.size(), 12U);
    EXPECT_TRUE(update.finish->context_full);
    for (const model::StepShape& step : rig.model.steps) EXPECT_LE(step.sequences[0].n_past + step.sequences[0].n_new, 16U);
}

TEST(Speculation, CancelledAnywhereItLeavesNothing) {
    std::mt19937 random(3);
    KnowingDrafter drafter(0.7);
    SpeculatingRig rig({.n_blocks = 40}, drafter, 5);
    for (int round = 0; round < rafter::tests::rounds(300); ++round) {
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (std::size_t i = 0; i < 1 + random() % 4; ++i) streams.push_back(rig.submit(random_wish(random)));
        for (std::size_t i = random() % 10; i > 0; --i) rig.engine.step();
        for (const auto& stream : streams) {
            if (random() % 2) stream->cancel();
        }
        while (rig.engine.step()) {}
        for (const auto& stream : streams) EXPECT_TRUE(stream->take().finish.has_value());
        ASSERT_EQ(rig.n_used(), 0U);
        ASSERT_EQ(drafter.n_states, 0U);
    }
}

TEST(Speculation, AForcedAnswerIsGivenAndItsDraftsChecked) {
    KnowingDrafter drafter(1.0);
    SpeculatingRig rig({}, drafter, 3);
    Request request = request_of("abcd", 9);
    request.forced = {{.after = 0, .tokens = {9, 8, 7, 6, 5, 4, 3, 2, 1}, .unless = {}}};
    EXPECT_EQ(ids(rig.run(request)), request.forced[0].tokens);
    EXPECT_EQ(rig.model.steps.size(), 3U);
}

}  // namespace
}  // namespace rafter::engine::tests
