// Models as lists: from dimensions, and from a file's bound program.
#include <fmt/format.h>

#include <cmath>

#include "model/rewrites.h"
#include "report/units.h"
#include "roofline/plan.h"

namespace rafter::roofline {
namespace {

using model::Program;

// What any device's backend is taken to do: matrices of one input in one go, rows of the residual in one pass, flash attention.
Program fused_for_devices(Program program) { return model::fuse_rows(model::fuse_linears(std::move(program))); }
Program unfused(Program program) { return model::split_attention(std::move(program)); }

Program with_layers(const model::DescribedModel& described, std::uint32_t n_layers) {
    model::ModelConfig config = described.config;
    config.n_layers = n_layers;
    config.layers.resize(n_layers);
    return model::build(config);
}

template <typename Rewrite>
PricedList list_of(const model::DescribedModel& d, Rewrite rewrite) {
    const std::uint32_t listed = d.config.n_layers;
    if (d.n_layers <= listed) return make_list(rewrite(with_layers(d, listed)));
    const Program shorter = rewrite(with_layers(d, listed - d.layer_pattern));
    return make_list(rewrite(with_layers(d, listed)), &shorter, {.n_layers = d.n_layers, .pattern = d.layer_pattern});
}

}  // namespace

PlannedModel plan_described(const model::DescribedModel& d) {
    PlannedModel m;
    m.name = d.name;
    m.source = d.source;
    m.fused = list_of(d, fused_for_devices);
    m.unfused = list_of(d, unfused);
    m.native.weight_bits = d.weight_bits;
    m.native.expert_bits = d.expert_bits;
    m.weight_type = d.weight_type;
    if (d.weight_type == "fp32") m.native.activations = hardware::Precision::kFp32;
    if (d.weight_type == "fp8") m.native.activations = hardware::Precision::kFp8;
    if (d.weight_type == "fp16" || d.weight_type == "16 bits") m.native.activations = hardware::Precision::kFp16;
    m.native.activation_bytes = m.native.activations == hardware::Precision::kFp32 ? 4.0 : 2.0;
    m.n_context = d.config.n_context;
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
