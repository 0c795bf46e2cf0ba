// One entry at a time.
#include "model/model_layers_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/quote.h"
#include "model/hf/states.h"

namespace rafter::model {
namespace {

constexpr std::uint32_t kMost = 1U << 24;

class Entry {
  public:
    Entry(const JsonReader& keys, const DescribedModel& m) : keys_(keys), m_(m), c_(m.config) {}

    Result<LayerShape> read(const std::string& kind) {
        LayerShape s{.norms = c_.tensors.no_ffn_norm ? NormPlaces::kOnce : NormPlaces::kBefore};
        if (kind == "full" || kind == "sliding" || kind == "chunked") {
            s.attention = attention(kind);
        } else if (kind == "latent") {
            s.latent = latent();
        } else if (kind != "none") {
            s.state = state(kind);
            if (s.state->name.empty()) {
                return bad_input(
                    "{}: kind: expected full, sliding, chunked, latent, delta_net, mamba, mamba2, conv, lightning or none, found {}",
                    keys_.where(), quote(kind));
            }
        }
        const std::uint32_t d_ff = uint("d_ff", c_.d_ff);
        const auto experts = keys_.find_bool("experts");
        if (!experts) fail(experts.error());
        const bool has_experts = c_.moe.n_experts > 0 && (!experts || experts->value_or(true));
        if (has_experts) {
            s.experts = ExpertsShape{.n_experts = c_.moe.n_experts,
                                     .n_used = c_.moe.n_experts_used,
                                     .d_ff = c_.moe.d_ff_expert,
                                     .d_ff_shared = c_.moe.d_ff_shared};
        } else if (d_ff > 0) {
            s.dense = DenseShape{.d_ff = d_ff, .gated = c_.gated_ffn};
        }
        if (error_) return *error_;
        return s;
    }

  private:
    void fail(const Error& error) {
        if (!error_) error_ = error;
    }
    std::uint32_t uint(const char* name, std::uint32_t fallback) {
        const auto found = keys_.find_uint(name, 0, kMost);
        if (!found) fail(found.error());
        return found && *found ? **found : fallback;
    }

    AttentionShape attention(const std::string& kind) {
        AttentionShape a{.n_heads = std::max(1U, uint("n_heads", c_.n_heads)),
                         .n_kv_heads = uint("n_kv_heads", c_.n_kv_heads),
                         .head_dim = std::max(1U, uint("head_dim", c_.head_dim)),
                         .value_dim = uint("value_head_dim", 0)};
        const std::uint32_t window = uint("window", 0);
        if (kind != "full") a.window = window;
        if (kind != "full" && window == 0) fail(bad_input("{}: window: expected a number above 0 of a {} layer", keys_.where(), kind));
        const auto shares = keys_.find_bool("shares_cache");
        if (!shares) fail(shares.error());
        a.shares_cache = shares && shares->value_or(false);
        if (a.n_kv_heads == 0 || a.n_heads % a.n_kv_heads != 0) {
            fail(bad_input("{}: n_kv_heads: expected a divisor of the {} heads, found {}", keys_.where(), a.n_heads, a.n_kv_heads));
        }
        return a;
    }
    LatentShape latent() {
        if (c_.mla.kv_lora_rank == 0)
            fail(bad_input("{}: kind: expected the model's mla beside a latent layer, found none", keys_.where()));
        LatentShape l{.n_heads = c_.n_heads,
                      .kv_lora_rank = c_.mla.kv_lora_rank,
                      .q_lora_rank = c_.mla.q_lora_rank,
                      .rope_head_dim = c_.mla.rope_head_dim,
                      .nope_head_dim = c_.mla.nope_head_dim,
                      .value_head_dim = c_.mla.value_head_dim};
        l.n_index_heads = uint("n_index_heads", 0);
        l.index_head_dim = uint("index_head_dim", l.n_index_heads > 0 ? 128 : 0);
        l.n_selected = uint("n_selected", 0);
        return l;
    }
    StateShape state(const std::string& kind) {
        const std::uint32_t d = c_.d_model;
        const std::uint32_t kernel = uint("conv_kernel", kind == "conv" ? 3 : 4);
        if (kind == "conv") return hf::short_convolution({.d_model = d, .kernel = kernel});
        if (kind == "lightning") {
            return hf::lightning_attention(
                {.d_model = d, .n_heads = uint("n_heads", c_.n_heads), .head_dim = uint("head_dim", c_.head_dim)});
        }
        if (kind == "delta_net") {
            return hf::gated_delta_net({.d_model = d,
                                        .n_key_heads = uint("n_key_heads", 16),
                                        .n_value_heads = uint("n_value_heads", 32),
                                        .key_dim = uint("key_dim", 128),
                                        .value_dim = uint("value_dim", 128),
                                        .conv_kernel = kernel});
        }
        if (kind == "mamba") {
            return hf::mamba1({.d_model = d,
                               .d_inner = uint("d_inner", 2 * std::min(d, kMost)),
                               .d_state = uint("d_state", 16),
                               .dt_rank = uint("dt_rank", d / 16 + (d % 16 != 0 ? 1 : 0)),
                               .conv_kernel = kernel});
        }
        if (kind == "mamba2") {
            const std::uint32_t head_dim = std::max(1U, uint("head_dim", 64));
            return hf::mamba2({.d_model = d,
                               .n_heads = uint("n_heads", 2 * std::min(d, kMost) / head_dim),
                               .head_dim = head_dim,
                               .n_groups = uint("n_groups", 1),
                               .d_state = uint("d_state", 128),
                               .conv_kernel = kernel});
        }
        return {};
    }

    const JsonReader& keys_;
    const DescribedModel& m_;
    const ModelConfig& c_;
    std::optional<Error> error_;
};

// Widths of matrices stay below 2^31.
bool fits(const LayerShape& s) {
    constexpr double kMax = 2147483648.0;
    if (s.attention && double{2} * s.attention->n_heads * std::max(s.attention->head_dim, s.attention->value_dim) >= kMax) return false;
    if (!s.state) return true;
    return s.state->n_vector < kMax && s.state->state_elements < 1e15 &&
           std::ranges::all_of(s.state->matrices, [](const MatrixShape& m) { return m.n_rows < kMax / 2; });
}

}  // namespace

Result<void> read_layers_json(const nlohmann::json& layers, const std::string& where, DescribedModel& m) {
    if (!layers.is_array() || layers.empty()) {
        return bad_input("{}: layers: expected a list of objects, found {}", where, shown_json(layers));
    }
    std::vector<LayerShape> listed;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        RAFTER_TRY(const JsonReader keys, JsonReader::open(layers[i], fmt::format("{}: layers[{}]", where, i)));
        RAFTER_TRY(const auto count, keys.find_uint("count", 1, kMaxShapedLayers));
        RAFTER_TRY(const auto kind, keys.find_string("kind"));
        RAFTER_TRY(const LayerShape shape, Entry(keys, m).read(kind.value_or("full")));
        if (!fits(shape)) return bad_input("{}: layers[{}]: expected widths whose products stay below 2^31, found larger ones", where, i);
        for (std::string& key : keys.unknown_keys()) m.unknown_keys.push_back({fmt::format("layers[{}].{}", i, key), keys.known_keys()});
        if (listed.size() + count.value_or(1) > kMaxShapedLayers) {
            return bad_input("{}: layers: expected at most {} layers, found more", where, kMaxShapedLayers);
        }
        listed.insert(listed.end(), count.value_or(1), shape);
    }
    const auto n_layers = static_cast<std::size_t>(m.n_layers);
    if (n_layers > kMaxShapedLayers || n_layers % listed.size() != 0) {
        return bad_input("{}: layers: expected a list whose length divides the {} layers (of at most {}), found {}", where, m.n_layers,
                         kMaxShapedLayers, listed.size());
    }
    m.shapes.clear();
    while (m.shapes.size() < n_layers) m.shapes.insert(m.shapes.end(), listed.begin(), listed.end());
    m.config.n_layers = static_cast<std::uint32_t>(n_layers);
    m.config.layers.assign(n_layers, LayerConfig{});
    for (std::size_t i = 0; i < n_layers; ++i) {
        m.config.layers[i].window = m.shapes[i].attention ? m.shapes[i].attention->window : 0;
        m.config.layers[i].moe = m.shapes[i].experts.has_value();
    }
    return {};
}

}  // namespace rafter::model
