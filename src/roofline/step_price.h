// One step of a model on some devices: every op's share, their sum, and what it is bound by. A phase is such a step: a prefill of prompts,
// or one decode step of a batch.
#pragma once

#include <string>
#include <vector>

#include "roofline/op_time.h"
#include "roofline/parallel.h"

namespace rafter::roofline {

// Whose rules the devices follow: roofline/engine.h. The ideal one splits every cache evenly and takes no memory of its own.
enum class EngineKind { kIdeal, kVllm, kSglang, kLlamaCpp, kRafter };

// The side of the machine.
struct Setup {
    hardware::Hardware hardware;
    Efficiency efficiency;
    Parallel parallel;
    Collective collective = Collective::kRing;
    NumberTypes types;
    bool fused = true;
    EngineKind engine = EngineKind::kIdeal;
};

struct PricedOp {
    std::string name;
    std::string kind;
    double count = 0.0;
    OpCost cost;           // of one of them, on all devices
    double bytes = 0.0;    // of the cost's, those that go through memory
    double seconds = 0.0;  // of one of them, with all devices at work
    Bound bound = Bound::kMemory;
    double share = 0.0;  // of the step's time, all of them together
    hardware::Precision precision = hardware::Precision::kBf16;
    [[nodiscard]] double intensity() const { return bytes > 0.0 ? cost.flops / bytes : 0.0; }
};

struct PricedStep {
    double seconds = 0.0;  // from its first op to its last
    Bound bound = Bound::kMemory;
    // What each cause would take alone; they overlap, so that they add up to more than `seconds`.
    double weights_seconds = 0.0;      // reading weights
    double kv_seconds = 0.0;           // reading the cache
    double activations_seconds = 0.0;  // activations that go through memory, and writing the cache
    double compute_seconds = 0.0;      // the matrices' flops
    double attention_seconds = 0.0;    // attention's flops
    double communication_seconds = 0.0;
    double overhead_seconds = 0.0;
    double n_tokens = 0.0;    // computed
    double flops = 0.0;       // on all devices
    double read_bytes = 0.0;  // weights and cache, on all devices
    double n_ops = 0.0;
    double mbu = 0.0;  // weights and cache read / time / peak bandwidth (databricks.com/blog/llm-inference-performance-engineering)
    double mfu = 0.0;  // useful flops / time / peak (PaLM, https://arxiv.org/abs/2204.02311, appendix B; causal pairs only)
    std::vector<PricedOp> ops;
};

enum class Detail { kTotals, kOps };

// A step of these rows. With pp stages a decode batch goes through them in pp parts one behind the other: `seconds` is one part's way
// through all stages, in which every part moves on by one step.
[[nodiscard]] PricedStep price_step(const PricedList& list, const Setup& setup, const Step& step, Detail detail = Detail::kTotals);

}  // namespace rafter::roofline
