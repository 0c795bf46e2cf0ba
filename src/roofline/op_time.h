// The cost of an op → seconds on a device, and which of its roofs binds: seconds = max(flops / F, bytes / W) + what starting an op costs
// (Williams et al., https://dl.acm.org/doi/10.1145/1498765.1498785).
#pragma once

#include <optional>
#include <string>

#include "hardware/hardware.h"
#include "roofline/priced_list.h"

namespace rafter::roofline {

enum class Bound { kMemory, kCompute, kCommunication, kOverhead };
[[nodiscard]] const char* to_string(Bound bound);

// How much of its rates a device reaches, and what every op and step costs beside. The ideal reaches all.
struct Efficiency {
    std::string name = "ideal";
    double flop_fraction = 1.0;
    double bandwidth_fraction = 1.0;
    double link_fraction = 1.0;
    double seconds_per_op = 0.0;
    double seconds_per_step = 0.0;
};

// Which types the numbers have. Where weight_bits is not set, each weight has those of its bound type.
struct NumberTypes {
    std::optional<double> weight_bits;
    std::optional<double> expert_bits;
    hardware::Precision activations = hardware::Precision::kBf16;
    double activation_bytes = 2.0;
    KvElementBytes kv;
    [[nodiscard]] CostOptions cost_options() const {
        return {.kv = kv, .activation_bytes = activation_bytes, .weight_bits = weight_bits, .expert_bits = expert_bits};
    }
};

// The precision that an op multiplies in. Operands meet in the wider one of weights and activations: weights of 8 bits run at the int8 (or
// fp8) rate only when activations have 8 bits too; weight-only quantisation computes in 16 bits. Attention computes in 8 bits when
// queries and the whole cache have 8.
[[nodiscard]] hardware::Precision multiply_precision(double weight_bits, hardware::Precision activations);
[[nodiscard]] hardware::Precision precision_of(const PricedList& list, const model::Op& op, const NumberTypes& types);

// One device's rates, efficiency applied.
struct Roofs {
    const hardware::Hardware* hardware = nullptr;
    Efficiency efficiency;
    bool fused = true;

    [[nodiscard]] double flop_per_s(hardware::Precision precision) const;
    [[nodiscard]] double bytes_per_s() const { return hardware->memory_bandwidth_bytes_per_s * efficiency.bandwidth_fraction; }
    // Activations between fused ops stay on the chip while they take at most half of it; unfused ones go through memory.
    [[nodiscard]] bool spills(double activation_bytes) const;
};
// Of a device that does not say: as large as the smaller ones of the catalog have it.
inline constexpr double kAssumedOnChipBytes = 32.0 * 1024 * 1024;

struct OpTime {
    double memory_bytes = 0.0;  // of the cost's, those that go through memory
    double memory_seconds = 0.0;
    double compute_seconds = 0.0;
    double overhead_seconds = 0.0;
    double seconds = 0.0;
    Bound bound = Bound::kMemory;
};
// cost: one device's share.
[[nodiscard]] OpTime op_time(const OpCost& cost, hardware::Precision precision, const Roofs& roofs);

}  // namespace rafter::roofline
