// The layers of a described model.
#include "model/described.h"

#include <algorithm>

namespace rafter::model {

void lay_out(const LayerPlan& plan, DescribedModel& model) {
    model.n_layers = plan.n_layers;
    model.layer_pattern = plan.window > 0 && plan.full_every > 1 ? plan.full_every : 1;
    ModelConfig& c = model.config;
    const double most = kMaxListedLayers - kMaxListedLayers % model.layer_pattern;
    // Those that are not listed must be whole patterns, so that counting on is exact.
    double listed = plan.n_layers;
    if (listed > most) {
        const auto over = static_cast<std::uint64_t>(plan.n_layers) % model.layer_pattern;
        listed = most - model.layer_pattern + static_cast<double>(over);
    }
    c.n_layers = static_cast<std::uint32_t>(listed);
    c.layers.assign(c.n_layers, LayerConfig{});
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        const bool full = plan.full_every > 0 && (i + 1) % plan.full_every == 0;
        c.layers[i].window = full ? 0 : plan.window;
        c.layers[i].moe = c.moe.n_experts > 0 && i >= std::min(plan.n_dense, c.n_layers - 1);
    }
    if (c.rope_tables.empty()) c.rope_tables.emplace_back();
}

bool widths_fit(const ModelConfig& c) {
    constexpr double kMax = 2147483648.0;
    const double heads = c.n_heads;
    const MlaConfig& m = c.mla;
    return heads * c.head_dim < kMax && double{1} * c.n_kv_heads * c.head_dim < kMax && 2.0 * c.d_ff < kMax &&
           heads * (double{1} * m.nope_head_dim + m.rope_head_dim) < kMax && heads * m.kv_lora_rank < kMax &&
           heads * m.value_head_dim < kMax && (heads + 2.0 * c.n_kv_heads) * c.head_dim < kMax;
}

}  // namespace rafter::model
