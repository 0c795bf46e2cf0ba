// Devices that need not be there hold as many sequences as their plan says, and steps take what their layout makes of them.
#include "planning/simulated_devices.h"

#include <gtest/gtest.h>

#include "engine/measure/simulator.h"

namespace rafter::planning {
namespace {

const std::string kCases = std::string(RAFTER_SOURCE_DIR) + "/tests/model/hf/cases/";

SimulatedDevices devices(const PlanOptions& options,
                         const SimulationLimits& limits = {.context = 4096, .step_tokens = 8192, .n_sequences = 64}) {
    auto made = simulated_devices(options, {}, limits);
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(*made) : SimulatedDevices{};
}

TEST(SimulatedDevices, HoldAsManySequencesAsTheirPlanSays) {
    for (const char* model :
         {"Llama-3.1-8B", "DeepSeek-V3", "Gemma-3-27B", "qwen3-next-80b.json", "gemma3-27b.json", "llama4-scout.json"}) {
        PlanOptions options;
        options.model = std::string(model).ends_with(".json") ? kCases + model : model;
        options.hardware = "H200";
        options.parallel = "tp=8,pp=2";
        options.memory_fraction = 0.9;
        const SimulatedDevices simulated = devices(options);
        options.batch = 64;
        options.context = 4096;
        options.step_tokens = 8192;
        options.max_sequences = 64;
        const auto request = make_request(options, {});
        ASSERT_TRUE(request) << request.error().message;
        const roofline::Plan plan = roofline::make_plan(request->scenario);
        const roofline::MemoryFit& memory = plan.memory;
        const double n_fit = (memory.capacity_bytes - memory.weights_bytes - memory.workspace_bytes) / memory.paged.bytes_per_sequence;
        ASSERT_EQ(simulated.scheduler.n_blocks.size(), simulated.scheduler.windows.size());
        ASSERT_EQ(simulated.scheduler.windows[0], 0U) << model;
        EXPECT_EQ(simulated.scheduler.n_blocks[0], static_cast<std::uint32_t>(n_fit * 4096 / 16)) << model;
        EXPECT_NEAR(n_fit, memory.paged.max_sequences, 0.05 * n_fit + 1) << model;
        EXPECT_EQ(simulated.description, "16 x H200, tp=8,pp=2");
    }
}

TEST(SimulatedDevices, TakeForAStepWhatThePlanPricesItAt) {
    for (const char* parallel : {"tp=8", "tp=4,pp=2", "tp=2,ep=4", "tp=2,pp=2,ep=2"}) {
        PlanOptions options;
        options.model = "Mixtral-8x7B";
        options.hardware = "H100-SXM";
        options.parallel = parallel;
        const SimulatedDevices simulated = devices(options);
        const auto request = make_request(options, {});
        ASSERT_TRUE(request) << request.error().message;
        const auto planned = [&](const roofline::Step& step) {
            return roofline::price_step(request->scenario.list(), request->scenario.setup, step).seconds;
        };
        const auto taken = [&](const model::StepShape& shape) {
            return simulated.step_seconds ? simulated.step_seconds(shape) : simulated.scheduler.cost.seconds(shape);
        };
        const bool grouped = std::string(parallel) != "tp=8";
        EXPECT_EQ(static_cast<bool>(simulated.step_seconds), grouped) << parallel;
        const double tolerance = grouped ? 1e-9 : 0.02;  // the scheduler's table is a few straight lines
        // All alike, and as many tokens at different places: what they look back at is the same together.
        const double decode = planned(roofline::decode_step(64, 2001));
        model::StepShape shape;
        for (std::uint32_t i = 0; i < 64; ++i) shape.sequences.push_back({.n_new = 1, .n_past = 1000 + (i % 2) * 2000, .n_outputs = 1});
        EXPECT_NEAR(taken(shape), decode, tolerance * decode) << parallel;
        const double prefill = planned(roofline::prefill_step(1, 2048));
        EXPECT_NEAR(taken({.sequences = {{.n_new = 2048, .n_past = 0, .n_outputs = 1}}}), prefill, tolerance * prefill) << parallel;
    }
}

TEST(SimulatedDevices, ServeFasterWhenThereAreMore) {
    double before = 1e9;
    for (const char* parallel : {"tp=1", "tp=2", "tp=4", "tp=8", "tp=8,pp=2"}) {
        PlanOptions options;
        options.model = "Llama-3.1-8B";
        options.hardware = "H100-SXM";
        options.parallel = parallel;
        const SimulatedDevices simulated = devices(options, {.context = 2049, .step_tokens = 8192, .n_sequences = 256});
        engine::SimulatedWorker worker(simulated.scheduler, 0.0, simulated.step_seconds);
        engine::Workload workload({.n_requests = 600, .prompt = 1800, .generate = 200, .n_vocab = 1000});
        const auto report = run_workload(workload, worker, {});
        ASSERT_TRUE(report.has_value());
        EXPECT_EQ(report->generated_tokens, 600U * 200);
        EXPECT_LT(report->seconds, before) << parallel;
        before = report->seconds;
    }
}

TEST(SimulatedDevices, SayWhatIsAssumedAndWhatDoesNotFit) {
    PlanOptions options;
    options.model = kCases + "foo-unknown.json";
    options.assume = "llama";
    options.hardware = "H100-SXM";
    EXPECT_FALSE(devices(options).assumed.empty());
    options = {};
    options.model = "Llama-3.1-405B";
    options.hardware = "L4";
    const auto refused = simulated_devices(options, {}, {.context = 4096, .step_tokens = 8192, .n_sequences = 16});
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("does not fit on L4"), std::string::npos) << refused.error().message;
    options.hardware = "H100-SXM";
    options.devices = 16;
    EXPECT_TRUE(simulated_devices(options, {}, {.context = 4096, .step_tokens = 8192, .n_sequences = 16}));
    options.memory_fraction = 0.5;
    EXPECT_FALSE(simulated_devices(options, {}, {.context = 4096, .step_tokens = 8192, .n_sequences = 16}));
    options.parallel = "tp=7";
    options.devices.reset();
    EXPECT_FALSE(simulated_devices(options, {}, {.context = 4096, .step_tokens = 8192, .n_sequences = 16}));
}

TEST(SimulatedDevices, HoldWhatAnEngineLeaves) {
    PlanOptions options;
    options.model = "DeepSeek-R1";
    options.hardware = "H100-SXM";
    options.parallel = "tp=8,pp=2";
    options.memory_fraction = 0.9;
    const SimulationLimits limits{.context = 32768, .step_tokens = 0, .n_sequences = 256};
    const SimulatedDevices ideal = devices(options, limits);
    EXPECT_EQ(ideal.engine, "ideal");
    EXPECT_EQ(ideal.scheduler.limits.n_tokens, 8192U);
    options.engine = "vllm";
    const SimulatedDevices vllm = devices(options, limits);
    EXPECT_EQ(vllm.engine, "vllm");
    EXPECT_NE(vllm.engine_note.find("vLLM"), std::string::npos);
    // Each of 8 devices holds the whole latent: about 29 sequences of 32,768 tokens where the ideal engine has room for 8 times as many.
    EXPECT_NEAR(vllm.scheduler.n_blocks[0] * 16.0 / 32768, 29, 4);
    EXPECT_GT(ideal.scheduler.n_blocks[0], 7.0 * vllm.scheduler.n_blocks[0]);
}

TEST(SimulatedDevices, OfModelsWithStatesComputeEveryPromptWhole) {
    PlanOptions options;
    options.model = kCases + "nemotron-h-8b.json";
    options.hardware = "H100-SXM";
    const SimulatedDevices simulated = devices(options);
    EXPECT_FALSE(simulated.scheduler.prefix_cache);
    EXPECT_FALSE(simulated.notes.empty());
}

}  // namespace
}  // namespace rafter::planning
