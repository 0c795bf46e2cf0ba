// Choosing a token of 151,936 on one thread: sampling/avx2/top_p/gemma. Logits are normal(0, 3), nearly flat (normal(0, 0.1)), all equal,
// and recorded ones: those of Gemma 3 270M on a text, where `rafter models get gemma-3-270m` has fetched it and RAFTER_MODELS_DIR names its
// folder. Each call takes another position's noise, and of the recorded rows the next one.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "backend/cpu/sampling.h"
#include "engine/sampling/logprobs.h"
#include "engine/sampling/sampler.h"
#include "recorded_logits.h"

namespace rafter::bench {
namespace {

using backend::cpu::Isa;
using engine::Request;
using engine::SamplingOptions;
using Rows = std::vector<std::vector<float>>;

constexpr std::size_t kVocab = 151'936;

Rows normal_row(float spread) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0F, spread);
    Rows rows{std::vector<float>(kVocab)};
    for (float& logit : rows[0]) logit = spread > 0.0F ? normal(random) : 1.0F;
    return rows;
}

// Why there are none, where there are none.
const Result<Rows>& recorded_rows() {
    static const Result<Rows> rows = []() -> Result<Rows> {
        const char* const folder = std::getenv("RAFTER_MODELS_DIR");  // NOLINT(concurrency-mt-unsafe): one thread
        if (folder == nullptr) return bad_input("RAFTER_MODELS_DIR does not say where gemma-3-270m.gguf lies");
        return record_logits(std::filesystem::path(folder) / "gemma-3-270m.gguf", kVocab);
    }();
    return rows;
}

const Result<Rows>& rows_of(const std::string& name) {
    static const Result<Rows> normal = normal_row(3.0F);
    static const Result<Rows> flat = normal_row(0.1F);
    static const Result<Rows> equal = normal_row(0.0F);
    if (name == "gemma") return recorded_rows();
    return name == "normal" ? normal : name == "flat" ? flat : equal;
}

void sample(benchmark::State& state, Isa isa, const SamplingOptions& options, const std::string& logits) {
    const Result<Rows>& rows = rows_of(logits);
    if (!rows) return state.SkipWithError(rows.error().message.c_str());
    Request request;
    request.sampling = options;
    for (int i = 0; i < 1000; ++i) request.prompt.push_back(i * 97);
    const engine::Sampler sampler(request);
    engine::SamplerScratch scratch(backend::cpu::sampling_kernels(isa));
    std::uint32_t position = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(sampler.sample((*rows)[position % rows->size()], position, scratch));
        ++position;
    }
}

void score(benchmark::State& state, const std::string& logits) {
    const Result<Rows>& rows = rows_of(logits);
    if (!rows) return state.SkipWithError(rows.error().message.c_str());
    std::size_t i = 0;
    for (auto _ : state) benchmark::DoNotOptimize(engine::logprobs_of((*rows)[i++ % rows->size()], 5, 20).logprob);
}

SamplingOptions with(double temperature, const auto& change) {
    SamplingOptions options;
    options.temperature = temperature;
    change(options);
    return options;
}

const bool kRegistered = [] {
    const std::vector<std::pair<std::string, SamplingOptions>> kinds{
        {"greedy", with(0.0, [](auto&) {})},
        {"temperature", with(0.8, [](auto&) {})},
        {"top_p", with(0.8, [](auto& o) { o.top_p = 0.95; })},
        {"top_k_top_p", with(0.8, [](auto& o) { o.top_k = 40, o.top_p = 0.95; })},
        {"min_p", with(0.8, [](auto& o) { o.min_p = 0.05; })},
        {"top_p_typical_p", with(0.8, [](auto& o) { o.top_p = 0.95, o.typical_p = 0.95; })},
        {"typical_p", with(0.8, [](auto& o) { o.typical_p = 0.95; })},
        {"repeat_penalty", with(0.8, [](auto& o) { o.top_p = 0.95, o.repeat_penalty = 1.1; })},
    };
    for (const char* logits : {"gemma", "normal", "flat", "equal"}) {
        for (const Isa isa : backend::cpu::available_isas()) {
            for (const auto& [kind, options] : kinds) {
                const std::string name = fmt::format("sampling/{}/{}/{}", to_string(isa), kind, logits);
                benchmark::RegisterBenchmark(name.c_str(), [isa, options = options, logits](benchmark::State& state) {
                    sample(state, isa, options, logits);
                })->Unit(benchmark::kMillisecond);
            }
        }
        benchmark::RegisterBenchmark(fmt::format("logprobs/{}", logits).c_str(), [logits](benchmark::State& state) {
            score(state, logits);
        })->Unit(benchmark::kMillisecond);
    }
    return true;
}();

}  // namespace
}  // namespace rafter::bench
