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

// Bits by WeightId; empty: of none.
using StoredBits = std::vector<double>;
double bits_at(const StoredBits& bits, std::size_t id) { return id < bits.size() ? bits[id] : 0.0; }

std::string key_of(const Program& program, const Op& op, const StoredBits& bits) {
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
    for (const model::WeightId id : op.weights) key += fmt::format("{}/{} ", key_of(program.weights[id]), bits_at(bits, id));
    if (const auto* a = std::get_if<model::AttentionOptions>(&op.options)) key += fmt::format("w{}", a->window);
    for (const Op& part : op.parts) key += key_of(program, part, bits);
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

std::map<std::string, double> counts_of(const Program& program, const StoredBits& bits) {
    std::map<std::string, double> counts;
    for (const Op& op : program.ops) counts[key_of(program, op, bits)] += 1;
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
    const std::map<std::string, double> all = counts_of(listed, list.stored_bits);
    const std::map<std::string, double> fewer = shorter != nullptr ? counts_of(*shorter, {}) : all;
    std::set<std::string> seen;
    for (const Op& op : listed.ops) {
        const std::string key = key_of(listed, op, list.stored_bits);
        if (is_nothing(listed, op) || !seen.insert(key).second) continue;
        const auto before = fewer.find(key);
        const double per_pattern = all.at(key) - (before == fewer.end() ? 0.0 : before->second);
        list.ops.push_back({op, short_name(op.name), all.at(key) + repeats * per_pattern});
    }
    make_names_unique(listed, list.ops);
}

std::map<std::string, CountedWeight> weights_of(const Program& program, const StoredBits& bits) {
    std::map<std::string, CountedWeight> counted;
    std::set<std::string> tables;  // tensors that were counted already
    for (std::size_t id = 0; id < program.weights.size(); ++id) {
        const Weight& w = program.weights[id];
        const bool whole = w.n_rows == w.n_source_rows;
        const bool shared = w.tensor.starts_with("shared.");  // a block that several layers use
        if (shared || (whole && (w.kind == WeightKind::kEmbedding || w.kind == WeightKind::kMatrix) && !w.tensor.starts_with("blk."))) {
            if (!tables.insert(w.tensor).second) {  // the head's matrix is the table
                for (auto& [key, c] : counted) {
                    if (c.weight.tensor == w.tensor) c.multiplied = true;
                }
                continue;
            }
        }
        CountedWeight& c = counted[fmt::format("{}/{}", key_of(w), bits_at(bits, id))];
        if (c.count == 0) c.weight = w;
        c.stored_bits = bits_at(bits, id);
        c.count += 1;
        if (w.kind == WeightKind::kMatrix || w.kind == WeightKind::kExperts) c.multiplied = true;
    }
    return counted;
}

void count_weights(const Program& listed, const Program* shorter, double repeats, PricedList& list) {
    std::map<std::string, CountedWeight> all = weights_of(listed, list.stored_bits);
    std::map<std::string, CountedWeight> fewer = shorter != nullptr ? weights_of(*shorter, {}) : all;
    for (auto& [key, c] : all) {
        const auto before = fewer.find(key);
        c.count += repeats * (c.count - (before == fewer.end() ? 0.0 : before->second.count));
        list.weights.push_back(c);
    }
}

// Of a program whose layers all have its config's widths.
std::vector<CachedLayers> caches_of(const PricedList& list) {
    const model::ModelConfig& c = list.program.config;
    const bool latent = c.mla.kv_lora_rank > 0;
    const double width = latent ? double{1} * c.mla.kv_lora_rank + c.mla.rope_head_dim : double{1} * c.n_kv_heads * c.head_dim;
    std::vector<CachedLayers> caches;
    for (const CountedOp& op : list.ops) {
        if (op.op.kind != OpKind::kAttention && op.op.kind != OpKind::kLatentAttention && op.op.kind != OpKind::kAttentionScores) continue;
        const double window = std::get<model::AttentionOptions>(op.op.options).window;
        caches.push_back({.count = op.count,
                          .window = window,
                          .key_width = width,
                          .value_width = latent ? 0.0 : width,
                          .n_kv_heads = latent ? 0.0 : double{1} * c.n_kv_heads});
    }
    return caches;
}

double position_bytes(const CachedLayers& layers, KvElementBytes kv) {
    return layers.key_width * kv.key + layers.value_width * kv.value + layers.index_bytes;
}

double elements(const Weight& w) { return double{1} * w.n_experts * w.n_rows * w.n_cols; }

bool of_experts(const Weight& w) { return w.kind == WeightKind::kExperts || w.kind == WeightKind::kVectors; }

}  // namespace

bool multiplies(const Op& op) { return op.kind == OpKind::kLinear || op.kind == OpKind::kLinearByHead || op.kind == OpKind::kExpertLinear; }
bool attends(const Op& op) {
    return op.kind == OpKind::kAttention || op.kind == OpKind::kLatentAttention || op.kind == OpKind::kAttentionScores ||
           op.kind == OpKind::kAttentionValues;
}

namespace {

PricedList listed_of(Program listed, const Program* shorter, LayerCount layers, StoredBits stored_bits) {
    PricedList list;
    list.stored_bits = std::move(stored_bits);
    list.n_layers = layers.n_layers;
    const double repeats = shorter == nullptr ? 0.0 : (layers.n_layers - listed.config.n_layers) / layers.pattern;
    count_ops(listed, shorter, repeats, list);
    count_weights(listed, shorter, repeats, list);
    for (const model::LayerConfig& layer : listed.config.layers) list.n_expert_layers += layer.moe ? 1 : 0;
    if (shorter != nullptr) list.n_expert_layers += listed.config.layers.back().moe ? layers.n_layers - listed.config.n_layers : 0;
    list.program = std::move(listed);
    list.caches = caches_of(list);
    list.workspace_token_bytes = static_cast<double>(model::plan_workspace(list.program, {.n_tokens = 1, .n_outputs = 0}).size_bytes);
    list.workspace_output_bytes = static_cast<double>(model::plan_workspace(list.program, {.n_tokens = 0, .n_outputs = 1}).size_bytes);
    return list;
}

}  // namespace

PricedList make_list(Program listed, const Program* shorter, LayerCount layers) {
    return listed_of(std::move(listed), shorter, layers, {});
}

PricedList make_list(Program program, std::vector<double> stored_bits) {
    const LayerCount layers{static_cast<double>(program.config.n_layers), 1};
    return listed_of(std::move(program), nullptr, layers, std::move(stored_bits));
}

double weight_bits(const PricedList& list, model::WeightId weight, const CostOptions& options) {
    const double stored = bits_at(list.stored_bits, weight);
    return stored > 0 && !options.weight_bits ? stored : weight_bits(list.program.weights[weight], options);
}

double weight_bits(const CountedWeight& weight, const CostOptions& options) {
    return weight.stored_bits > 0 && !options.weight_bits ? weight.stored_bits : weight_bits(weight.weight, options);
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
        const double share = of_experts(c.weight) ? double{1} * moe.n_experts_used / c.weight.n_experts : 1.0;
        n += elements(c.weight) * c.count * share;
    }
    return n * list.weight_scale;
}

double active_without_embedding(const PricedList& list) {
    double looked_up = 0.0;
    for (const CountedWeight& c : list.weights) {
        if (c.weight.kind == WeightKind::kEmbedding) looked_up += elements(c.weight) * c.count;
    }
    return active_parameters(list) - looked_up * list.weight_scale;
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
    for (const CountedWeight& c : list.weights) bytes += elements(c.weight) * c.count * weight_bits(c, options) / 8;
    return bytes * list.weight_scale;
}

double expert_weight_bytes(const PricedList& list, const CostOptions& options) {
    double bytes = 0.0;
    for (const CountedWeight& c : list.weights) {
        if (of_experts(c.weight)) bytes += elements(c.weight) * c.count * weight_bits(c, options) / 8;
    }
    return bytes * list.weight_scale;
}

double kv_bytes_per_token(const PricedList& list, KvElementBytes kv) {
    double bytes = 0.0;
    for (const CachedLayers& c : list.caches) bytes += c.count * position_bytes(c, kv);
    return bytes * list.kv_scale;
}

double growing_kv_bytes_per_token(const PricedList& list, KvElementBytes kv) {
    double bytes = 0.0;
    for (const CachedLayers& c : list.caches) bytes += c.window > 0 ? 0.0 : c.count * position_bytes(c, kv);
    return bytes * list.kv_scale;
}

double kv_bytes_per_sequence(const model::ModelConfig& config, KvElementBytes kv, double n_context) {
    double positions = 0.0;
    for (const model::LayerConfig& layer : config.layers) {
        positions += layer.window > 0 ? std::min(double{1} * layer.window, n_context) : n_context;
    }
    return positions * position_bytes(config, kv);
}

double state_bytes_per_sequence(const PricedList& list) { return list.states.elements * 2 + list.states.elements_32 * 4; }

double kv_bytes_per_sequence(const PricedList& list, KvElementBytes kv, double n_context) {
    return kv_bytes_per_sequence(list, kv, n_context, [](double) { return 1.0; });
}

double kv_bytes_per_sequence(const PricedList& list, KvElementBytes kv, double n_context,
                             const std::function<double(double n_kv_heads)>& copies) {
    double bytes = 0.0;
    for (const CachedLayers& c : list.caches) {
        const double n_kept = c.window > 0 ? std::min(c.window, n_context) : n_context;
        bytes += c.count * position_bytes(c, kv) * n_kept * copies(c.n_kv_heads);
    }
    return bytes * list.kv_scale + state_bytes_per_sequence(list);
}

namespace {

// An attention's positions against those of the config: layers of one model may have heads of their own.
double own_width(const PricedList& list, const Op& op, KvElementBytes kv) {
    const auto* a = std::get_if<model::AttentionOptions>(&op.options);
    const model::ModelConfig& c = list.program.config;
    const double common = position_bytes(c, kv);
    if (a == nullptr || c.mla.kv_lora_rank > 0 || common <= 0) return 1.0;
    return double{1} * a->n_kv_heads * a->head_dim * (kv.key + kv.value) / common;
}

void add_index(const PricedList& list, const Op& op, const Step& step, OpCost& cost) {
    const bool scores = op.kind == OpKind::kAttention || op.kind == OpKind::kLatentAttention || op.kind == OpKind::kAttentionScores;
    if (!scores || list.index.bytes_per_position <= 0) return;
    for (const StepRows& r : step.rows) {
        if (r.n_new > 0) cost.kv_read_bytes += r.n_sequences * (r.n_past + r.n_new) * list.index.bytes_per_position;
    }
    cost.flops += attention_pairs(step, 0) * list.index.flops_per_pair;
}

void add_states(const PricedList& list, const Op& op, const Step& step, OpCost& cost) {
    if (list.state_ops.empty()) return;
    for (const Op& part : op.parts) add_states(list, part, step, cost);
    if (op.kind != OpKind::kActivation) return;
    for (const StateOp& state : list.state_ops) {
        if (short_name(op.name) != state.name) continue;
        cost.kv_read_bytes += step.n_sequences() * state.bytes;
        cost.kv_written_bytes += step.n_sequences() * state.bytes;
        cost.flops += step.n_tokens() * state.flops_per_token;
    }
}

}  // namespace

OpCost cost_of(const PricedList& list, const CountedOp& op, const Step& step, const CostOptions& options) {
    CostOptions own = options;
    if (!list.stored_bits.empty() && !options.weight_bits) {
        // The mean of what the op reads: its matrices are read in equal parts.
        double bits = 0.0;
        double n = 0.0;
        for (const model::WeightId id : op.op.weights) {
            const double n_elements = elements(list.program.weights[id]);
            bits += n_elements * weight_bits(list, id, options);
            n += n_elements;
        }
        own.weight_bits = n > 0 ? bits / n : 16.0;
        own.expert_bits.reset();
    }
    OpCost cost = op_cost(list.program, op.op, step, own);
    cost.kv_read_bytes *= own_width(list, op.op, options.kv);
    add_index(list, op.op, step, cost);
    add_states(list, op.op, step, cost);
    cost.weight_bytes *= list.weight_scale;
    if (multiplies(op.op)) cost.flops *= list.weight_scale;
    cost.kv_read_bytes *= list.kv_scale;
    cost.kv_written_bytes *= list.kv_scale;
    return cost;
}

}  // namespace rafter::roofline
