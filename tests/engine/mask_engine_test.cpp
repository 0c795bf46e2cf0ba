// Masked answers by the definition, and what the engine makes of them: alone, together, under drafts, preempted, and with a mask that is
// still being compiled.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "engine/sampling/multiple_answers.h"
#include "tests/engine/engine_rig.h"
#include "tests/engine/sampling/automaton_mask.h"
#include "tests/engine/speculation/knowing_drafter.h"
#include "tests/engine/thread_rig.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;
using Edges = AutomatonMask::Edges;

std::shared_ptr<AutomatonMask> random_language(std::mt19937& random) {
    const std::size_t n_states = 2 + random() % 4;
    std::vector<Edges> edges(n_states);
    std::set<std::size_t> complete;
    for (std::size_t state = 0; state < n_states; ++state) {
        for (std::size_t i = 0; i < 1 + random() % 5; ++i) edges[state][static_cast<TokenId>(random() % 26)] = random() % n_states;
        if (random() % 3 == 0) complete.insert(state);
    }
    return std::make_shared<AutomatonMask>(std::move(edges), std::move(complete), FakeTokenizer::kTokens);
}

std::shared_ptr<PendingMask> ready(std::shared_ptr<const CompiledMask> mask) { return std::make_shared<PendingMask>(std::move(mask)); }

struct SlowAnswer {
    std::vector<TokenId> tokens;
    FinishReason reason = FinishReason::kLength;
};

// One token after the other, by the definition.
SlowAnswer slow_answer(const FakeModel& model, const Request& request, const AutomatonMask* mask) {
    Request plain = request;
    plain.mask = nullptr;
    plain.forced.clear();
    Sampler sampler(plain);
    SamplerScratch scratch;
    ForcedAnswer forced(request.forced);
    std::vector<TokenId> history = request.prompt;
    const auto is_end = [&](TokenId token) { return !request.ignore_eos && std::ranges::count(request.end_tokens, token) > 0; };
    SlowAnswer answer;
    while (answer.tokens.size() < request.max_tokens) {
        std::vector<float> logits = model.logits_after(history);
        if (mask != nullptr) {
            const std::size_t state = *mask->state_after(answer.tokens);
            for (std::size_t i = 0; i < logits.size(); ++i) {
                const auto token = static_cast<TokenId>(i);
                const bool may = is_end(token) ? mask->is_complete(state) : mask->allows(state, token);
                if (!may) logits[i] = -std::numeric_limits<float>::infinity();
            }
        }
        auto token = forced.next();
        if (!token) token = sampler.sample(logits, static_cast<std::uint32_t>(history.size()), scratch);
        if (!token) {
            answer.reason = FinishReason::kError;
            break;
        }
        answer.tokens.push_back(*token);
        history.push_back(*token);
        sampler.accept(*token);
        forced.accept(*token);
        if (is_end(*token)) {
            answer.reason = FinishReason::kStop;
            break;
        }
        if (mask != nullptr && !mask->state_after(answer.tokens)) {
            answer.reason = FinishReason::kError;
            break;
        }
    }
    return answer;
}

void expect_answer(const StreamUpdate& found, const SlowAnswer& expected) {
    EXPECT_EQ(ids(found), expected.tokens);
    ASSERT_TRUE(found.finish.has_value());
    EXPECT_EQ(found.finish->reason, expected.reason) << (found.finish->error ? found.finish->error->message : "");
}

struct Masked {
    Request request;
    std::shared_ptr<AutomatonMask> mask;  // null: none
};

Masked random_masked(std::mt19937& random) {
    Masked masked{.request = random_request(random, 30, 20), .mask = nullptr};
    Request& request = masked.request;
    request.stop.clear();
    if (random() % 4 != 0) {
        masked.mask = random_language(random);
        request.mask = ready(masked.mask);
    }
    if (random() % 4 != 0) request.end_tokens = {FakeTokenizer::kEnd};
    if (random() % 2) request.sampling.logit_bias = {{FakeTokenizer::kEnd, 25.0F}, {3, 2.0F}};
    if (random() % 4 == 0) request.min_tokens = random() % 10;
    if (random() % 8 == 0) request.ignore_eos = true;
    for (std::size_t i = random() % 3; i > 0; --i) {
        ForcedTokens forced{.after = static_cast<std::uint32_t>(random() % 12), .tokens = {}, .unless = {}};
        for (std::size_t n = 1 + random() % 4; n > 0; --n) forced.tokens.push_back(static_cast<TokenId>(random() % 27));
        if (random() % 3 == 0) forced.unless = static_cast<TokenId>(random() % 26);
        // Forced tokens are against most masks: half of them go without.
        if (!masked.mask || random() % 4 == 0) request.forced.push_back(std::move(forced));
    }
    return masked;
}

TEST(Mask, AnswersAreThoseOfTheDefinitionWhateverElseRuns) {
    std::mt19937 random(11);
    std::uint64_t n_preempted = 0, n_right = 0, n_by_reason[5] = {};
    for (int round = 0; round < rafter::tests::rounds(400); ++round) {
        RigOptions setup;
        setup.block_size = 1 + random() % 6;
        setup.limits = {.n_tokens = 4 + static_cast<std::uint32_t>(random() % 40),
                        .n_outputs = 3 + static_cast<std::uint32_t>(random() % 16)};
        setup.context = 60 + random() % 40;
        setup.n_blocks = (setup.context + random() % 80) / setup.block_size + 4;
        KnowingDrafter drafter(std::vector<double>{0.0, 0.5, 1.0}[random() % 3], random());
        drafter.sometimes_fewer = random() % 2;
        if (random() % 3 != 0) setup.speculation = {.drafter = &drafter, .most_drafts = 8, .fixed = 1 + random() % 6};
        Rig rig(setup);
        drafter.model = &rig.model;
        std::vector<Masked> masked;
        std::vector<Request> requests;
        for (std::size_t i = 0; i < 1 + random() % 5; ++i) {
            masked.push_back(random_masked(random));
            requests.push_back(masked.back().request);
        }
        if (random() % 2) rig.run(request_of("z", 1));  // answers are expected to be short, so that more are let in than there is room for
        const std::vector<StreamUpdate> found = rig.run(requests);
        for (std::size_t i = 0; i < requests.size(); ++i) {
            expect_answer(found[i], slow_answer(rig.model, requests[i], masked[i].mask.get()));
            ++n_by_reason[static_cast<int>(found[i].finish->reason)];
        }
        n_preempted += rig.engine.scheduler().counters().preemptions;
        n_right += rig.engine.scheduler().speculator().counters().n_accepted_tokens;
        EXPECT_EQ(rig.n_used(), 0U);
        if (HasFailure()) FAIL() << "in round " << round;
    }
    EXPECT_GT(n_preempted, 0U);
    EXPECT_GT(n_right, 100U);
    for (const FinishReason reason : {FinishReason::kStop, FinishReason::kLength, FinishReason::kError}) {
        EXPECT_GT(n_by_reason[static_cast<int>(reason)], static_cast<std::uint64_t>(rafter::tests::rounds(20)));
    }
}

// Letters a and b by turns.
std::shared_ptr<AutomatonMask> by_turns() {
    return std::make_shared<AutomatonMask>(std::vector<Edges>{{{0, 1}}, {{1, 0}}}, std::set<std::size_t>{}, FakeTokenizer::kTokens);
}

TEST(Mask, WhereItAllowsNothingTheRequestEndsAlone) {
    const auto dead_end =
        std::make_shared<AutomatonMask>(std::vector<Edges>{{{0, 1}}, {{1, 2}}, {}}, std::set<std::size_t>{}, FakeTokenizer::kTokens);
    Request request = request_of("abc", 10);
    request.mask = ready(dead_end);
    Rig rig;
    const auto found = rig.run({request, request_of("xy", 10)});
    EXPECT_EQ(ids(found[0]), (std::vector<TokenId>{0, 1}));
    ASSERT_EQ(found[0].finish->reason, FinishReason::kError);
    EXPECT_EQ(found[0].finish->error->message, "the mask allows no token after 5 tokens");
    EXPECT_EQ(found[0].finish->error->kind, ErrorKind::kBadInput);
    EXPECT_EQ(ids(found[1]), slow_answer(rig.model, request_of("xy").prompt, 10));
}

TEST(Mask, AForcedTokenAgainstItEndsTheRequestAlone) {
    Request request = request_of("abc", 10);
    request.mask = ready(by_turns());
    request.forced = {{.after = 2, .tokens = {0, 1, 7}, .unless = {}}};
    Rig rig;
    const StreamUpdate found = rig.run(request);
    EXPECT_EQ(ids(found), (std::vector<TokenId>{0, 1, 0, 1, 7}));
    ASSERT_EQ(found.finish->reason, FinishReason::kError);
    EXPECT_EQ(found.finish->error->message, "the answer has a token that its mask forbids");
}

TEST(Mask, AnAnswerThatNothingMayFollowEndsWithoutAnEndToken) {
    const auto word =
        std::make_shared<AutomatonMask>(std::vector<Edges>{{{0, 1}}, {{1, 2}}, {}}, std::set<std::size_t>{2}, FakeTokenizer::kTokens);
    word->tells_when_finished = true;
    Request request = request_of("abc", 10);
    request.mask = ready(word);
    Rig rig;
    const StreamUpdate found = rig.run(request);
    EXPECT_EQ(ids(found), (std::vector<TokenId>{0, 1}));
    EXPECT_EQ(found.text, "ab");
    EXPECT_EQ(found.finish->reason, FinishReason::kStop);
    EXPECT_EQ(rig.model.steps.size(), 2U);
}

TEST(Mask, AMatcherThatThrowsEndsItsRequestAlone) {
    const auto mask = by_turns();
    mask->throw_after = 3;
    for (const std::uint32_t n_drafts : {0U, 2U}) {
        KnowingDrafter drafter(1.0);
        RigOptions setup;
        if (n_drafts > 0) setup.speculation = {.drafter = &drafter, .most_drafts = 8, .fixed = n_drafts};
        Rig rig(setup);
        drafter.model = &rig.model;
        drafter.right = 0.0;
        Request request = request_of("abc", 10);
        request.mask = ready(mask);
        if (n_drafts > 0) request.forced = {{.after = 0, .tokens = {0, 1}, .unless = {}}};
        const auto found = rig.run({request, request_of("xy", 10)});
        EXPECT_EQ(found[0].finish->reason, FinishReason::kError);
        EXPECT_EQ(ids(found[1]), slow_answer(rig.model, request_of("xy").prompt, 10));
        EXPECT_EQ(rig.n_used(), 0U);
    }
}

// Throws what is no std::exception, out of one of its calls.
class BrokenMask : public CompiledMask {
  public:
    enum class Call { kMake, kFill, kAccept, kMayEnd, kIsFinished, kNone };
    explicit BrokenMask(Call broken) : broken_(broken) {}
    [[nodiscard]] std::size_t n_vocab() const override { return FakeTokenizer::kTokens; }
    [[nodiscard]] std::unique_ptr<MaskMatcher> make_matcher() const override {
        throw_in(Call::kMake);
        return std::make_unique<Matcher>(*this);
    }

  private:
    class Matcher : public MaskMatcher {
      public:
        explicit Matcher(const BrokenMask& mask) : mask_(mask) {}
        void fill(std::span<std::uint32_t> allowed) override {
            mask_.throw_in(Call::kFill);
            std::ranges::fill(allowed, ~0U);
        }
        bool accept(TokenId /*token*/) override {
            mask_.throw_in(Call::kAccept);
            return true;
        }
        void rollback(std::size_t /*n*/) override {}
        [[nodiscard]] bool may_end() const override {
            mask_.throw_in(Call::kMayEnd);
            return false;
        }
        [[nodiscard]] bool is_finished() const override {
            mask_.throw_in(Call::kIsFinished);
            return false;
        }

      private:
        const BrokenMask& mask_;
    };
    void throw_in(Call call) const {
        if (call == broken_) throw 7;
    }
    const Call broken_;
};

TEST(Mask, WhateverItThrowsAndWhereverEndsItsRequestAlone) {
    using Call = BrokenMask::Call;
    for (const Call call : {Call::kMake, Call::kFill, Call::kAccept, Call::kMayEnd, Call::kIsFinished, Call::kNone}) {
        Rig rig;
        Request request = request_of("abc", 10);
        request.mask = ready(std::make_shared<BrokenMask>(call));
        const auto found = rig.run({request, request_of("xy", 10)});
        ASSERT_TRUE(found[0].finish.has_value());
        EXPECT_EQ(found[0].finish->reason, call == Call::kNone ? FinishReason::kLength : FinishReason::kError);
        EXPECT_EQ(ids(found[1]), slow_answer(rig.model, request_of("xy").prompt, 10));
        EXPECT_FALSE(rig.engine.failure().has_value());
        EXPECT_EQ(rig.n_used(), 0U);
    }
}

TEST(Mask, DraftTokensAgainstItAreNotOffered) {
    KnowingDrafter drafter(0.0);  // always another token than the right one, and so against this mask
    RigOptions setup;
    setup.speculation = {.drafter = &drafter, .most_drafts = 8, .fixed = 4};
    Rig rig(setup);
    drafter.model = &rig.model;
    Request request = request_of("abc", 10);
    request.mask = ready(by_turns());
    EXPECT_EQ(ids(rig.run(request)), (std::vector<TokenId>{0, 1, 0, 1, 0, 1, 0, 1, 0, 1}));
    for (const model::StepShape& step : rig.model.steps) EXPECT_EQ(step.sequences[0].n_outputs, 1U);
}

TEST(Mask, SeveralAnswersHaveMatchersOfTheirOwn) {
    const auto mask = by_turns();
    mask->tells_when_finished = true;
    Request request = request_of("abc", 9);
    request.sampling.temperature = 1.0;
    std::mt19937 random(4);
    const auto language = random_language(random);
    request.mask = ready(language);
    const std::vector<Request> several = several_requests(request, {.n = 4, .best_of = {}});
    Rig rig;
    const auto found = rig.run(several);
    EXPECT_EQ(language->n_matchers, 4);
    for (std::size_t i = 0; i < several.size(); ++i) expect_answer(found[i], slow_answer(rig.model, several[i], language.get()));
}

TEST(Mask, MasksAreComputedWhileTheModelComputes) {
    const auto mask = by_turns();
    Rig rig;
    int n_expected = 0;
    rig.model.before_step = [&] {
        n_expected += 3;
        const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (mask->n_fills < n_expected && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
        EXPECT_EQ(mask->n_fills, n_expected);
    };
    std::vector<Request> requests{request_of("abc", 6), request_of("xy", 6), request_of("m", 6)};
    for (Request& request : requests) request.mask = ready(mask);
    for (const StreamUpdate& found : rig.run(requests)) EXPECT_EQ(ids(found), (std::vector<TokenId>{0, 1, 0, 1, 0, 1}));
    EXPECT_EQ(mask->n_fills, n_expected);  // and none a second time
}

TEST(PendingMask, WhileItIsNotReadyNobodyWaitsForTheRequest) {
    RigOptions setup;
    setup.limits.n_outputs = 1;  // one sequence at a time
    Rig rig(setup);
    Request masked = request_of("abc", 6);
    masked.priority = 10;
    masked.mask = std::make_shared<PendingMask>();
    const auto stream = rig.submit(masked);
    EXPECT_FALSE(rig.engine.step());
    EXPECT_EQ(rig.engine.n_waiting(), 1U);
    const StreamUpdate other = rig.run(request_of("xy", 8));
    EXPECT_EQ(ids(other), slow_answer(rig.model, request_of("xy").prompt, 8));
    EXPECT_FALSE(stream->take().finish.has_value());
    masked.mask->set_ready(by_turns());
    while (rig.engine.step()) {}
    EXPECT_EQ(ids(stream->take()), (std::vector<TokenId>{0, 1, 0, 1, 0, 1}));
    EXPECT_EQ(rig.engine.n_waiting(), 0U);
}

TEST(PendingMask, ADecidedRequestKeepsItsPlaceInTheOrder) {
    RigOptions setup;
    setup.limits.n_outputs = 1;
    double now = 0.0;
    setup.clock = [&] { return now; };
    Rig rig(setup);
    const auto running = rig.submit(request_of("mn", 5));
    rig.engine.step();
    Request masked = request_of("abc", 4);
    masked.mask = std::make_shared<PendingMask>();
    const auto first = rig.submit(masked);
    rig.engine.step();
    now = 1.0;
    const auto second = rig.submit(request_of("xy", 4));
    rig.engine.step();
    masked.mask->set_ready(by_turns());
    while (!first->take().finish) ASSERT_TRUE(rig.engine.step());
    EXPECT_TRUE(second->take().tokens.empty());
    EXPECT_TRUE(running->take().finish.has_value());
    while (rig.engine.step()) {}
}

TEST(PendingMask, ItsFailureEndsThatRequestAlone) {
    Rig rig;
    Request masked = request_of("abc", 6);
    masked.mask = std::make_shared<PendingMask>();
    const auto stream = rig.submit(masked);
    const auto other = rig.submit(request_of("xy", 8));
    rig.engine.step();
    masked.mask->set_failed(bad_input("the grammar's line 3: expected ::="));
    while (rig.engine.step()) {}
    const StreamUpdate update = stream->take();
    ASSERT_EQ(update.finish->reason, FinishReason::kError);
    EXPECT_EQ(update.finish->error->kind, ErrorKind::kBadInput);
    EXPECT_EQ(update.finish->error->message, "the grammar's line 3: expected ::=");
    EXPECT_EQ(ids(other->take()), slow_answer(rig.model, request_of("xy").prompt, 8));
    const auto again = rig.engine.submit(masked);  // known to have failed
    ASSERT_FALSE(again.has_value());
    EXPECT_EQ(again.error().message, "the grammar's line 3: expected ::=");
}

TEST(PendingMask, DeadlineCancellationAndEndOfAllCountWhileItIsNotReady) {
    RigOptions setup;
    double now = 0.0;
    setup.clock = [&] { return now; };
    Rig rig(setup);
    Request masked = request_of("abc", 6);
    masked.mask = std::make_shared<PendingMask>();
    const auto cancelled = rig.submit(masked);
    const auto ended = rig.submit(masked);
    masked.timeout_seconds = 2.0;
    const auto late = rig.submit(masked);
    rig.engine.step();
    cancelled->cancel();
    now = 2.5;
    rig.engine.step();
    EXPECT_EQ(cancelled->take().finish->reason, FinishReason::kCancelled);
    EXPECT_EQ(late->take().finish->reason, FinishReason::kTimeout);
    EXPECT_FALSE(ended->take().finish.has_value());
    rig.engine.end_all({.reason = FinishReason::kCancelled});
    EXPECT_EQ(ended->take().finish->reason, FinishReason::kCancelled);
    EXPECT_EQ(rig.engine.n_waiting(), 0U);
}

TEST(PendingMask, ATimeoutThatIsNoNumberIsNoDeadline) {
    RigOptions setup;
    setup.clock = [] { return 1.0; };
    Rig rig(setup);
    Request masked = request_of("abc", 6);
    masked.mask = std::make_shared<PendingMask>();
    masked.timeout_seconds = std::numeric_limits<double>::quiet_NaN();
    const auto first = rig.submit(masked);
    EXPECT_FALSE(rig.engine.step());
    EXPECT_EQ(rig.engine.scheduler().seconds_to_deadline(), std::nullopt);
    masked.timeout_seconds = 3.0;
    const auto second = rig.submit(masked);
    EXPECT_FALSE(rig.engine.step());
    EXPECT_EQ(rig.engine.scheduler().seconds_to_deadline(), 3.0);
}

TEST(PendingMask, TheEngineThreadSleepsUntilItIsDecided) {
    std::atomic<int> n_looks = 0;  // at the clock, as each step does
    RigOptions setup;
    setup.clock = [&] { return static_cast<double>(++n_looks) * 1e-6; };
    const ThreadRig rig(setup);
    Request masked = request_of("abc", 6);
    masked.mask = std::make_shared<PendingMask>();
    const auto stream = rig.submit(masked);
    while (rig.thread->snapshot().n_not_ready == 0) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const int n_before = n_looks;
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
    EXPECT_EQ(n_looks, n_before);
    std::thread compiler([&] { masked.mask->set_ready(by_turns()); });
    EXPECT_EQ(ids(read(*stream)), (std::vector<TokenId>{0, 1, 0, 1, 0, 1}));
    compiler.join();
}

TEST(PendingMask, CancellationAndDeadlineWakeTheEngineThread) {
    const ThreadRig rig;
    Request masked = request_of("abc", 6);
    masked.mask = std::make_shared<PendingMask>();
    const auto cancelled = rig.submit(masked);
    while (rig.thread->snapshot().n_not_ready == 0) std::this_thread::yield();
    cancelled->cancel();
    EXPECT_EQ(reason_of(*cancelled), FinishReason::kCancelled);
    masked.timeout_seconds = 0.02;
    EXPECT_EQ(reason_of(*rig.submit(masked)), FinishReason::kTimeout);
    rig.thread->stop(StopMode::kDrain);  // a finish comes before the snapshot that knows of it
    expect_empty(rig);
}

TEST(PendingMask, ADrainWaitsForItAndACancelDoesNot) {
    Request masked = request_of("abc", 6);
    masked.mask = std::make_shared<PendingMask>();
    std::shared_ptr<TokenStream> left;
    {
        const ThreadRig rig;
        left = rig.submit(masked);
        while (rig.thread->snapshot().n_not_ready == 0) std::this_thread::yield();
    }
    EXPECT_EQ(reason_of(*left), FinishReason::kCancelled);
    const ThreadRig rig;
    const auto stream = rig.submit(masked);
    std::thread compiler([&] { masked.mask->set_ready(by_turns()); });  // also after the first engine, which is gone
    rig.thread->stop(StopMode::kDrain);
    EXPECT_EQ(ids(stream->take()), (std::vector<TokenId>{0, 1, 0, 1, 0, 1}));
    compiler.join();
    left->cancel();
}

TEST(PendingMask, ManyThreadsCompileWhileManyAsk) {
    std::mt19937 random(8);
    const ThreadRig rig(tight());
    constexpr int kThreads = 4;
    std::vector<std::vector<Masked>> asked(kThreads);
    for (auto& each : asked) {
        for (int i = 0; i < rafter::tests::rounds(40); ++i) each.push_back(random_masked(random));
    }
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            std::mt19937 own(static_cast<std::uint32_t>(t));
            for (const Masked& masked : asked[static_cast<std::size_t>(t)]) {
                Request request = masked.request;
                if (masked.mask) request.mask = std::make_shared<PendingMask>();
                const auto stream = rig.submit(request);
                std::thread compiler;
                if (masked.mask) compiler = std::thread([&] { request.mask->set_ready(masked.mask); });
                const bool cancels = own() % 4 == 0;
                if (cancels) stream->cancel();
                const StreamUpdate found = read(*stream);
                if (!cancels) expect_answer(found, slow_answer(Rig().model, masked.request, masked.mask.get()));
                if (compiler.joinable()) compiler.join();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    rig.thread->stop(StopMode::kDrain);
    expect_empty(rig);
}

}  // namespace
}  // namespace rafter::engine
