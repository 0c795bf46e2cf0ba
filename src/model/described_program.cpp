// From shapes to ops. Names of ops and tensors are build()'s, so that plans of one model read alike whichever way it was named.
#include "model/described_program.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"

namespace rafter::model {
namespace {

class ShapeBuilder {
  public:
    ShapeBuilder(const DescribedModel& model, std::uint32_t n_layers) : m_(model), c_(model.config) {
        program_.config = model.config;
        program_.config.n_layers = n_layers;
        program_.config.layers.resize(n_layers);
    }

    DescribedProgram finish() && {
        ValueId x = embed();
        for (std::uint32_t layer = 0; layer < program_.config.n_layers; ++layer) {
            layer_ = layer;
            prefix_ = fmt::format("blk.{}.", layer);
            s_ = m_.shapes[layer];
            x = emit_layer(x);
        }
        prefix_.clear();
        s_ = {};
        head(x);
        return {.program = std::move(program_), .stored_bits = std::move(stored_bits_)};
    }

  private:
    ValueId value(std::string_view name, RowKind rows, std::uint32_t width) {
        program_.values.push_back({.name = prefix_ + std::string(name), .rows = rows, .width = width});
        return static_cast<ValueId>(program_.values.size() - 1);
    }
    WeightId weight(Weight w) {
        w.tensor = (s_.shared_block > 0 ? fmt::format("shared.{}.", s_.shared_block) : prefix_) + w.tensor;
        w.n_source_rows = w.n_rows;
        if (m_.quantization) stored_bits_.push_back(stored_bits(*m_.quantization, w));
        program_.weights.push_back(std::move(w));
        return static_cast<WeightId>(program_.weights.size() - 1);
    }
    WeightId vector(std::string_view tensor, std::uint32_t n) {
        return weight({.tensor = std::string(tensor), .kind = WeightKind::kVector, .n_cols = n});
    }
    [[nodiscard]] RowKind rows_of(ValueId v) const { return program_.values[v].rows; }
    [[nodiscard]] std::uint32_t width_of(ValueId v) const { return program_.values[v].width; }

    void emit(OpKind kind, std::string_view name, std::vector<ValueId> inputs, std::vector<ValueId> outputs, std::vector<WeightId> weights,
              OpOptions options = {}) {
        program_.ops.push_back({.kind = kind,
                                .name = prefix_ + std::string(name),
                                .inputs = std::move(inputs),
                                .outputs = std::move(outputs),
                                .weights = std::move(weights),
                                .options = options,
                                .parts = {}});
    }

    ValueId look_up(std::string_view name, std::uint32_t n_rows, std::uint32_t width) {
        const ValueId x = value(name, RowKind::kTokens, width);
        const WeightId table =
            weight({.tensor = fmt::format("{}.weight", name), .kind = WeightKind::kEmbedding, .n_rows = n_rows, .n_cols = width});
        emit(OpKind::kEmbed, name, {}, {x}, {table}, EmbedOptions{});
        return x;
    }
    ValueId embed() {
        const OuterShape& outer = m_.outer;
        const std::uint32_t width = outer.d_embedding > 0 ? outer.d_embedding : c_.d_model;
        ValueId x = look_up("token_embd", c_.n_vocab, width);
        for (const MatrixShape& table : outer.tables) look_up(table.name, table.n_rows, table.n_cols);
        for (const MatrixShape& p : outer.projections) {
            const ValueId y = linear(x, p.name, p.n_rows, p.n_cols);
            if (p.n_rows == c_.d_model) x = y;
        }
        if (width_of(x) != c_.d_model) x = value("embedding", RowKind::kTokens, c_.d_model);
        if (c_.n_positions == 0) return x;
        return add(x, look_up("position_embd", c_.n_positions, c_.d_model), "add_position");
    }

    ValueId norm(ValueId x, std::string_view name, std::uint32_t group) { return norm(x, name, group, s_.norm_gain, s_.norm_bias); }
    ValueId norm(ValueId x, std::string_view name, std::uint32_t group, bool gain, bool bias) {
        const ValueId y = value(name, rows_of(x), width_of(x));
        std::vector<WeightId> gains;
        if (gain) gains.push_back(vector(fmt::format("{}.weight", name), group));
        emit(OpKind::kRmsNorm, name, {x}, {y}, std::move(gains), NormOptions{.epsilon = c_.norm_epsilon, .group = group});
        return bias ? add_bias(y, name, group) : y;
    }
    ValueId add_bias(ValueId x, std::string_view name, std::uint32_t n) {
        const ValueId y = value(fmt::format("{}+bias", name), rows_of(x), width_of(x));
        emit(OpKind::kAddBias, fmt::format("{}.bias", name), {x}, {y}, {vector(fmt::format("{}.bias", name), n)});
        return y;
    }
    ValueId linear(ValueId x, std::string_view name, std::uint32_t n_rows, std::uint32_t n_cols) {
        const ValueId y = value(name, rows_of(x), n_rows);
        const WeightId w =
            weight({.tensor = fmt::format("{}.weight", name), .kind = WeightKind::kMatrix, .n_rows = n_rows, .n_cols = n_cols});
        emit(OpKind::kLinear, name, {x}, {y}, {w});
        return y;
    }
    ValueId linear(ValueId x, std::string_view name, std::uint32_t n_rows) { return linear(x, name, n_rows, width_of(x)); }
    ValueId rope(ValueId x, std::string_view name, std::uint32_t head_dim) {
        const ValueId y = value(name, rows_of(x), width_of(x));
        emit(OpKind::kRope, name, {x}, {y}, {}, RopeOptions{.table = 0, .head_dim = head_dim});
        return y;
    }
    ValueId add(ValueId a, ValueId b, std::string_view name) {
        const ValueId y = value(name, rows_of(a), width_of(a));
        emit(OpKind::kAdd, name, {a, b}, {y}, {});
        return y;
    }
    ValueId gate(ValueId gate, ValueId up) {
        const ValueId y = value("ffn_act", rows_of(gate), width_of(gate));
        emit(OpKind::kGatedActivation, "ffn_act", {gate, up}, {y}, {}, ActivationOptions{});
        return y;
    }
    ValueId activate(ValueId x) {
        const ValueId y = value("ffn_act", rows_of(x), width_of(x));
        emit(OpKind::kActivation, "ffn_act", {x}, {y}, {}, ActivationOptions{});
        return y;
    }
    void loose_vector(std::string_view name, double n) {
        if (n >= 1) vector(name, static_cast<std::uint32_t>(n));
    }

    ValueId emit_layer(ValueId x) {
        const bool mixes = s_.attention || s_.latent || s_.state;
        const bool feeds = s_.dense || s_.experts;
        const NormPlaces at = s_.norms;
        const bool before = at != NormPlaces::kAfter && at != NormPlaces::kNone;
        const bool after = at == NormPlaces::kAfter || at == NormPlaces::kBeforeAndAfter;
        const bool side_by_side = at == NormPlaces::kOnce || at == NormPlaces::kTwiceParallel;
        loose_vector("more", s_.n_vector);
        ValueId input = x;
        const ValueId entry = x;
        for (const MatrixShape& extra : s_.extra) linear(input, extra.name, extra.n_rows, extra.n_cols);
        if (mixes) {
            if (before) input = norm(x, "attn_norm", c_.d_model);
            ValueId y = mix(input);
            if (after) y = norm(y, "post_attention_norm", c_.d_model);
            x = add(x, y, "attn_residual");
        }
        if (!feeds) return x;
        if (at == NormPlaces::kTwiceParallel) input = norm(entry, c_.tensors.ffn_norm, c_.d_model);
        if (!side_by_side || !mixes) input = before ? norm(x, c_.tensors.ffn_norm, c_.d_model) : x;
        ValueId y = s_.dense ? dense_block(input) : expert_block(input);
        if (s_.dense && s_.experts) y = add(y, expert_block(input), "add_experts");
        if (after) y = norm(y, "post_ffw_norm", c_.d_model);
        return add(x, y, "ffn_residual");
    }

    ValueId mix(ValueId input) {
        if (s_.latent) return latent_attention(input, *s_.latent);
        if (s_.attention && s_.state) return add(attention(input, *s_.attention), state(input, *s_.state), "add_mixers");
        return s_.attention ? attention(input, *s_.attention) : state(input, *s_.state);
    }

    ValueId attention(ValueId input, const AttentionShape& a) {
        const std::uint32_t value_dim = a.value_dim > 0 ? a.value_dim : a.head_dim;
        const std::uint32_t n_in = a.n_in > 0 ? a.n_in : c_.d_model;
        const std::uint32_t k_width = a.n_kv_heads * a.head_dim;
        const std::uint32_t v_width = a.n_kv_heads * value_dim;
        const bool makes_keys = !a.shares_cache;
        ValueId q = linear(input, "attn_q", a.n_heads * a.head_dim, n_in);
        ValueId k = 0;
        ValueId v = 0;
        if (makes_keys) k = linear(input, "attn_k", k_width, n_in);
        if (makes_keys) v = a.keys_are_values ? k : linear(input, "attn_v", v_width, n_in);
        if (a.output_gate) linear(input, "attn_gate", a.n_heads * value_dim, n_in);
        if (a.qkv_bias) {
            q = add_bias(q, "attn_q", a.n_heads * a.head_dim);
            if (makes_keys) k = add_bias(k, "attn_k", k_width);
            if (makes_keys && !a.keys_are_values) v = add_bias(v, "attn_v", v_width);
        }
        if (a.qk_norm != QkNorm::kNone) {
            const bool row = a.qk_norm == QkNorm::kRow;
            const bool bias = a.qk_norm == QkNorm::kHeadBiased;
            q = norm(q, "attn_q_norm", row ? a.n_heads * a.head_dim : a.head_dim, true, bias);
            if (makes_keys) k = norm(k, "attn_k_norm", row ? k_width : a.head_dim, true, bias);
        }
        if (!a.no_rope) {
            q = rope(q, "rope_q", a.head_dim);
            if (makes_keys) k = rope(k, "rope_k", a.head_dim);
        }
        if (makes_keys && !a.crosses) emit(OpKind::kKvAppend, "kv_append", {k, v}, {}, {}, CacheOptions{.layer = layer_});
        const ValueId y = value("attention", RowKind::kTokens, a.n_heads * value_dim);
        std::vector<WeightId> sinks;
        if (a.sinks) sinks.push_back(vector("attn_sinks.weight", a.n_heads));
        emit(OpKind::kAttention, "attention", {q}, {y}, std::move(sinks),
             AttentionOptions{
                 .layer = layer_, .n_heads = a.n_heads, .n_kv_heads = a.n_kv_heads, .head_dim = a.head_dim, .window = a.window});
        const ValueId out = linear(y, "attn_output", c_.d_model);
        return a.output_bias ? add_bias(out, "attn_output", c_.d_model) : out;
    }

    ValueId latent_attention(ValueId input, const LatentShape& a) {
        const std::uint32_t latent_width = a.kv_lora_rank + a.rope_head_dim;
        const std::uint32_t q_width = a.n_heads * (a.nope_head_dim + a.rope_head_dim);
        ValueId q = input;
        ValueId q_latent = input;
        if (a.q_lora_rank > 0) {
            q_latent = norm(linear(q, "attn_q_a", a.q_lora_rank), "attn_q_a_norm", a.q_lora_rank, true, false);
            q = q_latent;
        }
        q = linear(q, a.q_lora_rank > 0 ? "attn_q_b" : "attn_q", q_width);
        ValueId latent = linear(input, "attn_kv_a_mqa", latent_width);
        latent = norm(latent, "attn_kv_a_norm", a.kv_lora_rank, true, false);
        q = rope(q, "rope_q", a.rope_head_dim);
        latent = rope(latent, "rope_k", a.rope_head_dim);
        emit(OpKind::kLatentAppend, "kv_append", {latent}, {}, {}, CacheOptions{.layer = layer_});
        if (a.n_index_heads > 0 && !a.shares_index) indexer(input, q_latent, a);
        q = linear(q, "attn_k_b", a.n_heads * a.kv_lora_rank, a.nope_head_dim);
        const ValueId y = value("attention", RowKind::kTokens, a.n_heads * a.kv_lora_rank);
        emit(OpKind::kLatentAttention, "attention", {q}, {y}, {},
             AttentionOptions{.layer = layer_, .n_heads = a.n_heads, .n_kv_heads = 1, .head_dim = latent_width, .window = a.n_selected});
        const ValueId values = linear(y, "attn_v_b", a.n_heads * a.value_head_dim, a.kv_lora_rank);
        if (a.output_gate) linear(input, "attn_gate", a.n_heads * a.value_head_dim);
        return linear(values, "attn_output", c_.d_model);
    }

    void indexer(ValueId input, ValueId q_latent, const LatentShape& a) {
        linear(q_latent, "indexer.wq_b", a.n_index_heads * a.index_head_dim);
        const ValueId k = linear(input, "indexer.wk", a.index_head_dim);
        norm(k, "indexer.k_norm", a.index_head_dim, true, true);
        linear(input, "indexer.weights_proj", a.n_index_heads);
    }

    ValueId state(ValueId input, const StateShape& state) {
        ValueId last = input;
        for (std::size_t i = 0; i < state.matrices.size(); ++i) {
            const MatrixShape& m = state.matrices[i];
            const bool is_last = i + 1 == state.matrices.size();
            if (is_last) last = recur(last, state);
            const ValueId from = m.n_cols == c_.d_model && !is_last ? input : last;
            const ValueId y = linear(from, m.name, m.n_rows, m.n_cols);
            last = is_last || m.n_cols == c_.d_model ? y : last;
        }
        return last;
    }
    ValueId recur(ValueId x, const StateShape& state) {
        const ValueId y = value(state.name, RowKind::kTokens, state.width);
        std::vector<WeightId> weights;
        if (state.n_vector >= 1) weights.push_back(vector(state.name + ".vectors", static_cast<std::uint32_t>(state.n_vector)));
        emit(OpKind::kActivation, state.name, {x}, {y}, std::move(weights), ActivationOptions{});
        return y;
    }

    ValueId biased(ValueId x, std::string_view name) { return s_.dense->bias ? add_bias(x, name, width_of(x)) : x; }
    ValueId dense_block(ValueId input) {
        const DenseShape& d = *s_.dense;
        ValueId act;
        if (d.gated) {
            ValueId gated = linear(input, "ffn_gate", d.d_ff, c_.d_model);
            ValueId up = linear(input, "ffn_up", d.d_ff, c_.d_model);
            gated = biased(gated, "ffn_gate");
            up = biased(up, "ffn_up");
            act = gate(gated, up);
        } else {
            act = activate(biased(linear(input, "ffn_up", d.d_ff, c_.d_model), "ffn_up"));
        }
        if (d.n_norm > 0) act = norm(act, "ffn_inner_norm", d.n_norm, true, false);
        return biased(linear(act, "ffn_down", c_.d_model), "ffn_down");
    }

    ValueId shared_experts(ValueId input, const ExpertsShape& e) {
        const ValueId up = linear(input, "ffn_up_shexp", e.d_ff_shared);
        const ValueId act = e.gated ? gate(linear(input, "ffn_gate_shexp", e.d_ff_shared), up) : activate(up);
        return linear(act, "ffn_down_shexp", c_.d_model);
    }
    ValueId expert_linear(ValueId x, ValueId routing, std::string_view name, std::uint32_t n_rows) {
        const ValueId y = value(name, RowKind::kSlots, n_rows);
        const WeightId w = weight({.tensor = fmt::format("{}.weight", name),
                                   .kind = WeightKind::kExperts,
                                   .n_experts = s_.experts->n_experts,
                                   .n_rows = n_rows,
                                   .n_cols = width_of(x)});
        emit(OpKind::kExpertLinear, name, {x, routing}, {y}, {w});
        return y;
    }
    ValueId expert_bias(ValueId x, ValueId routing, std::string_view name) {
        if (!s_.experts->bias) return x;
        const ValueId y = value(fmt::format("{}+bias", name), RowKind::kSlots, width_of(x));
        const WeightId bias = weight({.tensor = fmt::format("{}.bias", name),
                                      .kind = WeightKind::kVectors,
                                      .n_experts = s_.experts->n_experts,
                                      .n_cols = width_of(x)});
        emit(OpKind::kAddExpertBias, fmt::format("{}.bias", name), {x, routing}, {y}, {bias});
        return y;
    }
    ValueId expert_block(ValueId input) {
        const ExpertsShape& e = *s_.experts;
        ValueId scores = value("ffn_gate_inp", RowKind::kTokens, e.n_experts);
        if (e.router) scores = linear(input, "ffn_gate_inp", e.n_experts, c_.d_model);
        if (e.bias) scores = add_bias(scores, "ffn_gate_inp", e.n_experts);
        if (e.router_bias) vector("exp_probs_b.bias", e.n_experts);
        const ValueId routing = value("routing", RowKind::kTokens, 2 * e.n_used);
        emit(OpKind::kRoute, "route", {scores}, {routing}, {}, RouteOptions{.n_experts_used = e.n_used});
        ValueId x = input;
        if (e.d_latent > 0) x = linear(input, "ffn_latent_down", e.d_latent);
        ValueId act;
        if (e.gated) {
            ValueId gated = expert_linear(x, routing, "ffn_gate_exps", e.d_ff);
            ValueId up = expert_linear(x, routing, "ffn_up_exps", e.d_ff);
            gated = expert_bias(gated, routing, "ffn_gate_exps");
            up = expert_bias(up, routing, "ffn_up_exps");
            act = gate(gated, up);
        } else {
            act = activate(expert_bias(expert_linear(x, routing, "ffn_up_exps", e.d_ff), routing, "ffn_up_exps"));
        }
        const std::uint32_t d_out = e.d_latent > 0 ? e.d_latent : c_.d_model;
        const ValueId down = expert_bias(expert_linear(act, routing, "ffn_down_exps", d_out), routing, "ffn_down_exps");
        ValueId y = value("ffn_experts", RowKind::kTokens, d_out);
        emit(OpKind::kCombineExperts, "ffn_experts", {down, routing}, {y}, {});
        if (e.d_latent > 0) y = linear(y, "ffn_latent_up", c_.d_model);
        if (e.d_ff_shared == 0) return y;
        if (e.shared_gate) linear(input, "ffn_gate_inp_shexp", 1);
        return add(y, shared_experts(input, e), "add_shared_experts");
    }

    void head(ValueId x) {
        const OuterShape& outer = m_.outer;
        const ValueId chosen = value("outputs", RowKind::kHidden, c_.d_model);
        emit(OpKind::kSelectOutputs, "select_outputs", {x}, {chosen}, {});
        program_.hidden = chosen;
        if (outer.last_norm) program_.hidden = norm(chosen, "output_norm", c_.d_model, !outer.norm_without_gain, c_.tensors.norm_bias);
        loose_vector("outer", outer.n_vector);
        const char* table = c_.tied_embeddings ? "token_embd" : "output";
        const std::uint32_t n_cols = outer.d_embedding > 0 ? outer.d_embedding : c_.d_model;
        program_.logits = value("output", RowKind::kOutputs, c_.n_vocab);
        const WeightId w =
            weight({.tensor = fmt::format("{}.weight", table), .kind = WeightKind::kMatrix, .n_rows = c_.n_vocab, .n_cols = n_cols});
        emit(OpKind::kLinear, "output", {program_.hidden}, {program_.logits}, {w});
        if (outer.head_bias) program_.logits = add_bias(program_.logits, "output", c_.n_vocab);
    }

    const DescribedModel& m_;
    const ModelConfig& c_;
    LayerShape s_;  // of the layer that is emitted
    Program program_;
    std::vector<double> stored_bits_;
    std::uint32_t layer_ = 0;
    std::string prefix_;  // "blk.3.", or nothing outside the layers
};

}  // namespace

DescribedProgram build_described(const DescribedModel& model, std::uint32_t n_layers) {
    RAFTER_CHECK(n_layers <= model.config.n_layers);
    if (model.shapes.empty()) {
        ModelConfig config = model.config;
        config.n_layers = n_layers;
        config.layers.resize(n_layers);
        return {.program = build(config), .stored_bits = {}};
    }
    RAFTER_CHECK(model.shapes.size() == model.config.n_layers);
    return ShapeBuilder(model, n_layers).finish();
}

}  // namespace rafter::model
