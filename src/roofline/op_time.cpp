// The roofs of one device.
#include "roofline/op_time.h"

#include <algorithm>

namespace rafter::roofline {
namespace {

using hardware::Precision;

Precision sixteen_bits(Precision activations) {
    return activations == Precision::kFp32 || activations == Precision::kFp16 ? activations : Precision::kBf16;
}

double bits_of(Precision precision) {
    switch (precision) {
        case Precision::kFp32:
            return 32.0;
        case Precision::kFp16:
        case Precision::kBf16:
            return 16.0;
        case Precision::kFp8:
        case Precision::kInt8:
            return 8.0;
        case Precision::kFp4:
        case Precision::kInt4:
            return 4.0;
    }
    return 16.0;
}

// Weights that a kernel widens before it multiplies. Scales make "8 bits" up to 9.1 and "4 bits" up to 5.
bool is_unpacked(double weight_bits, double multiplied_bits) { return weight_bits < 0.8 * multiplied_bits; }

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

Work work_of(const model::Op& op) {
    if (op.kind == model::OpKind::kExpertLinear) return Work::kExperts;
    if (multiplies(op)) return Work::kMatrix;
    return attends(op) ? Work::kAttention : Work::kRows;
}

double flop_rise(const Efficiency& e, double tokens_per_weight) {
    return tokens_per_weight > 0 ? tokens_per_weight / (tokens_per_weight + e.flop_half_tokens) : 1.0;
}

double Roofs::flop_per_s(Precision precision) const {
    const auto peak = hardware::peak_for(*hardware, precision);
    return (peak ? peak->flop_per_s : 1.0) * efficiency.flop_fraction;
}

// Few tokens leave a matrix unit's tiles empty. Where 16 bits run at a multiple of float32's rate, they have such units and float32 has
// not.
static bool computes_in_tiles(const hardware::Hardware& device, const std::optional<hardware::Peak>& peak) {
    constexpr double kMatrixUnits = 4.0;
    if (!peak || peak->precision != hardware::Precision::kFp32) return true;
    const auto narrow = hardware::peak_for(device, hardware::Precision::kFp16);
    return !narrow || narrow->flop_per_s < kMatrixUnits * peak->flop_per_s;
}

double Roofs::flop_per_s(const OpWork& w) const {
    const auto peak = hardware::peak_for(*hardware, w.precision);
    const double peak_per_s = peak ? peak->flop_per_s : 1.0;
    const double width = peak ? bits_of(peak->precision) : 16.0;
    const double narrow = width <= 4 ? efficiency.four_bit_flop_factor : width <= 8 ? efficiency.eight_bit_flop_factor : 1.0;
    if (w.work == Work::kAttention) return peak_per_s * efficiency.attention_flop_fraction.value_or(efficiency.flop_fraction) * narrow;
    double fraction = efficiency.flop_fraction;
    if (w.work == Work::kRows) return peak_per_s * fraction;
    fraction *= narrow;
    if (computes_in_tiles(*hardware, peak)) fraction *= flop_rise(efficiency, w.tokens_per_weight / w.n_parts);
    if (w.work == Work::kExperts) fraction *= efficiency.expert_flop_factor;
    if (is_unpacked(w.weight_bits, width) && efficiency.unpacks_four(w.weight_bits)) fraction *= efficiency.unpack_flop_factor;
    return peak_per_s * fraction;
}

double Roofs::bytes_per_s(const OpWork& w) const {
    if (w.work == Work::kAttention)
        return hardware->memory_bandwidth_bytes_per_s * efficiency.attention_bandwidth_fraction.value_or(efficiency.bandwidth_fraction);
    if (w.work == Work::kRows) return bytes_per_s();
    const auto peak = hardware::peak_for(*hardware, w.precision);
    if (!is_unpacked(w.weight_bits, peak ? bits_of(peak->precision) : 16.0)) return bytes_per_s();
    return bytes_per_s() * (efficiency.unpacks_four(w.weight_bits) ? efficiency.unpack_four_bit_bandwidth_factor
                                                                   : efficiency.unpack_eight_bit_bandwidth_factor);
}

bool Roofs::spills(double activation_bytes) const {
    return !fused || activation_bytes > hardware->on_chip_bytes.value_or(kAssumedOnChipBytes) / 2;
}

OpTime op_time(const OpWork& w, const Roofs& roofs) {
    const OpCost& cost = w.cost;
    OpTime time;
    time.memory_bytes = cost.weight_bytes * w.n_parts + cost.kv_read_bytes + cost.kv_written_bytes;
    if (roofs.spills(cost.activation_bytes / w.n_parts)) time.memory_bytes += cost.activation_bytes;
    time.memory_seconds = time.memory_bytes / roofs.bytes_per_s(w);
    time.compute_seconds = cost.flops * w.imbalance / roofs.flop_per_s(w);
    const Efficiency& e = roofs.efficiency;
    time.overhead_seconds = (e.seconds_per_op + (w.of_prompts ? e.seconds_per_prompt_op : 0.0)) * w.n_parts;
    const double longer = std::max(time.memory_seconds, time.compute_seconds);
    const double shorter = std::min(time.memory_seconds, time.compute_seconds);
    const double left_over = longer > 0 ? (1 - e.overlap) * shorter * (shorter / longer) : 0.0;
    const double work = longer + left_over;
    time.seconds = work + time.overhead_seconds;
    time.bound = time.compute_seconds > time.memory_seconds ? Bound::kCompute : Bound::kMemory;
    if (time.overhead_seconds > work) time.bound = Bound::kOverhead;
    return time;
}

}  // namespace rafter::roofline
