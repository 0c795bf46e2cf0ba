// What a backend predicts for a step by a machine profile (Backend::price_step): seconds for each op, and which roof binds it.
#pragma once

#include <string>
#include <vector>

#include "roofline/op_cost.h"

namespace rafter::roofline {

enum class PriceBound { kMemory, kCompute, kOverhead };
[[nodiscard]] const char* to_string(PriceBound bound);  // "memory", "compute", "overhead"
// What an op multiplies in.
enum class Arithmetic { kFloat, kInt8 };

struct OpPrice {
    double seconds = 0.0;           // predicted
    double compute_seconds = 0.0;   // of it, if there were nothing else
    double memory_seconds = 0.0;    // the same
    double overhead_seconds = 0.0;  // comes on top
    // Of the best that the hardware could do: the larger of bytes over the best bandwidth and flops over the peak.
    double roof_seconds = 0.0;
    double peak_flop_per_s = 0.0;  // of the arithmetic that it does
    Arithmetic arithmetic = Arithmetic::kFloat;
    PriceBound bound = PriceBound::kMemory;  // what takes most of the predicted seconds
    OpCost cost;
};

struct PriceOptions {
    CostOptions cost;
    std::string key_type = "f16";  // of the KV cache, as the profile names them
    std::string value_type = "f16";
};

struct StepPrice {
    std::vector<OpPrice> ops;    // [n_ops]
    double fixed_seconds = 0.0;  // beginning and ending the parallel region, and the angles of RoPE
    double seconds = 0.0;        // of all: what the model's forward pass should take
    double working_set_bytes = 0.0;
    double bandwidth_bytes_per_s = 0.0;  // at this working set: what to expect
    double roof_bytes_per_s = 0.0;       // and at best
    std::string level;                   // where the working set lies: "L3 cache", "memory"
    std::string int8_unit;               // what has the int8 peak: "VNNI int8"
    bool complete = true;                // false when the profile had no reading for some op's kernel
};

}  // namespace rafter::roofline
