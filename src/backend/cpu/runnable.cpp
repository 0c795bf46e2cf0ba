// Kinds first, then the shapes that the kernels take for granted.
#include "backend/cpu/runnable.h"

#include <algorithm>

namespace rafter::backend::cpu {
namespace {

using model::Op;
using model::OpKind;

bool runs(OpKind kind) {
    switch (kind) {
        case OpKind::kEmbed:
        case OpKind::kRmsNorm:
        case OpKind::kLinear:
        case OpKind::kAddBias:
        case OpKind::kRope:
        case OpKind::kKvAppend:
        case OpKind::kAttention:
        case OpKind::kAdd:
        case OpKind::kGatedActivation:
        case OpKind::kSelectOutputs:
        case OpKind::kSoftcap:
        case OpKind::kRoute:
        case OpKind::kExpertLinear:
        case OpKind::kAddExpertBias:
        case OpKind::kCombineExperts:
        case OpKind::kQuantize:
        case OpKind::kObserve:
        case OpKind::kFusedRows:
        case OpKind::kAttentionScores:
        case OpKind::kSoftmax:
        case OpKind::kAttentionValues:
            return true;
        case OpKind::kEmbedPosition:
        case OpKind::kLayerNorm:
        case OpKind::kLinearByHead:
        case OpKind::kLatentAppend:
        case OpKind::kLatentAttention:
        case OpKind::kActivation:
            return false;
    }
    return false;
}

bool runs(model::Activation activation) {
    switch (activation) {
        case model::Activation::kSilu:
        case model::Activation::kGeluTanh:
        case model::Activation::kSwigluClamped:
            return true;
    }
    return false;
}

bool runs(model::RouterScoring scoring) {
    switch (scoring) {
        case model::RouterScoring::kSoftmaxThenTopK:
        case model::RouterScoring::kTopKThenSoftmax:
            return true;
    }
    return false;
}

// "layer norm"
std::string in_words(OpKind kind) {
    std::string words = model::to_string(kind);
    std::ranges::replace(words, '_', ' ');
    return words;
}

Error refused(const Op& op, std::string_view why) {
    return bad_input("{}: {}{} is not an operation that the CPU backend runs", op.name, in_words(op.kind), why);
}

Result<void> check_op(const model::Program& program, const Op& op) {
    if (!runs(op.kind)) return refused(op, "");
    if (const auto* options = std::get_if<model::ActivationOptions>(&op.options); options != nullptr && !runs(options->activation)) {
        return refused(op, " with this activation");
    }
    if (const auto* options = std::get_if<model::RouteOptions>(&op.options); options != nullptr && !runs(options->scoring)) {
        return refused(op, " with this scoring");
    }
    const auto width = [&](model::ValueId id) { return program.values[id].width; };
    if (op.kind == OpKind::kKvAppend) {
        const std::uint32_t cached = program.config.n_kv_heads * program.config.head_dim;
        if (op.inputs.size() != 2) return refused(op, fmt::format(" of {} value", op.inputs.size()));
        for (const model::ValueId id : op.inputs) {
            if (width(id) != cached) return refused(op, fmt::format(" of {} elements beside a cache of {}", width(id), cached));
        }
    }
    if (const auto* attention = std::get_if<model::AttentionOptions>(&op.options); attention != nullptr) {
        const model::AttentionOptions& options = *attention;
        if (op.kind != OpKind::kAttention && program.config.mla.kv_lora_rank > 0) return refused(op, " of latents");
        if (op.kind != OpKind::kAttention && options.n_heads != program.config.n_heads) {
            return refused(op, fmt::format(" of {} heads with room for the scores of {}", options.n_heads, program.config.n_heads));
        }
        if (options.head_dim != program.config.head_dim || options.n_kv_heads != program.config.n_kv_heads) {
            return refused(op, fmt::format(" of {} heads of {} elements beside a cache of {} of {}", options.n_kv_heads, options.head_dim,
                                           program.config.n_kv_heads, program.config.head_dim));
        }
    }
    if (op.kind == OpKind::kLinear || op.kind == OpKind::kExpertLinear) {
        for (const model::WeightId id : op.weights) {
            if (program.weights[id].n_cols != width(op.inputs.front())) {
                return refused(
                    op, fmt::format(" of {} columns with an input of {} elements", program.weights[id].n_cols, width(op.inputs.front())));
            }
        }
    }
    for (const Op& part : op.parts) RAFTER_TRY_VOID(check_op(program, part));
    return {};
}

}  // namespace

Result<void> check_runnable(const model::Program& program) {
    for (const Op& op : program.ops) RAFTER_TRY_VOID(check_op(program, op));
    return {};
}

}  // namespace rafter::backend::cpu
