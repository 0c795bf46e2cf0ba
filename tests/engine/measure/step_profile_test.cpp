// A measured shape beside its price: the sums over a long prompt's several steps.
#include "engine/measure/step_profile.h"

#include <gtest/gtest.h>

#include "backend/backends.h"

namespace rafter::engine {
namespace {

roofline::StepPrice price_of(double seconds, double bytes, bool complete) {
    roofline::StepPrice price;
    price.seconds = seconds;
    price.fixed_seconds = 1e-6;
    price.roof_bytes_per_s = 1e9;
    price.level = "memory";
    price.complete = complete;
    price.ops.resize(2);
    price.ops[0].seconds = seconds;
    price.ops[0].roof_seconds = seconds / 2;
    price.ops[0].cost.weight_bytes = bytes;
    price.ops[1].bound = roofline::PriceBound::kCompute;
    return price;
}

TEST(PhaseProfile, AddsStepsOpByOp) {
    PhaseProfile phase;
    phase.add(price_of(1e-3, 100, true));
    EXPECT_TRUE(phase.complete);
    phase.add(price_of(3e-3, 50, false));
    ASSERT_EQ(phase.ops.size(), 2U);
    EXPECT_EQ(phase.ops[1].op, 1U);
    EXPECT_DOUBLE_EQ(phase.ops[0].predicted_seconds, 4e-3);
    EXPECT_DOUBLE_EQ(phase.ops[0].roof_seconds, 2e-3);
    EXPECT_EQ(phase.ops[1].bound, roofline::PriceBound::kCompute);
    EXPECT_DOUBLE_EQ(phase.predicted_seconds, 4e-3);
    EXPECT_DOUBLE_EQ(phase.fixed_seconds, 2e-6);
    EXPECT_DOUBLE_EQ(phase.read_bytes, 150);
    EXPECT_FALSE(phase.complete);
    EXPECT_EQ(phase.op_seconds(), 0.0);  // a price is no measurement
}

TEST(PhaseProfile, OfAShapeHasItsMeasuredTimesAndTheSumOfItsStepsPrices) {
    model::Program program;
    program.values = {{.name = "x", .rows = model::RowKind::kTokens, .width = 64},
                      {.name = "y", .rows = model::RowKind::kTokens, .width = 64}};
    program.weights = {{.tensor = "w", .kind = model::WeightKind::kMatrix, .n_rows = 64, .n_cols = 64, .n_source_rows = 64}};
    program.ops = {
        {.kind = model::OpKind::kLinear, .name = "w", .inputs = {0}, .outputs = {1}, .weights = {0}, .options = {}, .parts = {}}};
    program.logits = 1;
    program.hidden = 1;
    hardware::Profile machine;
    machine.bandwidth = {{.n_threads = 1, .working_set_bytes = 1e6, .bytes_per_s = 1e9, .best_bytes_per_s = 1e9, .spread = 0.0}};
    machine.float_flop_per_s = 1e9;
    const LabResult measured{.seconds = {5e-3, 4e-3}, .op_seconds = {3e-3}};

    ThreadPool pool({.n_threads = 1});
    const auto backend = backend::make_backend("cpu", pool, "scalar").value();
    const LabShape prompt{.n_sequences = 1, .n_new = 20, .n_past = 0};
    const PhaseProfile prefill = profile_of(*backend, prompt, measured, 8, program, machine, {});
    EXPECT_EQ(prefill.phase, "prefill");
    EXPECT_EQ(prefill.n_tokens, 20.0);
    EXPECT_EQ(prefill.forward_seconds, 4e-3);
    EXPECT_EQ(prefill.ops.at(0).measured_seconds, 3e-3);
    double predicted = 0.0;
    for (const model::StepShape& step : prompt.steps(8)) predicted += backend->price_step(program, step, machine, {}).seconds;
    EXPECT_EQ(prompt.steps(8).size(), 3U);
    EXPECT_DOUBLE_EQ(prefill.predicted_seconds, predicted);

    EXPECT_EQ(profile_of(*backend, {.n_sequences = 2, .n_new = 1, .n_past = 30}, measured, 8, program, machine, {}).phase, "decode");
}

}  // namespace
}  // namespace rafter::engine
