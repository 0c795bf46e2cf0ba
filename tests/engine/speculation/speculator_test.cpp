// The speculator without an engine: the test checks the draft tokens itself, and steps cost what it says. No clock has a part in a choice.
#include "engine/speculation/speculator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "engine/scheduler.h"
#include "roofline/speculation.h"
#include "tests/engine/engine_rig.h"
#include "tests/engine/made_up_price.h"
#include "tests/engine/speculation/knowing_drafter.h"
#include "tests/engine/speculation/speculation_world.h"
#include "tests/support/rounds.h"

namespace rafter::engine::tests {
namespace {

using Price = std::function<double(const model::StepShape&)>;
using Counts = std::vector<std::uint64_t>;

constexpr std::uint32_t kPlenty = 1000;

StepCost cost_of(const Price& price) { return StepCost(price, 512, 1024); }
Price price_of(const Curve& curve) {
    return [curve](const model::StepShape& shape) { return curve(shape.n_tokens()); };
}

std::uint32_t sum(const std::vector<std::uint32_t>& values) { return std::accumulate(values.begin(), values.end(), 0U); }

void count(Counts& counts, std::size_t i) {
    counts.resize(std::max(counts.size(), i + 1));
    ++counts[i];
}

// Remembers what it offered in the last step.
class OfferingDrafter : public KnowingDrafter {
  public:
    using KnowingDrafter::KnowingDrafter;
    std::map<const TokenId*, std::pair<std::uint32_t, DraftOffer>> offers;  // by a sequence's tokens: the most that was of use, the offer
    std::map<std::uint32_t, std::uint32_t> trust_of_prompt;                 // by its length; 0 for others
    double round = 0.0;                                                     // seconds
    std::uint32_t wrong_prompt = 0;                                         // draft tokens after a prompt of this length are wrong
    std::size_t finds_at_most = kPlenty;                                    // of what it offers

    [[nodiscard]] DraftOffer offer(DraftSequence& sequence, std::uint32_t n_most) override {
        DraftOffer made = KnowingDrafter::offer(sequence, n_most);
        if (const auto found = trust_of_prompt.find(sequence.n_prompt); found != trust_of_prompt.end()) made.trust = found->second;
        offers[sequence.tokens.data()] = {n_most, made};
        return made;
    }
    [[nodiscard]] double round_seconds(std::uint32_t /*n_sequences*/, std::uint32_t /*n_past*/) const override { return round; }
    void draft(std::span<DraftRequest> requests) override {
        KnowingDrafter::draft(requests);
        for (DraftRequest& request : requests) {
            request.drafts.resize(std::min(request.drafts.size(), finds_at_most));
            if (request.sequence.n_prompt != wrong_prompt) continue;
            for (TokenId& token : request.drafts) token = (token + 1) % 26;
        }
    }
};

// A line of the log that outlives its call.
struct Logged {
    GovernorChoice choice;
    std::vector<GovernorRow> rows;
    std::vector<double> acceptance;
    std::uint32_t n_prompt_tokens = 0;
};

// Sequences that decode for ever, as the scheduler and the engine would have them.
struct Loop {
    explicit Loop(Price its_price, SpeculationOptions options = {})
        : price(std::move(its_price)), cost(cost_of(price)), speculator([&] {
              drafter.model = &model;
              options.drafter = &drafter;
              options.log = [this](const SpeculationLogLine& line) {
                  log.push_back({line.choice,
                                 {line.rows.begin(), line.rows.end()},
                                 {line.acceptance.begin(), line.acceptance.end()},
                                 line.n_prompt_tokens});
              };
              return options;
          }()) {}

    // Tells sequences apart by the lengths of their prompts.
    void add(std::uint32_t n_prompt) {
        Request request = request_of("", 1'000'000);
        for (std::uint32_t i = 0; i < n_prompt; ++i) request.prompt.push_back(static_cast<TokenId>((i + n_prompt) % 26));
        sequences.push_back(std::make_unique<Sequence>(std::move(request), std::make_shared<TokenStream>(), tokenizer));
        sequences.back()->n_computed = n_prompt - 1;
    }

    struct Step {
        std::vector<std::uint32_t> granted, found, right;  // [n_sequences]
        double seconds = 0.0;
        [[nodiscard]] double n_tokens() const { return static_cast<double>(right.size()) + sum(right); }
    };
    static Speculator::Room ample() {
        return {.n_tokens = kPlenty, .n_outputs = kPlenty, .most = [](const Sequence&) { return kPlenty; }};
    }
    Step step(const StepCost::Sum& base = {}, const Speculator::Room& room = ample()) {
        std::vector<PlannedSequence> plan;
        for (const auto& sequence : sequences)
            plan.push_back({.sequence = sequence.get(), .n_new = 1, .first_output = sequence->first_output(), .n_outputs = 1});
        drafter.offers.clear();
        Step made;
        speculator.grant(plan, cost, base, room);
        for (const PlannedSequence& planned : plan) made.granted.push_back(planned.grant.n);
        speculator.draft(plan);
        model::StepShape shape;
        for (PlannedSequence& planned : plan) {
            shape.sequences.push_back(planned.step());
            made.found.push_back(static_cast<std::uint32_t>(planned.drafts.size()));
            made.right.push_back(check(planned));
        }
        made.seconds =
            price(shape) + (sum(made.granted) > 0 ? *std::max_element(made.granted.begin(), made.granted.end()) : 0) * drafter.round;
        return made;
    }

    FakeTokenizer tokenizer;
    FakeModel model{{0}, 1, 1};
    OfferingDrafter drafter{1.0};
    Price price;
    StepCost cost;
    std::vector<Logged> log;
    Speculator speculator;
    std::vector<std::unique_ptr<Sequence>> sequences;

  private:
    // Moves the sequence on by what the model chooses; how many draft tokens were that.
    std::uint32_t check(const PlannedSequence& planned) {
        Sequence& sequence = *planned.sequence;
        std::uint32_t n_right = 0;
        std::vector<TokenId> tokens = sequence.tokens;
        for (;;) {
            tokens.push_back(*argmax(model.logits_after(tokens)));
            if (n_right == planned.drafts.size() || planned.drafts[n_right] != tokens.back()) break;
            ++n_right;
        }
        speculator.learn(planned, n_right);
        for (std::size_t i = sequence.tokens.size(); i < tokens.size(); ++i) sequence.sampler.accept(tokens[i]);
        sequence.tokens = std::move(tokens);
        sequence.n_computed += 1 + n_right;
        return n_right;
    }
};

struct Totals {
    double tokens = 0.0, seconds = 0.0;
    std::uint32_t n_drafts = 0;
    [[nodiscard]] double rate() const { return tokens / seconds; }
};

Totals run(Loop& loop, int n_steps, const StepCost::Sum& base = {}) {
    Totals totals;
    for (int i = 0; i < n_steps; ++i) {
        const Loop::Step step = loop.step(base);
        totals.tokens += step.n_tokens();
        totals.seconds += step.seconds;
        totals.n_drafts += sum(step.granted);
    }
    return totals;
}

TEST(Speculator, RightDraftTokensGoOn) {
    for (const Curve& curve : {Curve(cpu_curve), Curve(gpu_curve)}) {
        for (const std::uint32_t n_sequences : {1U, 3U}) {
            Loop loop(price_of(curve));
            for (std::uint32_t i = 0; i < n_sequences; ++i) loop.add(4 + i);
            run(loop, 20);
            double best = 0.0;
            for (std::uint32_t n = 0; n <= 8; ++n) best = std::max(best, n_sequences * (1.0 + n) / curve(n_sequences * (1.0 + n)));
            EXPECT_GT(run(loop, 200).rate(), 0.97 * best) << n_sequences;
        }
    }
}

TEST(Speculator, WrongDraftTokensStopAfterAWhileAndCostLittle) {
    for (const Curve& curve : {Curve(cpu_curve), Curve(gpu_curve)}) {
        for (const std::uint32_t n_sequences : {1U, 3U}) {
            Loop loop(price_of(curve));
            loop.drafter.right = 0.0;
            for (std::uint32_t i = 0; i < n_sequences; ++i) loop.add(4 + i);
            const double plain = curve(n_sequences);
            const Totals first = run(loop, 50);
            EXPECT_GT(first.n_drafts, 0U);
            EXPECT_LT(first.seconds, (50 + 4) * plain) << n_sequences;
            const Totals later = run(loop, 1000);
            EXPECT_LT(later.seconds, 1.01 * 1000 * plain) << n_sequences;
            EXPECT_LT(later.n_drafts, 120 * n_sequences) << n_sequences;
            EXPECT_GT(later.n_drafts, 5U) << n_sequences;  // they may turn right again
            EXPECT_EQ(first.tokens + later.tokens, 1050.0 * n_sequences);
            loop.drafter.right = 1.0;
            run(loop, 150);
            EXPECT_GT(run(loop, 100).rate(), 1.5 * n_sequences / plain) << n_sequences;
        }
    }
}

TEST(Speculator, ASequenceWithWrongDraftsDoesNotKeepOthersFromDrafting) {
    Loop loop(price_of(cpu_curve));
    loop.add(4);
    loop.add(5);
    loop.drafter.trust_of_prompt = {{4, 1}, {5, 6}};
    loop.drafter.wrong_prompt = 4;
    run(loop, 100);
    std::uint32_t n_wrong = 0, n_right = 0;
    for (int i = 0; i < 100; ++i) {
        const Loop::Step step = loop.step();
        n_wrong += step.granted[0];
        n_right += step.right[1];
    }
    EXPECT_LT(n_wrong, 20U);
    EXPECT_GT(n_right, 300U);
    EXPECT_LT(loop.log.back().acceptance[0], 0.2);
    EXPECT_GT(loop.log.back().acceptance[1], 0.9);
}

TEST(Speculator, KeepsToTheStepsRoomAndCountsWhatCameOfIt) {
    std::mt19937 random(1);
    std::uint64_t n_tight = 0, n_drafting = 0, n_fewer = 0, n_wrong = 0;
    const int n_rounds = rafter::tests::rounds(150);
    for (int round = 0; round < n_rounds; ++round) {
        SpeculationOptions options{.most_drafts = 1 + static_cast<std::uint32_t>(random() % 9)};
        if (round % 3 == 0) options.fixed = random() % 10;
        const double each = 1e-3 * (random() % 40);
        Loop loop([each](const model::StepShape& shape) { return 0.1 + each * shape.n_tokens(); }, options);
        if (round % 9 == 0) loop.cost = StepCost();  // `fixed` asks for no prices
        loop.drafter.right = std::vector<double>{0.0, 0.5, 0.9, 1.0}[random() % 4];
        loop.drafter.sometimes_fewer = random() % 2;
        loop.drafter.round = round % 5 == 0 ? 0.01 : 0.0;
        for (std::uint32_t i = 0; i < 1 + random() % 5; ++i) loop.add(3 + i);
        if (random() % 2) loop.drafter.trust_of_prompt = {{3, 7}, {5, 2}};
        Counts drafted, accepted, chosen;
        std::uint64_t n_drafts = 0;
        for (int i = 0; i < 60; ++i) {
            std::map<const Sequence*, std::uint32_t> most;
            for (const auto& sequence : loop.sequences) most[sequence.get()] = random() % 3 ? kPlenty : random() % 6;
            const Speculator::Room room{.n_tokens = static_cast<std::uint32_t>(random() % 3 ? kPlenty : random() % 12),
                                        .n_outputs = static_cast<std::uint32_t>(random() % 3 ? kPlenty : random() % 12),
                                        .most = [&](const Sequence& sequence) { return most.at(&sequence); }};
            const StepCost::Sum base{.n_tokens = random() % 4 ? 0U : static_cast<std::uint32_t>(random() % 20)};
            std::vector<const TokenId*> keys;  // before the sequences go on
            std::vector<std::uint32_t> n_past;
            for (const auto& sequence : loop.sequences) {
                keys.push_back(sequence->tokens.data());
                n_past.push_back(sequence->n_computed);
            }
            loop.log.clear();
            const Loop::Step step = loop.step(base, room);

            std::uint32_t left = std::min(room.n_tokens, room.n_outputs);
            ASSERT_LE(sum(step.granted), left) << round;
            ASSERT_EQ(loop.log.size(), 1U);
            const Logged& line = loop.log[0];
            ASSERT_EQ(line.choice.n_drafts, step.granted);
            ASSERT_EQ(line.n_prompt_tokens, base.n_tokens);
            ASSERT_EQ(line.rows.size(), loop.sequences.size());
            ASSERT_EQ(line.acceptance.size(), loop.sequences.size());
            StepCost::Sum all = base;
            double expected_tokens = 0.0;
            for (std::size_t s = 0; s < loop.sequences.size(); ++s) {
                const std::uint32_t of_use = std::min(options.most_drafts, most.at(loop.sequences[s].get()));
                const auto offered = loop.drafter.offers.find(keys[s]);
                ASSERT_EQ(offered != loop.drafter.offers.end(), of_use > 0 && options.fixed != 0) << round;
                const DraftOffer offer = offered == loop.drafter.offers.end() ? DraftOffer{} : offered->second.second;
                ASSERT_LE(step.granted[s], offer.n_tokens) << round;
                ASSERT_LE(step.found[s], step.granted[s]) << round;
                if (offered != loop.drafter.offers.end()) {
                    ASSERT_EQ(offered->second.first, std::min(of_use, options.fixed.value_or(of_use))) << round;
                }
                if (options.fixed) {
                    ASSERT_EQ(step.granted[s], std::min({*options.fixed, of_use, offer.n_tokens, left})) << round;
                    left -= step.granted[s];
                }
                ASSERT_EQ(line.rows[s].offer.n_tokens, offer.n_tokens);
                ASSERT_EQ(line.rows[s].offer.trust, offer.trust);
                ASSERT_EQ(line.rows[s].n_past, n_past[s]);
                ASSERT_GT(line.acceptance[s], 0.0);
                ASSERT_LT(line.acceptance[s], 1.0);
                loop.cost.add(all, {.n_new = 1 + step.granted[s], .n_past = n_past[s], .n_outputs = 1 + step.granted[s]});
                expected_tokens += roofline::expected_tokens(line.acceptance[s], step.granted[s]);

                count(chosen, step.granted[s]);
                n_drafts += step.found[s] > 0;
                for (std::uint32_t j = 0; j < step.found[s]; ++j) count(drafted, j);
                for (std::uint32_t j = 0; j < step.right[s]; ++j) count(accepted, j);
                n_fewer += step.found[s] < step.granted[s];
                n_wrong += step.right[s] < step.found[s];
            }
            if (!options.fixed) {
                const std::uint32_t deepest = *std::max_element(step.granted.begin(), step.granted.end());
                ASSERT_NEAR(line.choice.expected_tokens, expected_tokens, 1e-9 * expected_tokens) << round;
                ASSERT_NEAR(line.choice.seconds, loop.cost.seconds(all) + deepest * loop.drafter.round, 1e-9) << round;
            }
            ASSERT_EQ(loop.speculator.last_choice().n_drafts, step.granted);
            n_tight += sum(step.granted) > 0 && sum(step.granted) == std::min(room.n_tokens, room.n_outputs);
            n_drafting += sum(step.granted) > 0;
        }
        const SpeculationCounters& counters = loop.speculator.counters();
        ASSERT_EQ(counters.drafted_per_position, drafted) << round;
        ASSERT_EQ(counters.accepted_per_position, accepted) << round;
        ASSERT_EQ(counters.chosen, chosen) << round;
        ASSERT_EQ(counters.n_drafts, n_drafts) << round;
        ASSERT_EQ(counters.n_draft_tokens, std::accumulate(drafted.begin(), drafted.end(), std::uint64_t{0})) << round;
        ASSERT_EQ(counters.n_accepted_tokens, std::accumulate(accepted.begin(), accepted.end(), std::uint64_t{0})) << round;
        ASSERT_TRUE(chosen.size() > 1 || counters.draft_seconds == 0.0) << round;
    }
    EXPECT_GT(n_tight, 3U * n_rounds);
    EXPECT_GT(n_drafting, 10U * n_rounds);
    EXPECT_GT(n_fewer, 5U * n_rounds);
    EXPECT_GT(n_wrong, 3U * n_rounds);
}

TEST(Speculator, CountersAddUpAndTheirDifferenceIsWhatCameBetween) {
    Loop loop(price_of(cpu_curve), {.most_drafts = 5, .fixed = 5});
    loop.drafter.right = 0.7;
    loop.add(4);
    loop.drafter.sometimes_fewer = true;
    run(loop, 200);
    const SpeculationCounters before = loop.speculator.counters();
    Counts drafted(5), accepted(5), chosen(6);
    for (int i = 0; i < 200; ++i) {
        const Loop::Step step = loop.step();
        ++chosen[step.granted[0]];
        for (std::uint32_t j = 0; j < step.found[0]; ++j) ++drafted[j];
        for (std::uint32_t j = 0; j < step.right[0]; ++j) ++accepted[j];
    }
    SpeculationCounters between = loop.speculator.counters();
    between -= before;
    EXPECT_EQ(between.drafted_per_position, drafted);
    EXPECT_EQ(between.accepted_per_position, accepted);
    EXPECT_EQ(between.chosen, chosen);
    EXPECT_EQ(between.n_draft_tokens, std::accumulate(drafted.begin(), drafted.end(), std::uint64_t{0}));
    EXPECT_EQ(between.n_accepted_tokens, std::accumulate(accepted.begin(), accepted.end(), std::uint64_t{0}));
    SpeculationCounters all;  // shorter than what is added
    all += before;
    all += between;
    EXPECT_EQ(all.drafted_per_position, loop.speculator.counters().drafted_per_position);
    EXPECT_EQ(all.accepted_per_position, loop.speculator.counters().accepted_per_position);
    EXPECT_EQ(all.chosen, loop.speculator.counters().chosen);
    EXPECT_EQ(all.n_drafts, loop.speculator.counters().n_drafts);
    EXPECT_DOUBLE_EQ(all.draft_seconds, loop.speculator.counters().draft_seconds);
}

TEST(Speculator, WithoutPricesThereAreNoDraftTokensAndNobodyIsAsked) {
    Loop loop(price_of(cpu_curve));
    loop.cost = StepCost();
    loop.add(4);
    for (int i = 0; i < 20; ++i) {
        const Loop::Step step = loop.step();
        EXPECT_EQ(step.granted, std::vector<std::uint32_t>{0});
        EXPECT_TRUE(loop.drafter.offers.empty());
    }
    EXPECT_EQ(loop.drafter.n_states, 0U);
    EXPECT_TRUE(loop.log.empty());
    EXPECT_TRUE(loop.speculator.counters().chosen.empty());
    loop.cost = cost_of(loop.price);
    EXPECT_GT(run(loop, 20).n_drafts, 0U);
}

TEST(Speculator, AStepWithoutDecodingSequencesIsNotAChoice) {
    Loop loop(price_of(cpu_curve));
    loop.add(4);
    run(loop, 20);
    const std::size_t n_lines = loop.log.size();
    const GovernorChoice before = loop.speculator.last_choice();
    ASSERT_GT(before.seconds, 0.0);
    const auto sequences = std::move(loop.sequences);
    loop.sequences.clear();
    loop.step({.n_tokens = 100, .n_outputs = 1});
    EXPECT_EQ(loop.log.size(), n_lines);
    EXPECT_EQ(loop.speculator.last_choice().n_drafts, before.n_drafts);
    EXPECT_EQ(loop.speculator.last_choice().seconds, before.seconds);
}

// A drafter that offers what it then does not find: nothing is learned of what was not checked.
TEST(Speculator, DraftsThatWereNotFoundAreNotWrong) {
    Loop loop(price_of(cpu_curve));
    loop.add(4);
    loop.drafter.finds_at_most = 0;
    for (int i = 0; i < 50; ++i) ASSERT_EQ(loop.step().found[0], 0U);
    EXPECT_EQ(loop.log.front().acceptance, loop.log.back().acceptance);
    EXPECT_EQ(loop.speculator.counters().n_drafts, 0U);
    EXPECT_TRUE(loop.speculator.counters().drafted_per_position.empty());
    EXPECT_GT(loop.speculator.counters().chosen.size(), 1U);  // it was asked
    loop.drafter.finds_at_most = 2;
    run(loop, 100);
    EXPECT_GT(loop.log.back().acceptance[0], 0.9);
    EXPECT_EQ(loop.speculator.counters().accepted_per_position, loop.speculator.counters().drafted_per_position);
    EXPECT_EQ(loop.speculator.counters().drafted_per_position.size(), 2U);
}

TEST(Speculator, ALongPastLeavesLessForDraftTokens) {
    // A token looks back at a thousand others in the time of a step.
    const Price price = [](const model::StepShape& shape) {
        double seconds = 1.0 + 0.02 * shape.n_tokens();
        for (const model::SequenceStep& s : shape.sequences) seconds += 1e-3 * s.n_new * s.n_past;
        return seconds;
    };
    double last = 1e9;
    for (const std::uint32_t n_prompt : {10U, 300U, 100'000U}) {
        Loop loop(price);
        loop.drafter.right = 0.6;
        loop.add(n_prompt);
        run(loop, 40);
        const double mean = run(loop, 60).n_drafts / 60.0;
        EXPECT_LT(mean, 0.7 * last) << n_prompt;
        last = mean;
    }
    EXPECT_LT(last, 0.2);
}

TEST(Speculator, PromptTokensInTheStepLeaveLessForDraftTokens) {
    double last = 1e9;
    for (const std::uint32_t n_prompt_tokens : {0U, 4U, 40U}) {
        Loop loop(made_up_price);  // eight tokens in a step cost no more than one
        loop.add(4);
        const StepCost::Sum base{.n_tokens = n_prompt_tokens, .n_outputs = 0};
        run(loop, 40, base);
        const double mean = run(loop, 60, base).n_drafts / 60.0;
        EXPECT_LT(mean, 0.7 * last) << n_prompt_tokens;
        last = mean;
    }
    EXPECT_LT(last, 0.2);
}

TEST(Speculator, TheDraftersOwnTimeCounts) {
    const auto mean_of = [](double round) {
        Loop loop(price_of(cpu_curve));
        loop.drafter.round = round;  // a step takes 1
        loop.add(4);
        run(loop, 40);
        return run(loop, 60).n_drafts / 60.0;
    };
    EXPECT_GT(mean_of(0.0), 5.0);
    EXPECT_LT(mean_of(1.0), 0.2);
}

TEST(Speculator, TheSameDraftTokensGiveTheSameChoices) {
    std::vector<std::vector<std::uint32_t>> runs[2];
    for (auto& granted : runs) {
        Loop loop(price_of(cpu_curve));
        loop.drafter.right = 0.6;
        loop.drafter.sometimes_fewer = true;
        for (std::uint32_t i = 0; i < 3; ++i) loop.add(4 + i);
        for (int i = 0; i < 200; ++i) granted.push_back(loop.step().granted);
    }
    EXPECT_EQ(runs[0], runs[1]);
}

TEST(Speculator, IsOffWithoutADrafterOrDraftTokens) {
    KnowingDrafter drafter(1.0);
    EXPECT_FALSE(Speculator({}).on());
    EXPECT_FALSE(Speculator({.drafter = &drafter, .most_drafts = 0}).on());
    EXPECT_TRUE(Speculator({.drafter = &drafter, .most_drafts = 1}).on());
}

}  // namespace
}  // namespace rafter::engine::tests
