// The governor's choice against all choices, and what it gives in a simulated engine against fixed numbers of drafts.
#include "engine/speculation/governor.h"

#include <gtest/gtest.h>

#include <numeric>

#include "backend/backends.h"
#include "hardware/catalog.h"
#include "model/catalog.h"
#include "roofline/plan.h"
#include "tests/engine/speculation/speculation_world.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using tests::best_fixed;
using tests::cpu_curve;
using tests::gpu_curve;
using tests::plain_rate;
using tests::simulate;
using tests::SimulatedRun;
using tests::World;

constexpr double kNearTie = 0.01;  // as in governor.cpp

const Governor::RoundSeconds kFree = [](std::uint32_t, std::uint32_t) { return 0.0; };

// Right as often as that, and long enough for certainty.
AcceptanceHistory history_of(double share) {
    AcceptanceHistory history;
    double owed = 0.0;
    for (int i = 0; i < 1000; ++i) {
        owed += share;
        const bool right = owed >= 1.0;
        if (right) owed -= 1.0;
        history.add(0, 1, right ? 1 : 0);
    }
    return history;
}

StepCost cost_of(const tests::Curve& curve) {
    return StepCost([&](const model::StepShape& shape) { return curve(shape.n_tokens()); }, 512, 1024);
}

// What a governor chooses when it does not explore: its account runs dry when nothing is learned.
GovernorChoice settled(Governor& governor, std::span<const GovernorRow> rows, const StepCost& cost, const Governor::RoundSeconds& round,
                       const StepCost::Sum& base = {}, std::uint32_t n_most = 64) {
    for (int i = 0; i < 1000; ++i) {
        GovernorChoice choice = governor.choose(rows, cost, base, round, n_most, n_most);
        if (!choice.explores) return choice;
    }
    ADD_FAILURE() << "explores always";
    return {};
}

TEST(Governor, ChoosesWithinANearTieOfTheBestOfAllChoices) {
    std::mt19937 random(7);
    const auto uniform = [&](double from, double to) { return from + (to - from) * (random() / 4294967296.0); };
    int n_with_drafts = 0;
    for (int round = 0; round < rafter::tests::rounds(600); ++round) {
        // Monotone with jumps, or anything at all.
        std::vector<double> seconds(80);
        double sum = uniform(0.5, 2.0);
        for (double& s : seconds) {
            sum += random() % 4 == 0 ? uniform(0.0, 0.6) : uniform(0.0, 0.05);
            s = round % 2 ? uniform(1.0, 3.0) : sum;
        }
        const double looking_back = round % 3 == 0 ? 1e-4 : 0.0;
        const StepCost cost(
            [&](const model::StepShape& shape) {
                double s = seconds[std::min<std::size_t>(shape.n_tokens(), seconds.size() - 1)];
                for (const auto& sequence : shape.sequences) s += looking_back * sequence.n_new * sequence.n_past;
                return s;
            },
            64, 1000);
        const double round_fixed = round % 5 == 0 ? uniform(0.0, 0.4) : 0.0;
        const double round_each = round % 5 == 0 ? uniform(0.0, 0.1) : 0.0;
        const auto round_seconds = [&](std::uint32_t n, std::uint32_t) { return round_fixed + round_each * n; };
        const std::size_t n_rows = 1 + random() % 4;
        std::vector<AcceptanceHistory> histories;
        for (std::size_t i = 0; i < n_rows; ++i) histories.push_back(history_of(uniform(0.05, 0.98)));
        std::vector<GovernorRow> rows;
        for (const auto& history : histories) {
            rows.push_back({.history = &history,
                            .offer = {.n_tokens = static_cast<std::uint32_t>(random() % 6)},
                            .n_past = static_cast<std::uint32_t>(50 + random() % 100)});
        }
        const StepCost::Sum base{.n_tokens = round % 7 == 0 ? static_cast<std::uint32_t>(random() % 10) : 0U};
        const std::uint32_t n_most = round % 4 == 0 ? static_cast<std::uint32_t>(random() % 8) : 64U;
        Governor governor;
        const GovernorChoice choice = settled(governor, rows, cost, round_seconds, base, n_most);

        const auto rate_of = [&](const std::vector<std::uint32_t>& n_drafts) {
            model::StepShape shape;
            double tokens = base.n_tokens;
            for (std::size_t i = 0; i < n_rows; ++i) {
                shape.sequences.push_back({.n_new = 1 + n_drafts[i], .n_past = rows[i].n_past, .n_outputs = 1 + n_drafts[i]});
                tokens += roofline::expected_tokens(governor.acceptance(histories[i], 0), n_drafts[i]);
            }
            StepCost::Sum all = base;
            for (const auto& sequence : shape.sequences) cost.add(all, sequence);
            double time = cost.seconds(all);
            for (std::uint32_t j = 1; j <= 5; ++j) {
                const auto n = std::count_if(n_drafts.begin(), n_drafts.end(), [j](auto k) { return k >= j; });
                if (n > 0) time += round_seconds(static_cast<std::uint32_t>(n), 0);
            }
            return tokens / time;
        };
        double best = 0.0;
        std::uint32_t fewest = 1000;  // drafts of any choice that is clearly nearer than a near tie
        std::vector<std::uint32_t> k(n_rows, 0);
        const auto every = [&](auto& self, std::size_t i, const auto& visit) -> void {
            if (i == n_rows) return std::accumulate(k.begin(), k.end(), 0U) <= n_most ? visit() : void();
            for (k[i] = 0; k[i] <= rows[i].offer.n_tokens; ++k[i]) self(self, i + 1, visit);
            k[i] = 0;
        };
        every(every, 0, [&] { best = std::max(best, rate_of(k)); });
        every(every, 0, [&] {
            if (rate_of(k) > best * (1.0 - 0.5 * kNearTie)) fewest = std::min(fewest, std::accumulate(k.begin(), k.end(), 0U));
        });
        const double chosen = rate_of(choice.n_drafts);
        const std::uint32_t n_drafts = std::accumulate(choice.n_drafts.begin(), choice.n_drafts.end(), 0U);
        // Looking back and rounds differ by row, so that the likeliest drafts need not be the best ones: a percent more.
        const bool exact = looking_back == 0.0 && round_fixed + round_each == 0.0;
        EXPECT_GE(chosen * (1.0 + (exact ? 1.001 : 2.0) * kNearTie), best) << round;
        EXPECT_LE(n_drafts, exact ? fewest : n_most) << round;
        EXPECT_LE(n_drafts, n_most) << round;
        EXPECT_NEAR((choice.expected_tokens + base.n_tokens) / choice.seconds, chosen, 1e-9 * chosen) << round;
        n_with_drafts += n_drafts > 0;
    }
    EXPECT_GT(n_with_drafts, rafter::tests::rounds(600) / 4);
}

TEST(Governor, LeavesOutWhatHardlyPays) {
    const AcceptanceHistory history = history_of(0.5);
    const std::vector<GovernorRow> rows{{.history = &history, .offer = {.n_tokens = 1}}};
    Governor governor;
    const double acceptance = governor.acceptance(history, 0);
    for (const double gain : {-0.05, 0.0, 0.008, 0.012, 0.05}) {
        const StepCost cost = cost_of([&](double n) { return n < 2 ? 1.0 : (1.0 + acceptance) / (1.0 + gain); });
        EXPECT_EQ(settled(governor, rows, cost, kFree).n_drafts[0], gain > kNearTie ? 1U : 0U) << gain;
    }
}

TEST(Governor, DraftsLittleBesideAPromptAndNothingWithoutPricesRoomOrOffers) {
    const AcceptanceHistory history = history_of(0.7);
    std::vector<GovernorRow> rows{{.history = &history, .offer = {.n_tokens = 5}}};
    Governor governor;
    const StepCost cost = cost_of(cpu_curve);
    EXPECT_GT(settled(governor, rows, cost, kFree).n_drafts[0], 0U);
    EXPECT_EQ(settled(governor, rows, cost, kFree, {.n_tokens = 200, .n_outputs = 1}).n_drafts[0], 0U);
    EXPECT_EQ(governor.choose(rows, StepCost(), {}, kFree, 64, 64).n_drafts[0], 0U);
    EXPECT_EQ(governor.choose(rows, cost, {}, kFree, 0, 64).n_drafts[0], 0U);
    EXPECT_EQ(governor.choose(rows, cost, {}, kFree, 64, 0).n_drafts[0], 0U);
    EXPECT_LE(governor.choose(rows, cost, {}, kFree, 64, 1).n_drafts[0], 1U);
    EXPECT_TRUE(governor.choose({}, cost, {}, kFree, 64, 64).n_drafts.empty());
    EXPECT_TRUE(governor.choose({}, StepCost(), {}, {}, 64, 64).n_drafts.empty());
    rows[0].offer.n_tokens = 0;
    const GovernorChoice none = governor.choose(rows, cost, {}, kFree, 64, 64);
    EXPECT_EQ(none.n_drafts[0], 0U);
    EXPECT_DOUBLE_EQ(none.tokens_per_second(), none.plain_tokens_per_second);
}

TEST(Governor, EstimatesAcceptanceByLevelAndStartsNewSequencesFromTheOthers) {
    Governor governor;
    AcceptanceHistory seen;
    AcceptanceHistory fresh;
    for (std::uint32_t trust = 1; trust < kTrustLevels; ++trust) {
        EXPECT_GT(governor.acceptance(fresh, trust), governor.acceptance(fresh, trust - 1));
    }
    const double untouched = governor.acceptance(fresh, 5);
    for (int i = 0; i < 400; ++i) governor.learn(seen, 2, 4, i % 2 ? 4 : 1);  // of six that say something, five right
    EXPECT_NEAR(governor.acceptance(seen, 2), 5.0 / 6, 0.03);
    EXPECT_NEAR(governor.acceptance(fresh, 2), 5.0 / 6, 0.06);
    EXPECT_EQ(governor.acceptance(fresh, 5), untouched);
    for (int i = 0; i < 60; ++i) governor.learn(fresh, 2, 1, 0);
    EXPECT_LT(governor.acceptance(fresh, 2), 0.1);  // its own history is what counts
}

// A matrix whose reading takes 6 ns a weight. A column takes 1 ns by vectors; a tile of up to 16 takes 3 ns.
StepCost cost_of_a_matrix(bool has_tiles) {
    using tensor::DType;
    model::Program program;
    program.values = {{.name = "x", .rows = model::RowKind::kTokens, .width = 256, .encoding = model::Encoding::kQ8},
                      {.name = "y", .rows = model::RowKind::kTokens, .width = 64}};
    program.weights = {
        {.tensor = "w", .kind = model::WeightKind::kMatrix, .n_rows = 64, .n_cols = 256, .n_source_rows = 64, .dtype = DType::kQ8_0}};
    program.ops = {
        {.kind = model::OpKind::kLinear, .name = "w", .inputs = {0}, .outputs = {1}, .weights = {0}, .options = {}, .parts = {}}};
    program.logits = 1;
    program.hidden = 1;
    hardware::Profile machine;
    machine.key = {.cpu = "x", .n_threads = 1, .isa = "scalar", .version = "1"};
    const double bytes_per_s = 34.0 / 32.0 / 6e-9;
    machine.bandwidth = {
        {.n_threads = 1, .working_set_bytes = 1e6, .bytes_per_s = bytes_per_s, .best_bytes_per_s = bytes_per_s, .spread = 0.0}};
    machine.float_flop_per_s = machine.int8_flop_per_s = 1e11;
    const auto add = [&](unsigned n_columns, double seconds) {
        machine.matrices.push_back(
            {.weights = DType::kQ8_0, .activations = "q8", .n_columns = n_columns, .from_memory = false, .seconds_per_weight = seconds});
    };
    add(1, 1e-9);
    add(4, 4e-9);
    if (has_tiles) {
        machine.tiles = {{.weights = DType::kQ8_0, .min_columns = 4}};
        machine.matrices.back().seconds_per_weight = 3e-9;
        add(16, 3e-9);
        add(64, 12e-9);
    }
    ThreadPool pool({.n_threads = 1, .pin = false});
    const auto backend = backend::make_backend("cpu", pool, "scalar").value();
    return {*backend, program, machine, {}, 512, 64};
}

// Up to the ridge a draft token is free: 6 columns by vectors, 32 by tiles.
TEST(Governor, DraftsUpToTheTilesRidgeWhereTheMachineHasTiles) {
    const AcceptanceHistory history = history_of(0.9);
    const auto n_drafts = [&](bool has_tiles) {
        Governor governor;
        const std::vector<GovernorRow> rows{{.history = &history, .offer = {.n_tokens = 48}}};
        return settled(governor, rows, cost_of_a_matrix(has_tiles), kFree).n_drafts[0];
    };
    EXPECT_GE(n_drafts(false), 4U);
    EXPECT_LE(n_drafts(false), 6U);
    EXPECT_GE(n_drafts(true), 24U);
    EXPECT_LE(n_drafts(true), 31U);
}

TEST(Governor, StopsDraftingWithinAFewStepsWhenDraftsAreWrong) {
    const StepCost cost = cost_of(cpu_curve);
    Governor governor;
    AcceptanceHistory good = history_of(0.9);
    AcceptanceHistory bad = history_of(0.9);
    for (int i = 0; i < 200; ++i) governor.learn(good, 0, 1, i % 10 ? 1 : 0);
    int n_steps = 0;
    for (;; ++n_steps) {
        const std::vector<GovernorRow> rows{{.history = &good, .offer = {.n_tokens = 4}}, {.history = &bad, .offer = {.n_tokens = 4}}};
        const GovernorChoice choice = settled(governor, rows, cost, kFree);
        if (choice.n_drafts[1] == 0) break;
        EXPECT_GT(choice.n_drafts[0], 0U);
        governor.learn(bad, 0, choice.n_drafts[1], 0);
        ASSERT_LT(n_steps, 8);
    }
    EXPECT_GE(n_steps, 2);  // one wrong draft token is no reason
}

World constant(const tests::Curve& curve, double acceptance, std::uint32_t n_rows, double draft) {
    World world;
    world.curve = curve;
    world.acceptance = [=](std::uint32_t) { return acceptance; };
    world.n_rows = n_rows;
    world.draft = draft;
    return world;
}

// 2,000 steps each, learning from nothing; all of it is in bench/results/speculation.md.
TEST(Governor, IsWithin3PercentOfTheBestFixedNumberAndNeverUnder98OfPlain) {
    for (const tests::Curve& curve : {tests::Curve(cpu_curve), tests::Curve(gpu_curve)}) {
        for (const double acceptance : {0.1, 0.5, 0.8, 0.95}) {
            for (const std::uint32_t n_rows : {1U, 4U, 32U}) {
                for (const double draft : {0.0, 0.2, 0.5}) {
                    const World world = constant(curve, acceptance, n_rows, draft);
                    const double rate = simulate(world).rate();
                    EXPECT_GE(rate, 0.97 * best_fixed(world).rate) << acceptance << " × " << n_rows << " × " << draft;
                    EXPECT_GE(rate, 0.98 * plain_rate(world)) << acceptance << " × " << n_rows << " × " << draft;
                }
            }
        }
    }
}

TEST(Governor, IsNeverUnder98OfPlainWithPricesWrongBy20PercentAndNoise) {
    for (const tests::Curve& curve : {tests::Curve(cpu_curve), tests::Curve(gpu_curve)}) {
        for (const double wrong : {0.8, 1.2}) {  // of every step that has drafts, believed over true
            for (const double acceptance : {0.1, 0.4, 0.7, 0.9}) {
                for (const std::uint32_t n_rows : {1U, 8U, 32U}) {
                    World world = constant(curve, acceptance, n_rows, 0.1);
                    world.believed = [=](double n) { return curve(n) * (n > n_rows ? wrong : 1.0); };
                    world.noise = 0.05;
                    EXPECT_GE(simulate(world).rate(), 0.98 * plain_rate(world)) << wrong << ": " << acceptance << " × " << n_rows;
                }
            }
        }
    }
}

double mean(const std::vector<double>& values, std::size_t from, std::size_t to) {
    return std::accumulate(values.begin() + static_cast<std::ptrdiff_t>(from), values.begin() + static_cast<std::ptrdiff_t>(to), 0.0) /
           static_cast<double>(to - from);
}

TEST(Governor, LosesLittleWhenDraftTokensGoWrongAndComesBackWhenTheyAreRight) {
    for (const tests::Curve& curve : {tests::Curve(cpu_curve), tests::Curve(gpu_curve)}) {
        World world = constant(curve, 0.9, 1, 0.0);
        const double best = best_fixed(world).rate / plain_rate(world);
        world.acceptance = [](std::uint32_t step) { return step / 600 % 2 ? 0.0 : 0.9; };
        world.n_steps = 1800;
        const SimulatedRun run = simulate(world);
        EXPECT_GT(mean(run.rate_over_plain, 100, 600), 0.95 * best);
        EXPECT_GT(mean(run.rate_over_plain, 600, 1200), 0.97);  // the loss of noticing it too
        EXPECT_GT(mean(run.rate_over_plain, 650, 1200), 0.985);
        EXPECT_GT(mean(run.rate_over_plain, 1300, 1800), 0.95 * best);
    }
}

TEST(Governor, IsNotFooledByDraftTokensThatTurnRightAndWrongAllTheTime) {
    for (const std::uint32_t period : {3U, 5U, 12U, 40U, 150U}) {
        for (const std::uint32_t n_rows : {1U, 8U}) {
            World world = constant(cpu_curve, 0.9, n_rows, 0.3);
            world.acceptance = [=](std::uint32_t step) { return step / period % 2 ? 0.0 : 0.9; };
            EXPECT_GE(simulate(world).rate(), 0.98 * plain_rate(world)) << period << " × " << n_rows;
        }
    }
}

TEST(Governor, ExploresForLessThan1PercentOfTheTimeAndNotAtAllWhereNothingCouldPay) {
    for (const std::uint32_t n_rows : {1U, 4U, 16U}) {
        World world = constant(cpu_curve, 0.0, n_rows, 0.1);
        const SimulatedRun run = simulate(world);
        EXPECT_LT(run.explored_seconds, 0.01 * run.seconds) << n_rows;
        EXPECT_GT(std::count_if(run.n_drafts.begin() + 1000, run.n_drafts.end(), [](auto n) { return n > 0; }), 5) << n_rows;
        // Each column costs as much as the first.
        world.curve = [](double n) { return n; };
        const SimulatedRun hopeless = simulate(world);
        EXPECT_EQ(std::accumulate(hopeless.n_drafts.begin(), hopeless.n_drafts.end(), 0U), 0U);
    }
}

TEST(Governor, ExploresEachOfManyRowsInTurn) {
    const StepCost cost = cost_of(gpu_curve);
    Governor governor;
    std::vector<AcceptanceHistory> histories(6, history_of(0.0));
    std::vector<int> n_explored(histories.size());
    for (int step = 0; step < 2000; ++step) {
        std::vector<GovernorRow> rows;
        for (const auto& history : histories) rows.push_back({.history = &history, .offer = {.n_tokens = 4}});
        const GovernorChoice choice = governor.choose(
            rows, cost, {}, [](std::uint32_t, std::uint32_t) { return 0.2; }, 64, 64);
        for (std::size_t i = 0; i < histories.size(); ++i) {
            if (choice.n_drafts[i] == 0) continue;
            n_explored[i]++;
            governor.learn(histories[i], 0, choice.n_drafts[i], 0);
        }
    }
    const auto [least, most] = std::minmax_element(n_explored.begin(), n_explored.end());
    EXPECT_GE(*least, 5);
    EXPECT_LE(*most, *least + 1);
}

TEST(Governor, ChoosesTheSameForTheSame) {
    const World world = constant(cpu_curve, 0.6, 8, 0.1);
    EXPECT_EQ(simulate(world).n_drafts, simulate(world).n_drafts);
}

// `rafter plan` has closed formulas and the roofline's prices; the governor has sums, and tables with lines between numbers of tokens that
// are a tenth apart: a percent beside the near tie.
TEST(Governor, AgreesWithThePlanner) {
    const roofline::PlannedModel model = roofline::plan_described(model::find_in_catalog("Llama-2-7B")->model);
    roofline::Setup setup;
    setup.types = model.native;
    for (const char* device : {"A100", "H100"}) {
        setup.hardware = hardware::find_in_catalog(device)->hardware;
        for (const std::uint32_t n_rows : {1U, 8U, 32U}) {
            const StepCost cost([&](const model::StepShape& shape) { return price_step(model.fused, setup, shape).seconds; }, 512, 256);
            for (const double share : {0.2, 0.5, 0.7, 0.9}) {
                for (const double c : {0.02, 0.1, 0.4}) {
                    const AcceptanceHistory history = history_of(share);
                    const std::vector<GovernorRow> rows(n_rows, {.history = &history, .offer = {.n_tokens = 12}, .n_past = 127});
                    Governor governor;
                    const double alpha = governor.acceptance(history, 0);
                    const roofline::SpeculationQuestion question{
                        .alpha = alpha, .c = c, .n_sequences = static_cast<double>(n_rows), .n_context = 128, .max_gamma = 12};
                    const roofline::Speculation planned = speculate(model.fused, setup, question);
                    const double plain = price_step(model.fused, setup, roofline::decode_step(n_rows, 128)).seconds;
                    const auto round = [&](std::uint32_t, std::uint32_t) { return c * plain; };
                    const GovernorChoice choice = settled(governor, rows, cost, round, {}, 400);
                    const double speedup = choice.tokens_per_second() / choice.plain_tokens_per_second;
                    const std::string what = fmt::format("{} × {}: {} {}", device, n_rows, share, c);
                    EXPECT_NEAR(speedup, planned.best_speedup, 2.0 * kNearTie * planned.best_speedup) << what;
                    EXPECT_LE(choice.n_drafts[0], planned.best_gamma) << what;
                    if (choice.n_drafts[0] == planned.best_gamma) continue;
                    // Fewer only for a near tie.
                    roofline::SpeculationQuestion fewer = question;
                    fewer.gamma = choice.n_drafts[0];
                    const double of_fewer = fewer.gamma > 0 ? speculate(model.fused, setup, fewer).speedup : 1.0;
                    EXPECT_GT(of_fewer * (1.0 + 2.0 * kNearTie), planned.best_speedup) << what;
                }
            }
        }
    }
}

}  // namespace
}  // namespace rafter::engine
