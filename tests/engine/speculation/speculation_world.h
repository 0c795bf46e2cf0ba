// A decoding engine without a model: steps take what a curve says, draft tokens are right by chance, and the governor sees no more than it
// would see of a real one. Its tokens are counted as expected by the true acceptance, so that luck does not hide what is compared.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "engine/speculation/governor.h"
#include "roofline/speculation.h"

namespace rafter::engine::tests {

using Curve = std::function<double(double n_tokens)>;  // seconds of a step

// Each column costs a tenth of a step, and each group of four another part of one.
inline double cpu_curve(double n) { return 1.0 + 0.10 * (n - 1.0) + 0.15 * std::floor((n - 1.0) / 4.0); }
// Reading the weights hides all until arithmetic binds, at 64 columns.
inline double gpu_curve(double n) { return std::max(1.0 + 0.004 * (n - 1.0), n / 64.0); }

struct World {
    Curve curve;
    Curve believed;  // what the engine was told; empty: the curve
    std::uint32_t n_rows = 1;
    double draft = 0.0;        // a round of draft tokens over a step of the same sequences
    std::uint32_t n_most = 8;  // drafts a sequence
    std::function<double(std::uint32_t step)> acceptance;
    double noise = 0.0;  // of a step's time, up to this share more or less
    std::uint32_t n_steps = 2000;
    std::uint32_t seed = 1;
};

struct SimulatedRun {
    double tokens = 0.0;
    double seconds = 0.0;
    double explored_seconds = 0.0;        // of steps that explored, beyond a plain one
    std::vector<double> rate_over_plain;  // [n_steps]
    std::vector<std::uint32_t> n_drafts;  // [n_steps]: of all rows
    [[nodiscard]] double rate() const { return tokens / seconds; }
};

inline double round_seconds(const World& world, double n_sequences) { return world.draft * world.curve(n_sequences); }

inline SimulatedRun simulate(const World& world) {
    const Curve& believed = world.believed ? world.believed : world.curve;
    StepCost cost([&](const model::StepShape& shape) { return believed(shape.n_tokens()); }, 512, 1024);
    Governor governor;
    std::vector<AcceptanceHistory> histories(world.n_rows);
    std::mt19937 random(world.seed);
    const auto chance = [&] { return random() / 4294967296.0; };
    SimulatedRun run;
    for (std::uint32_t step = 0; step < world.n_steps; ++step) {
        std::vector<GovernorRow> rows;
        for (const AcceptanceHistory& history : histories)
            rows.push_back({.history = &history, .offer = {.n_tokens = world.n_most, .trust = 0}});
        const GovernorChoice choice = governor.choose(
            rows, cost, {}, [&](std::uint32_t n, std::uint32_t) { return round_seconds(world, n); }, 480, 480);
        const double acceptance = world.acceptance(step);
        model::StepShape shape;
        double tokens = 0.0;
        double seconds = 0.0;
        std::uint32_t n_all = 0;
        for (std::uint32_t i = 0; i < world.n_rows; ++i) {
            const std::uint32_t n = choice.n_drafts[i];
            shape.sequences.push_back({.n_new = 1 + n, .n_past = 0, .n_outputs = 1 + n});
            tokens += roofline::expected_tokens(acceptance, n);
            n_all += n;
            if (n == 0) continue;
            std::uint32_t n_right = 0;
            while (n_right < n && chance() < acceptance) ++n_right;
            governor.learn(histories[i], 0, n, n_right);
        }
        for (std::uint32_t j = 1; j <= world.n_most; ++j) {
            const auto n = std::count_if(choice.n_drafts.begin(), choice.n_drafts.end(), [j](std::uint32_t k) { return k >= j; });
            if (n > 0) seconds += round_seconds(world, static_cast<double>(n));
        }
        const double verify = world.curve(shape.n_tokens()) * (1.0 + world.noise * (2.0 * chance() - 1.0));
        cost.learn(shape, verify);
        seconds += verify;
        const double plain = world.curve(world.n_rows);
        if (choice.explores) run.explored_seconds += seconds - plain;
        run.tokens += tokens;
        run.seconds += seconds;
        run.rate_over_plain.push_back(tokens / seconds * plain / world.n_rows);
        run.n_drafts.push_back(n_all);
    }
    return run;
}

struct Fixed {
    std::uint32_t n_drafts = 0;
    double rate = 0.0;
};

inline double plain_rate(const World& world) { return world.n_rows / world.curve(world.n_rows); }

// The best number of drafts for all sequences in every step, acceptance known and constant.
inline Fixed best_fixed(const World& world) {
    Fixed best;
    for (std::uint32_t n = 0; n <= world.n_most; ++n) {
        const double tokens = world.n_rows * roofline::expected_tokens(world.acceptance(0), n);
        const double rate = tokens / (world.curve(world.n_rows * (1.0 + n)) + n * round_seconds(world, world.n_rows));
        if (rate > best.rate) best = {n, rate};
    }
    return best;
}

}  // namespace rafter::engine::tests
