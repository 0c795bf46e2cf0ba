// The whole answer of `rafter plan`: a model, a machine and a load → phases, memory, curves, speculation, cost and what-ifs. Numbers only;
// planning/ says them in text, JSON and pictures.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/described.h"
#include "roofline/economics.h"
#include "roofline/memory_fit.h"
#include "roofline/speculation.h"
#include "roofline/step_price.h"

namespace rafter::roofline {

// A model in the lists that a device may run: rewritten as its backend would, and as it was built.
struct PlannedModel {
    std::string name;
    std::string source;
    PricedList fused;
    PricedList unfused;
    NumberTypes native;                // as stored
    std::string weight_type;           // what native's bits are called
    double n_context = 0.0;            // that it was trained for; 0: not known
    std::vector<std::string> assumed;  // what makes the whole answer doubtful; said first
    std::vector<std::string> notes;    // what else had to be assumed
    std::vector<model::DescribedModel::UnknownKey> unknown_keys;

    [[nodiscard]] const PricedList& list(bool is_fused) const { return is_fused ? fused : unfused; }
};
[[nodiscard]] PlannedModel plan_described(const model::DescribedModel& described);
// A model file's own tensors; program: bound. engine_ops: rewritten as this program's own engine runs it.
struct BoundOptions {
    bool engine_ops = false;
};
[[nodiscard]] PlannedModel plan_bound(model::Program program, BoundOptions options);

struct Load {
    double n_batch = 1.0;
    double n_prompt = 512.0;
    double n_output = 128.0;
    double n_context = 640.0;      // positions that a decode step sees
    double n_max_context = 0.0;    // that a contiguous cache reserves; 0: the model's, or n_context where that is not known
    double n_prefill_batch = 1.0;  // prompts computed together
    double prefix_hit = 0.0;       // part of the prompt whose keys and values are there already
    double block_size = 16.0;
    double memory_fraction = 1.0;
    bool follows_engine = false;           // memory_fraction is the engine's own: another on other devices
    std::optional<double> step_tokens;     // of the engine's largest step; unset: its default
    std::optional<double> max_sequences;   // that the engine samples together; unset: its default
    std::optional<double> reserved_bytes;  // of a device, in place of what the engine is taken to need
};

struct Scenario {
    const PlannedModel* model = nullptr;
    Setup setup;
    Load load;
    SpeculationQuestion speculation;
    // Of another device, where rates are what is typical of a device's kind; unset: as here.
    std::function<Efficiency(const hardware::Hardware&)> efficiency_of;
    std::optional<double> price_per_hour;  // of one device; unset: the device's own
    std::optional<double> slo_ttft_s;
    std::optional<double> slo_itl_s;

    [[nodiscard]] const PricedList& list() const { return model->list(setup.fused); }
};

struct Phase {
    PricedStep price;
    double tokens_per_second = 0.0;
    double n_new = 0.0;   // of each sequence
    double n_past = 0.0;  // of each sequence
    double n_sequences = 0.0;
};

// The numbers that what-ifs and curves compare.
struct Summary {
    double tokens_per_second = 0.0;         // decoded, all sequences together
    double served_tokens_per_second = 0.0;  // answered, prefills included
    double ttft_s = 0.0;
    double itl_s = 0.0;
    double memory_bytes = 0.0;  // weights, cache and workspace
    bool fits = false;
    std::optional<double> cost_per_million_tokens;  // answered, prefills included
    double mbu = 0.0;
    double mfu = 0.0;
    Bound bound = Bound::kMemory;
};

struct BatchPoint {
    double n_batch = 0.0;
    Summary summary;
    double best_gamma = 0.0;
    double speculation_speedup = 1.0;
    double speedup_free_verification = 1.0;
};
struct ContextPoint {
    double n_context = 0.0;
    Summary summary;
    double kv_share = 0.0;  // of a step's time
    double max_sequences = 0.0;
};

struct WhatIf {
    std::string name;
    std::string change;  // as options: "--weights int8"
    std::string why;
    Summary before, after;
    double gain = 1.0;  // after / before, served tokens a second
};

struct Plan {
    double parameters = 0.0, active_parameters = 0.0, active_without_embedding = 0.0;
    double weight_bytes = 0.0, kv_bytes_per_token = 0.0, growing_kv_bytes_per_token = 0.0, state_bytes_per_sequence = 0.0;
    double weight_flops_per_token = 0.0;
    double ridge_batch_tokens = 0.0;
    double ridge_intensity = 0.0;  // flops a byte
    Phase prefill, decode;
    MemoryFit memory;
    Speculation speculation;
    Summary summary;
    Cost cost;
    std::vector<BatchPoint> batch_curve;
    std::vector<ContextPoint> context_curve;
    std::optional<double> compute_bound_from_batch;  // the first power of two whose decode step computes bind
    std::optional<double> memory_runs_out_at_batch;  // one more than the most that fit
    std::optional<double> slo_batch;                 // the largest that meets what was promised
    bool slo_met = true;
    std::vector<WhatIf> what_ifs;  // largest gain first
    std::vector<std::string> notes;
};
[[nodiscard]] Plan make_plan(const Scenario& scenario);

// Parts of it, for pictures and tests.
[[nodiscard]] Phase price_prefill(const Scenario& scenario, Detail detail);
[[nodiscard]] Phase price_decode(const Scenario& scenario, Detail detail);
[[nodiscard]] MemoryFit price_memory(const Scenario& scenario);
[[nodiscard]] Summary summarize(const Scenario& scenario);
// F * bytes a weight / (2 W), times experts over active ones (kipp.ly/transformer-inference-arithmetic; jax-ml.github.io/scaling-book).
[[nodiscard]] double ridge_batch_tokens(const Scenario& scenario);
[[nodiscard]] double ridge_intensity(const Scenario& scenario);

}  // namespace rafter::roofline
