// The substitutes, and which weights are left alone.
#include "model/held_types.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/check.h"
#include "tensor/formats/formats.h"

namespace rafter::model {
namespace {

using tensor::DType;

DType with_blocks_of_32(DType wanted) {
    switch (wanted) {
        case DType::kQ2_K:
        case DType::kQ3_K:
        case DType::kIQ4_XS:
            return DType::kIQ4_NL;
        case DType::kQ4_K:
            return DType::kQ5_0;
        case DType::kQ5_K:
            return DType::kQ5_1;
        case DType::kQ6_K:
            return DType::kQ8_0;
        case DType::kF32:
        case DType::kF16:
        case DType::kBF16:
        case DType::kQ4_0:
        case DType::kQ4_1:
        case DType::kQ5_0:
        case DType::kQ5_1:
        case DType::kQ8_0:
        case DType::kIQ4_NL:
        case DType::kMXFP4:
        case DType::kI32:
            break;
    }
    return wanted;
}

// The op that makes a value of a list without fused ops; null for none.
const Op* maker_of(const Program& program, ValueId value) {
    const auto makes = [&](const Op& op) { return std::ranges::find(op.outputs, value) != op.outputs.end(); };
    const auto found = std::ranges::find_if(program.ops, makes);
    return found == program.ops.end() ? nullptr : &*found;
}

// Weights of the matrices whose outputs choose experts, biases between them or not.
std::set<WeightId> router_weights(const Program& program) {
    std::set<WeightId> routers;
    for (const Op& route : program.ops) {
        if (route.kind != OpKind::kRoute) continue;
        const Op* op = maker_of(program, route.inputs.front());
        while (op != nullptr && op->kind != OpKind::kLinear && !op->inputs.empty()) op = maker_of(program, op->inputs.front());
        if (op != nullptr) routers.insert(op->weights.begin(), op->weights.end());
    }
    return routers;
}

}  // namespace

DType held_type(DType wanted, std::uint32_t n_cols) {
    const auto divides = [n_cols](DType type) { return n_cols % tensor::format_of(type).block_elements == 0; };
    if (divides(wanted)) return wanted;
    const DType substitute = with_blocks_of_32(wanted);
    return divides(substitute) ? substitute : DType::kF16;
}

HeldWeights hold_weights_as(Program program, DType wanted) {
    RAFTER_CHECK(tensor::format_of(wanted).encode != nullptr, "{} has no encoder", tensor::format_of(wanted).name);
    HeldWeights held{.program = std::move(program), .n_substituted = {}};
    const std::set<WeightId> routers = router_weights(held.program);
    std::map<DType, std::set<std::string_view>> substituted;  // names of tensors: several weights may be parts of one
    for (WeightId id = 0; id < held.program.weights.size(); ++id) {
        Weight& weight = held.program.weights[id];
        if (weight.kind == WeightKind::kVector || weight.kind == WeightKind::kVectors || routers.contains(id)) continue;
        weight.dtype = held_type(wanted, weight.n_cols);
        if (weight.dtype != wanted) substituted[weight.dtype].insert(weight.tensor);
    }
    for (const auto& [type, tensors] : substituted) held.n_substituted[type] = static_cast<std::uint32_t>(tensors.size());
    return held;
}

}  // namespace rafter::model
