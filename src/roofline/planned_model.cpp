// Models as lists: from dimensions, and from a file's bound program.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/described_program.h"
#include "model/rewrites.h"
#include "report/units.h"
#include "roofline/plan.h"

namespace rafter::roofline {
namespace {

using model::Program;

// What any device's backend is taken to do: matrices of one input in one go, rows of the residual in one pass, flash attention.
Program fused_for_devices(Program program) { return model::fuse_rows(model::fuse_linears(std::move(program))); }
Program unfused(Program program) { return model::split_attention(std::move(program)); }

// Caches and states of layers that differ.
void add_caches(const model::DescribedModel& d, PricedList& list) {
    if (d.shapes.empty()) return;
    list.caches.clear();
    for (const model::LayerShape& s : d.shapes) {
        if (s.state) {
            const double in_float = s.state->state_bits == 32 ? s.state->state_elements : 0.0;
            list.states.elements_32 += in_float;
            list.states.elements += s.state->state_elements - in_float + s.state->conv_elements;
            const double bytes = 4 * in_float + 2 * (s.state->state_elements - in_float + s.state->conv_elements);
            const auto known = [&](const StateOp& op) { return op.name == s.state->name; };
            if (std::ranges::none_of(list.state_ops, known)) {
                list.state_ops.push_back({.name = s.state->name, .bytes = bytes, .flops_per_token = s.state->flops_per_token});
            }
        }
        CachedLayers layer{.count = 1};
        if (s.latent) {
            layer.key_width = double{1} * s.latent->kv_lora_rank + s.latent->rope_head_dim;
            // As DeepSeek's own code and vLLM keep it: fp8, with a float for each 128.
            if (s.latent->n_index_heads > 0 && !s.latent->shares_index) {
                layer.index_bytes = s.latent->index_head_dim + 4 * std::ceil(s.latent->index_head_dim / 128.0);
                list.index = {.bytes_per_position = layer.index_bytes,
                              .flops_per_pair = 2.0 * s.latent->n_index_heads * s.latent->index_head_dim};
            }
        } else if (s.attention && !s.attention->shares_cache && !s.attention->crosses) {
            const model::AttentionShape& a = *s.attention;
            layer.window = a.window;
            layer.n_kv_heads = a.n_kv_heads;
            layer.key_width = double{1} * a.n_kv_heads * a.head_dim;
            layer.value_width = double{1} * a.n_kv_heads * (a.value_dim > 0 ? a.value_dim : a.head_dim);
        } else {
            continue;
        }
        list.caches.push_back(layer);
    }
}

template <typename Rewrite>
PricedList list_of(const model::DescribedModel& d, Rewrite rewrite) {
    const std::uint32_t listed = d.config.n_layers;
    if (d.n_layers <= listed) {
        model::DescribedProgram built = model::build_described(d, listed);
        PricedList list = make_list(rewrite(std::move(built.program)), std::move(built.stored_bits));
        add_caches(d, list);
        return list;
    }
    const Program shorter = rewrite(model::build_described(d, listed - d.layer_pattern).program);
    Program all = rewrite(model::build_described(d, listed).program);
    return make_list(std::move(all), &shorter, {.n_layers = d.n_layers, .pattern = d.layer_pattern});
}

hardware::Precision activations_of(const model::DescribedModel& d) {
    using hardware::Precision;
    if (d.activation_type == "fp8" || d.weight_type == "fp8") return Precision::kFp8;
    if (d.activation_type == "int8") return Precision::kInt8;
    if (d.activation_type == "fp4") return Precision::kFp4;
    if (d.weight_type == "fp32") return Precision::kFp32;
    return d.weight_type == "fp16" || d.weight_type == "16 bits" ? Precision::kFp16 : NumberTypes{}.activations;
}

}  // namespace

PlannedModel plan_described(const model::DescribedModel& d) {
    PlannedModel m;
    m.name = d.name;
    m.source = d.source;
    m.fused = list_of(d, fused_for_devices);
    m.unfused = list_of(d, unfused);
    if (!d.quantization) {
        m.native.weight_bits = d.weight_bits;
        m.native.expert_bits = d.expert_bits;
    }
    m.weight_type = d.weight_type;
    m.native.activations = activations_of(d);
    m.native.activation_bytes = m.native.activations == hardware::Precision::kFp32 ? 4.0 : 2.0;
    m.n_context = d.config.n_context;
    m.assumed = d.assumed;
    m.notes = d.notes;
    m.unknown_keys = d.unknown_keys;
    for (PricedList* list : {&m.fused, &m.unfused}) {
        if (d.parameters) list->weight_scale = *d.parameters / parameters(*list);
        if (d.kv_bytes_per_token) list->kv_scale = *d.kv_bytes_per_token / kv_bytes_per_token(*list, {});
    }
    const double scale = m.fused.weight_scale;
    if (std::abs(scale - 1) > 0.05) {
        m.notes.push_back(fmt::format("the dimensions give {} parameters; weights are scaled to the stated {}",
                                      report::count(parameters(m.fused) / scale), report::count(*d.parameters)));
    }
    return m;
}

PlannedModel plan_bound(Program program, BoundOptions options) {
    PlannedModel m;
    m.name = program.config.name;
    m.n_context = program.config.n_context;
    m.unfused = make_list(unfused(program));
    if (options.engine_ops) {
        m.fused = make_list(model::rewrite(std::move(program), {}));
        m.native.activations = hardware::Precision::kInt8;
        m.native.activation_bytes = 4.0;  // between ops; matrices' inputs are kept in blocks of int8, which the list says itself
    } else {
        m.fused = make_list(fused_for_devices(std::move(program)));
        m.native.activations = hardware::Precision::kFp16;
    }
    return m;
}

}  // namespace rafter::roofline
