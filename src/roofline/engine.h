// The engine that a plan is for: which part of a cache every device holds, and what the engine takes of a device's memory besides weights
// and cache. Each term names its source; docs/plan.md compares the sums with published logs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "roofline/step_price.h"

namespace rafter::roofline {

[[nodiscard]] const char* to_string(EngineKind engine);                       // "vllm", as a command line says it
[[nodiscard]] const char* name_of(EngineKind engine);                         // "vLLM"
[[nodiscard]] std::optional<EngineKind> engine_named(std::string_view name);  // any case
[[nodiscard]] std::vector<std::string> engine_names();

// Tokens of the largest step, and sequences that are sampled together at most: as the engine's own defaults have them on such a device.
struct StepLimits {
    double n_tokens = 0.0;
    double n_sequences = 0.0;
};
[[nodiscard]] StepLimits default_limits(EngineKind engine, const hardware::Hardware& hardware);

// Part of a device's memory that the engine uses unless it is told otherwise.
[[nodiscard]] double default_memory_fraction(EngineKind engine, const hardware::Hardware& hardware, const Parallel& parallel);
// Of a GPU's memory, what its driver leaves to programs; 1 for `ideal` and where the device is the machine itself.
[[nodiscard]] double driver_share(EngineKind engine);

// All but the ideal engine, which takes nothing, and this program's own, whose list of ops says what it takes. Checkpoints of 8 and 4 bits
// for such engines leave the embedding's table and the head in 16 bits.
[[nodiscard]] inline bool has_overheads(EngineKind engine) { return engine != EngineKind::kIdeal && engine != EngineKind::kRafter; }

// All weights with so many bits, as --weights takes it: but for the table and the head where the engine has overheads.
void set_weight_bits(Setup& setup, double bits);

// What an engine holds besides weights and cache, in bytes of one device.
struct EngineMemory {
    double activations = 0.0;  // of the largest step, as the engine measures it before it sizes its cache
    double logits = 0.0;       // the sampler's rows, in the last pipeline stage; not at the same time as `activations`
    double process = 0.0;      // context of the driver, communication buffers
};
[[nodiscard]] EngineMemory engine_memory(const PricedList& list, const Setup& setup, const StepLimits& limits);

// How many devices of a tensor-parallel group hold the same part of a layer's cache: key and value heads cannot be split further than one
// by one, and a latent (MLA) not at all. Decode context parallelism spreads the positions over those copies. Ideal: 1.
[[nodiscard]] double cache_copies(const Setup& setup, double n_kv_heads);
// Matrices that engines keep whole on each device of a tensor-parallel group: those whose outputs all heads or all experts share.
[[nodiscard]] bool is_replicated(const Setup& setup, const model::Weight& weight);

}  // namespace rafter::roofline
