// The rewrites: each walks the list once.
#include "model/rewrites.h"

#include <algorithm>
#include <map>
#include <utility>

namespace rafter::model {
namespace {

bool is_quantized(tensor::DType dtype) {
    return dtype != tensor::DType::kF32 && dtype != tensor::DType::kF16 && dtype != tensor::DType::kBF16;
}

bool multiplies(OpKind kind) { return kind == OpKind::kLinear || kind == OpKind::kLinearByHead || kind == OpKind::kExpertLinear; }
bool attends(OpKind kind) { return kind == OpKind::kAttention || kind == OpKind::kLatentAttention; }

// The kind of rows an op works on: that of what it makes, or of what it stores.
RowKind rows_of(const Program& program, const Op& op) {
    return program.values[op.outputs.empty() ? op.inputs.front() : op.outputs.front()].rows;
}

// True when b reads what a reads, and what a makes is not among it.
bool can_join(const Op& a, const Op& b, const Without& without) {
    const bool in_attention = b.name.find(".attn_") != std::string::npos;
    if (without.contains("linears") || without.contains(in_attention ? "qkv" : "gate_up")) return false;
    return multiplies(a.kind) && a.kind == b.kind && a.inputs == b.inputs;
}

// Whether an op of this kind joins the row ops before it.
bool joins_rows(OpKind kind, const Without& without) {
    const bool norm = kind == OpKind::kRmsNorm || kind == OpKind::kLayerNorm;
    const bool append = kind == OpKind::kKvAppend || kind == OpKind::kLatentAppend;
    const char* fusion = norm                        ? "norm"
                         : kind == OpKind::kRope     ? "rope"
                         : append                    ? "kv_append"
                         : kind == OpKind::kQuantize ? "quantize"
                                                     : "rows";
    return !without.contains("rows") && !without.contains(fusion);
}

// The name of two ops done at once: "blk.3.attn_q" and "blk.3.attn_k" are "blk.3.attn_q+attn_k".
std::string joined_name(const std::string& a, const std::string& b) {
    const std::size_t layer_prefix = b.starts_with("blk.") ? b.find('.', 4) + 1 : 0;
    return a + "+" + b.substr(layer_prefix);
}

Op fuse(std::vector<Op> parts) {
    Op fused{
        .kind = OpKind::kFusedRows, .name = parts.front().name, .inputs = {}, .outputs = {}, .weights = {}, .options = {}, .parts = {}};
    std::set<ValueId> made;
    for (const Op& part : parts) {
        for (const ValueId v : part.inputs) {
            const bool known = made.contains(v) || std::ranges::find(fused.inputs, v) != fused.inputs.end();
            if (!known) fused.inputs.push_back(v);
        }
        made.insert(part.outputs.begin(), part.outputs.end());
        fused.outputs.insert(fused.outputs.end(), part.outputs.begin(), part.outputs.end());
        fused.weights.insert(fused.weights.end(), part.weights.begin(), part.weights.end());
        if (&part != &parts.front()) fused.name = joined_name(fused.name, part.name);
    }
    fused.parts = std::move(parts);
    return fused;
}

// What only a fused op's own parts read is not an output of it: it never leaves the cache.
void drop_inner_outputs(Program& program) {
    std::set<ValueId> read{program.hidden, program.logits};
    for (const Op& op : program.ops) read.insert(op.inputs.begin(), op.inputs.end());
    for (Op& op : program.ops) {
        if (op.kind == OpKind::kFusedRows) std::erase_if(op.outputs, [&](ValueId v) { return !read.contains(v); });
    }
}

// Of a canonical list, the tensors whose products the cache holds as values, or as latents that values are made of.
std::set<std::string> tensors_of_values(const Program& program) {
    std::set<std::string> tensors;
    std::map<ValueId, const Op*> made_by;
    for (const Op& op : program.ops) {
        for (const ValueId v : op.outputs) made_by[v] = &op;
        if (op.kind != OpKind::kKvAppend && op.kind != OpKind::kLatentAppend) continue;
        // Back through biases, norms and positions to the matrix.
        for (auto from = made_by.find(op.inputs.back()); from != made_by.end(); from = made_by.find(from->second->inputs.front())) {
            if (from->second->kind == OpKind::kLinear) tensors.insert(program.weights[from->second->weights.front()].tensor);
            if (from->second->kind == OpKind::kLinear || from->second->inputs.empty()) break;
        }
    }
    return tensors;
}

}  // namespace

Program observe_inputs(Program program) {
    const std::set<std::string> of_values = tensors_of_values(program);
    std::vector<Op> ops;
    std::map<std::vector<ValueId>, std::size_t> observers;  // inputs, with the routing -> index into ops
    bool at_head = false;                                   // what follows makes logits of the hidden states
    for (Op& op : program.ops) {
        if (op.kind == OpKind::kLinear || op.kind == OpKind::kExpertLinear) {
            const Weight& weight = program.weights[op.weights.front()];
            const auto [at, is_new] = observers.try_emplace(op.inputs, ops.size());
            if (is_new) {
                ops.push_back({.kind = OpKind::kObserve,
                               .name = program.values[op.inputs.front()].name + ".squares",
                               .inputs = op.inputs,
                               .outputs = {},
                               .weights = {},
                               .options = ObserveOptions{.tensors = {}, .n_matrices = weight.n_experts},
                               .parts = {}});
            }
            auto& options = std::get<ObserveOptions>(ops[at->second].options);
            if (std::ranges::find(options.tensors, weight.tensor) == options.tensors.end()) options.tensors.push_back(weight.tensor);
            options.makes_values |= of_values.contains(weight.tensor);
        }
        if (!at_head) ops.push_back(std::move(op));
        if (!at_head) at_head = std::ranges::find(ops.back().outputs, program.hidden) != ops.back().outputs.end();
    }
    program.ops = std::move(ops);
    program.logits = program.hidden;
    return program;
}

Program observe_moments(Program program, std::span<const ObservedMoments> moments) {
    std::vector<Op> ops;
    std::size_t n_wanted = 0;  // ops up to the last that observes
    for (Op& op : program.ops) {
        if (auto* observe = std::get_if<ObserveOptions>(&op.options); observe != nullptr) {
            const auto wanted = std::ranges::find_if(moments, [observe](const ObservedMoments& of) {
                return std::ranges::find(observe->tensors, of.tensor) != observe->tensors.end();
            });
            if (wanted == moments.end()) continue;
            observe->first_moments = wanted->first;
            observe->n_moments = wanted->n;
            observe->first_position_counts = wanted->first_position_counts;
            program.hidden = op.inputs.front();
            n_wanted = ops.size() + 1;
        }
        ops.push_back(std::move(op));
    }
    ops.erase(ops.begin() + static_cast<std::ptrdiff_t>(n_wanted), ops.end());
    program.ops = std::move(ops);
    program.logits = program.hidden;
    return program;
}

Program quantize_activations(Program program, ActivationMode mode) {
    if (mode == ActivationMode::kF32) return program;
    const Encoding encoding = mode == ActivationMode::kQ8 ? Encoding::kQ8 : Encoding::kQ16;

    std::map<ValueId, ValueId> quantized;  // float value -> the same in blocks
    for (Op& op : program.ops) {
        if (!multiplies(op.kind) || !is_quantized(program.weights[op.weights.front()].dtype)) continue;
        const ValueId x = op.inputs.front();
        if (!quantized.contains(x)) {
            Value blocks = program.values[x];
            blocks.name += ".q";
            // The head's input goes straight into the logits, and few rows have one: 15 bits there cost little and save a quarter of the
            // error.
            blocks.encoding = program.values[x].rows == RowKind::kHidden ? Encoding::kQ16 : encoding;
            program.values.push_back(std::move(blocks));
            quantized[x] = static_cast<ValueId>(program.values.size() - 1);
        }
        op.inputs.front() = quantized[x];
    }

    std::vector<Op> ops;
    for (Op& op : program.ops) {
        const std::vector<ValueId> made = op.outputs;
        ops.push_back(std::move(op));
        for (const ValueId v : made) {
            if (const auto found = quantized.find(v); found != quantized.end()) {
                ops.push_back({.kind = OpKind::kQuantize,
                               .name = program.values[found->second].name,
                               .inputs = {v},
                               .outputs = {found->second},
                               .weights = {},
                               .options = {},
                               .parts = {}});
            }
        }
    }
    program.ops = std::move(ops);
    return program;
}

Program fuse_linears(Program program, const Without& without) {
    std::vector<Op> ops;
    for (Op& op : program.ops) {
        if (ops.empty() || !can_join(ops.back(), op, without)) {
            ops.push_back(std::move(op));
            continue;
        }
        Op& joined = ops.back();
        if (joined.parts.empty()) joined.parts = {joined};
        joined.name = joined_name(joined.name, op.name);
        joined.outputs.insert(joined.outputs.end(), op.outputs.begin(), op.outputs.end());
        joined.weights.insert(joined.weights.end(), op.weights.begin(), op.weights.end());
        joined.parts.push_back(std::move(op));
    }
    program.ops = std::move(ops);
    return program;
}

Program split_attention(Program program) {
    std::vector<Op> ops;
    for (Op& op : program.ops) {
        if (!attends(op.kind)) {
            ops.push_back(std::move(op));
            continue;
        }
        const std::string prefix = op.name.substr(0, op.name.rfind('.') + 1);
        const auto scores = static_cast<ValueId>(program.values.size());
        program.values.push_back({.name = prefix + "qk_matmul"});
        program.values.push_back({.name = prefix + "softmax"});
        const ValueId probabilities = scores + 1;
        const auto part = [&](OpKind kind, const char* name, std::vector<ValueId> in, std::vector<ValueId> out, std::vector<WeightId> w) {
            ops.push_back({.kind = kind,
                           .name = prefix + name,
                           .inputs = std::move(in),
                           .outputs = std::move(out),
                           .weights = std::move(w),
                           .options = op.options,
                           .parts = {}});
        };
        part(OpKind::kAttentionScores, "qk_matmul", op.inputs, {scores}, {});
        part(OpKind::kSoftmax, "softmax", {scores}, {probabilities}, op.weights);
        part(OpKind::kAttentionValues, "sv_matmul", {probabilities}, op.outputs, {});
    }
    program.ops = std::move(ops);
    return program;
}

Program fuse_rows(Program program, const Without& without) {
    std::vector<Op> ops;
    std::vector<Op> run;
    const auto flush = [&] {
        if (run.size() > 1) {
            ops.push_back(fuse(std::exchange(run, {})));
        } else if (run.size() == 1) {
            ops.push_back(std::move(run.front()));
            run.clear();
        }
    };
    for (Op& op : program.ops) {
        const bool joins =
            is_row_local(op.kind) && joins_rows(op.kind, without) && (run.empty() || rows_of(program, run.front()) == rows_of(program, op));
        if (!joins) flush();
        if (is_row_local(op.kind)) {
            run.push_back(std::move(op));
        } else {
            ops.push_back(std::move(op));
        }
    }
    flush();
    program.ops = std::move(ops);
    drop_inner_outputs(program);
    return program;
}

Program rewrite(Program program, const RewriteOptions& options) {
    program = quantize_activations(std::move(program), options.activations);
    program = fuse_linears(std::move(program), options.without);
    if (options.without.contains("attention")) program = split_attention(std::move(program));
    return fuse_rows(std::move(program), options.without);
}

}  // namespace rafter::model
