// Ops are equal when everything that a price depends on is: kind, widths, weights' shapes and types, options but for the layer.
#include "roofline/priced_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "model/workspace.h"
#include "tensor/formats/formats.h"

namespace rafter::roofline {
namespace {

using model::Op;
using model::OpKind;
using model::Program;
using model::Weight;
using model::WeightKind;

// "blk.3.attn_q" without its layer.
std::string short_name(const std::string& name) {
    if (!name.starts_with("blk.")) return name;
    const std::size_t dot = name.find('.', 4);
    return dot == std::string::npos ? name : name.substr(dot + 1);
}

std::string key_of(const Weight& w) {
    return fmt::format("{}/{}/{}/{}/{}", static_cast<int>(w.kind), w.n_experts, w.n_rows, w.n_cols, static_cast<int>(w.dtype));
}

std::string key_of(const Program& program, const Op& op) {
    std::string key = fmt::format("{} {}(", short_name(op.name), static_cast<int>(op.kind));
    const auto add_values = [&](const std::vector<model::ValueId>& ids) {
        for (const model::ValueId id : ids) {
            const model::Value& v = program.values[id];
            key += fmt::format("{}.{}.{} ", static_cast<int>(v.rows), v.width, static_cast<int>(v.encoding));
        }
        key += "|";
    };
    add_values(op.inputs);
    add_values(op.outputs);
    for (const model::WeightId id : op.weights) key += key_of(program.weights[id]) + " ";
    if (const auto* a = std::get_if<model::AttentionOptions>(&op.options)) key += fmt::format("w{}", a->window);
    for (const Op& part : op.parts) key += key_of(program, part);
    return key + ")";
}

// What tells an op from others of its name: a window, or its weights' type.
std::string distinction(const Program& program, const Op& op) {
    if (const auto* a = std::get_if<model::AttentionOptions>(&op.options)) {
        return a->window > 0 ? fmt::format("window {}", a->window) : "all positions";
    }
    std::string types;
    std::set<tensor::DType> seen;
    for (const model::WeightId id : op.weights) {
        if (!seen.insert(program.weights[id].dtype).second) continue;
        types += (types.empty() ? "" : "+") + std::string(tensor::format_of(program.weights[id].dtype).name);
    }
    return types.empty() ? fmt::format("{} wide", op.outputs.empty() ? 0 : program.values[op.outputs.front()].width) : types;
}

bool is_nothing(const Program& program, const Op& op) {
    for (const model::ValueId v : op.outputs) {
        if (program.values[v].width == 0 && op.kind != OpKind::kAttentionScores && op.kind != OpKind::kSoftmax) return true;
    }
    return false;
}

std::map<std::string, double> counts_of(const Program& program) {
    std::map<std::string, double> counts;
    for (const Op& op : program.ops) counts[key_of(program, op)] += 1;
    return counts;
}

void make_names_unique(const Program& program, std::vector<CountedOp>& ops) {
    std::map<std::string, int> uses;
    for (const CountedOp& op : ops) ++uses[op.name];
    for (CountedOp& op : ops) {
        if (uses[op.name] > 1) op.name += fmt::format(" ({})", distinction(program, op.op));
    }
    std::map<std::string, int> seen;
    for (CountedOp& op : ops) {
        if (const int n = ++seen[op.name]; n > 1) op.name += fmt::format(" #{}", n);
    }
}

void count_ops(const Program& listed, const Program* shorter, double repeats, PricedList& list) {
    const std::map<std::string, double> all = counts_of(listed);
    const std::map<std::string, double> fewer = shorter != nullptr ? counts_of(*shorter) : all;
    std::set<std::string> seen;
    for (const Op& op : listed.ops) {
        const std::string key = key_of(listed, op);
        if (is_nothing(listed, op) || !seen.insert(key).second) continue;
        const auto before = fewer.find(key);
        const double per_pattern = all.at(key) - (before == fewer.end() ? 0.0 : before->second);
        list.ops.push_back({op, short_name(op.name), all.at(key) + repeats * per_pattern});
    }
    make_names_unique(listed, list.ops);
}

std::map<std::string, CountedWeight> weights_of(const Program& program) {
    std::map<std::string, CountedWeight> counted;
    std::set<std::string> tables;  // tensors that were counted already
    for (const Weight& w : program.weights) {
        const bool whole = w.n_rows == w.n_source_rows;
        if (whole && (w.kind == WeightKind::kEmbedding || w.kind == WeightKind::kMatrix) && !w.tensor.starts_with("blk.")) {
            if (!tables.insert(w.tensor).second) {  // the head's matrix is the table
                for (auto& [key, c] : counted) {
                    if (c.weight.tensor == w.tensor) c.multiplied = true;
                }
                continue;
            }
        }
        CountedWeight& c = counted[key_of(w)];
        if (c.count == 0) c.weight = w;
        c.count += 1;
        if (w.kind == WeightKind::kMatrix || w.kind == WeightKind::kExperts) c.multiplied = true;
    }
    return counted;
}

void count_weights(const Program& listed, const Program* shorter, double repeats, PricedList& list) {
    std::map<std::string, CountedWeight> all = weights_of(listed);
    std::map<std::string, CountedWeight> fewer = shorter != nullptr ? weights_of(*shorter) : all;
    for (auto& [key, c] : all) {
        const auto before = fewer.find(key);
        c.count += repeats * (c.count - (before == fewer.end() ? 0.0 : before->second.count));
        list.weights.push_back(c);
    }
}

double elements(const Weight& w) { return double{1} * w.n_experts * w.n_rows * w.n_cols; }

bool of_experts(const Weight& w) { return w.kind == WeightKind::kExperts || w.kind == WeightKind::kVectors; }

}  // namespace

bool multiplies(const Op& op) { return op.kind == OpKind::kLinear || op.kind == OpKind::kExpertLinear; }
bool attends(const Op& op) {
    return op.kind == OpKind::kAttention || op.kind == OpKind::kAttentionScores || op.kind == OpKind::kAttentionValues;
}

PricedList make_list(Program listed, const Program* shorter, LayerCount layers) {
    PricedList list;
    list.n_layers = layers.n_layers;
    const double repeats = shorter == nullptr ? 0.0 : (layers.n_layers - listed.config.n_layers) / layers.pattern;
    count_ops(listed, shorter, repeats, list);
    count_weights(listed, shorter, repeats, list);
    for (const model::LayerConfig& layer : listed.config.layers) list.n_expert_layers += layer.moe ? 1 : 0;
    if (shorter != nullptr) list.n_expert_layers += listed.config.layers.back().moe ? layers.n_layers - listed.config.n_layers : 0;
    list.program = std::move(listed);
    list.workspace_token_bytes = static_cast<double>(model::plan_workspace(list.program, {.n_tokens = 1, .n_outputs = 0}).size_bytes);
    list.workspace_output_bytes = static_cast<double>(model::plan_workspace(list.program, {.n_tokens = 0, .n_outputs = 1}).size_bytes);
    return list;
}

PricedList make_list(Program program) {
    const LayerCount layers{static_cast<double>(program.config.n_layers), 1};
    return make_list(std::move(program), nullptr, layers);
}

double parameters(const PricedList& list) {
    double n = 0.0;
    for (const CountedWeight& c : list.weights) n += elements(c.weight) * c.count;
    return n * list.weight_scale;
}

double active_parameters(const PricedList& list) {
    const model::MoeConfig& moe = list.program.config.moe;
    double n = 0.0;
    for (const CountedWeight& c : list.weights) {
        const double share = of_experts(c.weight) ? double{1} * moe.n_experts_used / moe.n_experts : 1.0;
        n += elements(c.weight) * c.count * share;
    }
    return n * list.weight_scale;
}

double weight_flops_per_token(const PricedList& list) {
    const Step step({{1, 1, 0, 1}});
    double flops = 0.0;
    for (const CountedOp& op : list.ops) {
        if (multiplies(op.op)) flops += op_cost(list.program, op.op, step, {.weight_bits = 8}).flops * op.count;
    }
    return flops * list.weight_scale;
}

double weight_bytes(const PricedList& list, const CostOptions& options) {
    double bytes = 0.0;
    for (const CountedWeight& c : list.weights) bytes += elements(c.weight) * c.count * weight_bits(c.weight, options) / 8;
    return bytes * list.weight_scale;
}

double expert_weight_bytes(const PricedList& list, const CostOptions& options) {
    double bytes = 0.0;
    for (const CountedWeight& c : list.weights) {
        if (of_experts(c.weight)) bytes += elements(c.weight) * c.count * weight_bits(c.weight, options) / 8;
    }
    return bytes * list.weight_scale;
}

double kv_bytes_per_token(const PricedList& list, KvElementBytes kv) {
    return list.n_layers * position_bytes(list.program.config, kv) * list.kv_scale;
}

double kv_bytes_per_sequence(const PricedList& list, KvElementBytes kv, double n_context) {
    const double layer = position_bytes(list.program.config, kv) * list.kv_scale;
    double bytes = 0.0;
    double n_counted = 0.0;
    for (const CountedOp& op : list.ops) {
        if (op.op.kind != OpKind::kAttention && op.op.kind != OpKind::kAttentionScores) continue;
        const double window = std::get<model::AttentionOptions>(op.op.options).window;
        bytes += op.count * layer * (window > 0 ? std::min(window, n_context) : n_context);
        n_counted += op.count;
    }
    return n_counted > 0 ? bytes : list.n_layers * layer * n_context;
}

OpCost cost_of(const PricedList& list, const CountedOp& op, const Step& step, const CostOptions& options) {
    OpCost cost = op_cost(list.program, op.op, step, options);
    cost.weight_bytes *= list.weight_scale;
    if (multiplies(op.op)) cost.flops *= list.weight_scale;
    cost.kv_read_bytes *= list.kv_scale;
    cost.kv_written_bytes *= list.kv_scale;
    return cost;
}

}  // namespace rafter::roofline
