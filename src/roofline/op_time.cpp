// The roofs of one device.
#include "roofline/op_time.h"

#include <algorithm>

namespace rafter::roofline {
namespace {

using hardware::Precision;

Precision sixteen_bits(Precision activations) {
    return activations == Precision::kFp32 || activations == Precision::kFp16 ? activations : Precision::kBf16;
}

}  // namespace

const char* to_string(Bound bound) {
    switch (bound) {
        case Bound::kMemory:
            return "memory";
        case Bound::kCompute:
            return "compute";
        case Bound::kCommunication:
            return "communication";
        case Bound::kOverhead:
            return "overhead";
    }
    return "?";
}

Precision multiply_precision(double weight_bits, Precision activations) {
    // Scales beside the integers make "4 bits" 4.25 to 5 and "8 bits" up to 8.5 (Q8_0), 9.1 (the padded Q8_K kin).
    constexpr double kFour = 5.1;
    constexpr double kEight = 9.2;
    if (weight_bits > 17.0) return Precision::kFp32;
    if (weight_bits > kEight) return sixteen_bits(activations);
    switch (activations) {
        case Precision::kInt4:
            return weight_bits <= kFour ? Precision::kInt4 : Precision::kInt8;
        case Precision::kFp4:
            return weight_bits <= kFour ? Precision::kFp4 : Precision::kFp8;
        default:
            return activations;
    }
}

Precision precision_of(const PricedList& list, const model::Op& op, const NumberTypes& types) {
    if (multiplies(op)) {
        double bits = 0.0;
        for (const model::WeightId id : op.weights) bits = std::max(bits, weight_bits(list, id, types.cost_options()));
        return multiply_precision(bits, types.activations);
    }
    const bool eight = types.activation_bytes <= 1.0 && types.kv.key <= 1.1 && types.kv.value <= 1.1;
    const bool eight_bits = types.activations == Precision::kInt8 || types.activations == Precision::kFp8;
    return attends(op) && eight && eight_bits ? types.activations : sixteen_bits(types.activations);
}

double Roofs::flop_per_s(Precision precision) const {
    const auto peak = hardware::peak_for(*hardware, precision);
    return (peak ? peak->flop_per_s : 1.0) * efficiency.flop_fraction;
}

bool Roofs::spills(double activation_bytes) const {
    return !fused || activation_bytes > hardware->on_chip_bytes.value_or(kAssumedOnChipBytes) / 2;
}

OpTime op_time(const OpCost& cost, Precision precision, const Roofs& roofs) {
    OpTime time;
    time.memory_bytes = cost.weight_bytes + cost.kv_read_bytes + cost.kv_written_bytes;
    if (roofs.spills(cost.activation_bytes)) time.memory_bytes += cost.activation_bytes;
    time.memory_seconds = time.memory_bytes / roofs.bytes_per_s();
    time.compute_seconds = cost.flops / roofs.flop_per_s(precision);
    time.overhead_seconds = roofs.efficiency.seconds_per_op;
    const double work = std::max(time.memory_seconds, time.compute_seconds);
    time.seconds = work + time.overhead_seconds;
    time.bound = time.compute_seconds > time.memory_seconds ? Bound::kCompute : Bound::kMemory;
    if (time.overhead_seconds > work) time.bound = Bound::kOverhead;
    return time;
}

}  // namespace rafter::roofline
