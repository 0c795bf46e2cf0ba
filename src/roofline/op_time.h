// The cost of an op → seconds on a device, and which of its roofs binds: seconds = max(flops / F, bytes / W) + what starting an op costs
// (Williams et al., https://dl.acm.org/doi/10.1145/1498765.1498785).
#pragma once

#include <optional>

#include "hardware/hardware.h"
#include "roofline/efficiency.h"
#include "roofline/priced_list.h"

namespace rafter::roofline {

enum class Bound { kMemory, kCompute, kCommunication, kOverhead };
[[nodiscard]] const char* to_string(Bound bound);

// Which types the numbers have. Where weight_bits is not set, each weight has those of its bound type.
struct NumberTypes {
    std::optional<double> weight_bits;
    std::optional<double> expert_bits;
    std::optional<double> table_bits;  // of the embedding's table and the head, which 8-bit and 4-bit checkpoints leave as they were
    hardware::Precision activations = hardware::Precision::kBf16;
    double activation_bytes = 2.0;
    KvElementBytes kv;
    [[nodiscard]] CostOptions cost_options() const {
        return {.kv = kv,
                .activation_bytes = activation_bytes,
                .weight_bits = weight_bits,
                .expert_bits = expert_bits,
                .table_bits = table_bits};
    }
};

// The precision that an op multiplies in. Operands meet in the wider one of weights and activations: weights of 8 bits run at the int8 (or
// fp8) rate only when activations have 8 bits too; weight-only quantisation computes in 16 bits. Attention computes in 8 bits when
// queries and the whole cache have 8.
[[nodiscard]] hardware::Precision multiply_precision(double weight_bits, hardware::Precision activations);
[[nodiscard]] hardware::Precision precision_of(const PricedList& list, const model::Op& op, const NumberTypes& types);

enum class Work { kRows, kMatrix, kExperts, kAttention };
[[nodiscard]] Work work_of(const model::Op& op);

// What one device does of an op.
struct OpWork {
    OpCost cost;
    Work work = Work::kRows;
    hardware::Precision precision = hardware::Precision::kBf16;
    double weight_bits = 16.0;
    double tokens_per_weight = 0.0;  // that share one; 0: no matrix
    double imbalance = 1.0;          // the busiest device's flops over the average
    bool of_prompts = false;         // in a step that computes prompts
    double n_parts = 1.0;            // steps that the op is cut into: each starts it and reads the weights once more
};

// One device's rates, efficiency applied.
struct Roofs {
    const hardware::Hardware* hardware = nullptr;
    Efficiency efficiency;
    bool fused = true;

    [[nodiscard]] double flop_per_s(hardware::Precision precision) const;
    [[nodiscard]] double flop_per_s(const OpWork& work) const;
    [[nodiscard]] double bytes_per_s() const { return hardware->memory_bandwidth_bytes_per_s * efficiency.bandwidth_fraction; }
    [[nodiscard]] double bytes_per_s(const OpWork& work) const;
    // Activations between fused ops stay on the chip while they take at most half of it; unfused ones go through memory.
    [[nodiscard]] bool spills(double activation_bytes) const;
};
// Of a device that does not say: as large as the smaller ones of the catalog have it.
inline constexpr double kAssumedOnChipBytes = 32.0 * 1024 * 1024;

// Of flop_fraction, with so many tokens that share a weight.
[[nodiscard]] double flop_rise(const Efficiency& efficiency, double tokens_per_weight);

struct OpTime {
    double memory_bytes = 0.0;  // of the cost's, those that go through memory
    double memory_seconds = 0.0;
    double compute_seconds = 0.0;
    double overhead_seconds = 0.0;
    double seconds = 0.0;
    Bound bound = Bound::kMemory;
};
[[nodiscard]] OpTime op_time(const OpWork& work, const Roofs& roofs);

}  // namespace rafter::roofline
