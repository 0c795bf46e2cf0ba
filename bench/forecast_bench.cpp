// One forecast of a request that comes while 32 sequences decode and so many wait: until its first and its last token, beside the others'
// prompts in chunks within the target, and with requests that come later. `roof` has no meaning here.
#include <benchmark/benchmark.h>

#include <vector>

#include "engine/measure/forecast.h"

namespace rafter::bench {
namespace {

constexpr std::uint32_t kRunning = 32;

void forecast(benchmark::State& state) {
    const auto n_waiting = static_cast<std::size_t>(state.range(0));
    const auto price = [](const model::StepShape& shape) { return 10e-3 + 0.8e-3 * shape.n_tokens(); };
    engine::SchedulerOptions options{.limits = {.n_tokens = 512, .n_outputs = 64},
                                     .context = 8192,
                                     .n_blocks = {20'000},
                                     .windows = {0},
                                     .cost = engine::StepCost(price, 512, 8192),
                                     .n_sequences = kRunning};
    options.target_itl_seconds = options.cost.usual_itl_seconds(options.context, kRunning);
    engine::SchedulerOutlook outlook;
    outlook.cost = options.cost;
    outlook.n_blocks = options.n_blocks[0];
    for (std::uint32_t i = 0; i < kRunning; ++i) {
        outlook.running.push_back({.n_prompt = 256, .n_tokens = 257 + 2 * i, .n_computed = 256 + 2 * i, .max_tokens = 64});
    }
    std::vector<engine::WaitingSequence> line(n_waiting + 1, {.n_prompt = 256, .max_tokens = 64});
    line.back().asked = true;
    engine::ComingRequests coming;
    for (int i = 0; i < 64; ++i) {
        coming.came(0.1 * i, 256, 0, 64);
        if (i >= 40) coming.ended(0.1 * i + 0.05);
    }
    const engine::RecentPrompts prompts(options.n_blocks[0], options.block_size);
    const engine::AnswerLengths answers;
    engine::Forecaster forecaster(options);
    std::uint32_t n_steps = 0;
    for (auto _ : state) {
        const auto result =
            forecaster.forecast({.outlook = outlook, .line = line, .prompts = prompts, .answers = answers, .coming = coming});
        benchmark::DoNotOptimize(result);
        n_steps = result.n_steps;
    }
    state.counters["steps"] = n_steps;
}

const int kRegistered = [] {
    for (const int n : {0, 16, 256, 1024})
        benchmark::RegisterBenchmark("forecast/waiting", forecast)->Arg(n)->Unit(benchmark::kMicrosecond);
    return 0;
}();

}  // namespace
}  // namespace rafter::bench
