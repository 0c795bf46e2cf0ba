// build(): the one program builder of all architectures. What a family adds or leaves out is a field of its config.
#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "model/program.h"

namespace rafter::model {
namespace {

// Appends ops to a program; every method returns the value that its op makes.
class Builder {
  public:
    explicit Builder(const ModelConfig& config) : c_(config) { program_.config = config; }

    Program finish() && {
        ValueId x = embed();
        for (std::uint32_t layer = 0; layer < c_.n_layers; ++layer) {
            layer_ = layer;
            prefix_ = fmt::format("blk.{}.", layer);
            x = attention_block(x);
            const ValueId input = c_.tensors.no_ffn_norm ? attention_input_ : norm(x, c_.tensors.ffn_norm, c_.d_model);
            const ValueId y = c_.layers[layer].moe ? expert_block(input) : dense_block(input);
            x = finish_block(x, y, "post_ffw_norm", "ffn_residual");
        }
        prefix_.clear();
        head(x);
        group_layers_by_window();
        return std::move(program_);
    }

  private:
    ValueId value(std::string_view name, RowKind rows, std::uint32_t width) {
        program_.values.push_back({.name = prefix_ + std::string(name), .rows = rows, .width = width});
        return static_cast<ValueId>(program_.values.size() - 1);
    }
    WeightId weight(Weight w) {
        w.tensor = prefix_ + w.tensor;
        program_.weights.push_back(std::move(w));
        return static_cast<WeightId>(program_.weights.size() - 1);
    }
    WeightId vector(std::string_view tensor, std::uint32_t n) {
        return weight({.tensor = std::string(tensor), .kind = WeightKind::kVector, .n_cols = n});
    }
    [[nodiscard]] RowKind rows_of(ValueId v) const { return program_.values[v].rows; }
    [[nodiscard]] std::uint32_t width_of(ValueId v) const { return program_.values[v].width; }

    void emit(OpKind kind, std::string_view name, std::vector<ValueId> inputs, std::vector<ValueId> outputs, std::vector<WeightId> weights,
              OpOptions options) {
        program_.ops.push_back({.kind = kind,
                                .name = prefix_ + std::string(name),
                                .inputs = std::move(inputs),
                                .outputs = std::move(outputs),
                                .weights = std::move(weights),
                                .options = std::move(options),
                                .parts = {}});
    }

    ValueId embed() {
        const ValueId x = value("embedding", RowKind::kTokens, c_.d_model);
        const WeightId table = weight({.tensor = "token_embd.weight",
                                       .kind = WeightKind::kEmbedding,
                                       .n_rows = c_.n_vocab,
                                       .n_cols = c_.d_model,
                                       .n_source_rows = c_.n_vocab});
        emit(OpKind::kEmbed, "token_embd", {}, {x}, {table}, EmbedOptions{.scale = c_.embedding_scale});
        if (c_.n_positions == 0) return x;
        const ValueId place = value("position", RowKind::kTokens, c_.d_model);
        const WeightId places = weight({.tensor = "position_embd.weight",
                                        .kind = WeightKind::kEmbedding,
                                        .n_rows = c_.n_positions,
                                        .n_cols = c_.d_model,
                                        .n_source_rows = c_.n_positions});
        emit(OpKind::kEmbedPosition, "position_embd", {}, {place}, {places}, EmbedOptions{});
        return add(x, place, "add_position");
    }

    ValueId norm(ValueId x, std::string_view name, std::uint32_t group) {
        const ValueId y = value(name, rows_of(x), width_of(x));
        emit(c_.tensors.norm_bias ? OpKind::kLayerNorm : OpKind::kRmsNorm, name, {x}, {y}, {vector(fmt::format("{}.weight", name), group)},
             NormOptions{.epsilon = c_.norm_epsilon, .group = group});
        return c_.tensors.norm_bias ? add_bias(y, name) : y;
    }

    // Rows [first_row, first_row + n_rows) of the tensor `tensor`, which has n_source_rows.
    struct Rows {
        std::uint32_t n_rows, first_row, n_source_rows;
    };
    ValueId linear(ValueId x, std::string_view name, std::string_view tensor, Rows rows) {
        // What multiplies the last hidden states is the head: only some of them get logits.
        const RowKind made = rows_of(x) == RowKind::kHidden ? RowKind::kOutputs : rows_of(x);
        const ValueId y = value(name, made, rows.n_rows);
        const WeightId w = weight({.tensor = fmt::format("{}.weight", tensor),
                                   .kind = WeightKind::kMatrix,
                                   .n_rows = rows.n_rows,
                                   .n_cols = width_of(x),
                                   .first_row = rows.first_row,
                                   .n_source_rows = rows.n_source_rows});
        emit(OpKind::kLinear, name, {x}, {y}, {w}, {});
        return y;
    }
    ValueId linear(ValueId x, std::string_view name, std::uint32_t n_rows) { return linear(x, name, name, {n_rows, 0, n_rows}); }

    ValueId add_bias(ValueId x, std::string_view name) {
        const ValueId y = value(fmt::format("{}+bias", name), rows_of(x), width_of(x));
        emit(OpKind::kAddBias, fmt::format("{}.bias", name), {x}, {y}, {vector(fmt::format("{}.bias", name), width_of(x))}, {});
        return y;
    }

    ValueId rope(ValueId x, std::string_view name) {
        const ValueId y = value(name, rows_of(x), width_of(x));
        emit(OpKind::kRope, name, {x}, {y}, {}, RopeOptions{.table = c_.layers[layer_].rope_table, .head_dim = c_.head_dim});
        return y;
    }

    ValueId add(ValueId a, ValueId b, std::string_view name) {
        const ValueId y = value(name, rows_of(a), width_of(a));
        emit(OpKind::kAdd, name, {a, b}, {y}, {}, {});
        return y;
    }

    ValueId activate(ValueId gate, ValueId up) {
        const ValueId y = value("ffn_act", rows_of(gate), width_of(gate));
        emit(OpKind::kGatedActivation, "ffn_act", {gate, up}, {y}, {}, ActivationOptions{.activation = c_.activation});
        return y;
    }

    // What a block adds to the residual.
    ValueId finish_block(ValueId x, ValueId y, std::string_view post_norm, std::string_view name) {
        if (c_.tensors.post_norms) y = norm(y, post_norm, c_.d_model);
        return add(x, y, name);
    }

    ValueId attention_block(ValueId x) {
        attention_input_ = norm(x, "attn_norm", c_.d_model);
        ValueId y = c_.mla.kv_lora_rank > 0 ? latent_attention(attention_input_) : attention(attention_input_);
        y = linear(y, "attn_output", c_.d_model);
        if (c_.tensors.output_bias) y = add_bias(y, "attn_output");
        return finish_block(x, y, "post_attention_norm", "attn_residual");
    }

    ValueId attend(ValueId q, std::uint32_t n_kv_heads, std::uint32_t head_dim, std::uint32_t out_width) {
        const ValueId y = value("attention", RowKind::kTokens, out_width);
        std::vector<WeightId> sinks;
        if (c_.tensors.sinks) sinks.push_back(vector("attn_sinks.weight", c_.n_heads));
        emit(c_.mla.kv_lora_rank > 0 ? OpKind::kLatentAttention : OpKind::kAttention, "attention", {q}, {y}, std::move(sinks),
             AttentionOptions{.layer = layer_,
                              .n_heads = c_.n_heads,
                              .n_kv_heads = n_kv_heads,
                              .head_dim = head_dim,
                              .window = c_.layers[layer_].window,
                              .scale = c_.attention_scale,
                              .softcap = c_.attention_softcap});
        return y;
    }

    // The form in which the query is brought into the latent's space and attends to the cache as one shared head: attn_k_b and attn_v_b
    // are each head's half of what would make keys and values of a latent.
    ValueId latent_attention(ValueId input) {
        const MlaConfig& m = c_.mla;
        const std::uint32_t q_width = c_.n_heads * (m.nope_head_dim + m.rope_head_dim);
        ValueId q = input;
        if (m.q_lora_rank > 0) q = norm(linear(q, "attn_q_a", m.q_lora_rank), "attn_q_a_norm", m.q_lora_rank);
        q = linear(q, m.q_lora_rank > 0 ? "attn_q_b" : "attn_q", q_width);
        ValueId latent = linear(input, "attn_kv_a_mqa", m.kv_lora_rank + m.rope_head_dim);
        latent = norm(latent, "attn_kv_a_norm", m.kv_lora_rank);
        q = rope(q, "rope_q");
        latent = rope(latent, "rope_k");
        emit(OpKind::kLatentAppend, "kv_append", {latent}, {}, {}, CacheOptions{.layer = layer_});
        q = linear_by_head(q, "attn_k_b", m.nope_head_dim, m.kv_lora_rank);
        const ValueId y = attend(q, 1, m.kv_lora_rank + m.rope_head_dim, c_.n_heads * m.kv_lora_rank);
        return linear_by_head(y, "attn_v_b", m.kv_lora_rank, m.value_head_dim);
    }
    // One matrix [n_out, n_in] a head, stacked.
    ValueId linear_by_head(ValueId x, std::string_view name, std::uint32_t n_in, std::uint32_t n_out) {
        const std::uint32_t n_rows = c_.n_heads * n_out;
        const ValueId y = value(name, RowKind::kTokens, n_rows);
        const WeightId w = weight({.tensor = fmt::format("{}.weight", name),
                                   .kind = WeightKind::kMatrix,
                                   .n_rows = n_rows,
                                   .n_cols = n_in,
                                   .n_source_rows = n_rows});
        emit(OpKind::kLinearByHead, name, {x}, {y}, {w}, {});
        return y;
    }

    ValueId attention(ValueId input) {
        const std::uint32_t q_width = c_.n_heads * c_.head_dim;
        const std::uint32_t kv_width = c_.n_kv_heads * c_.head_dim;
        ValueId q, k, v;
        if (c_.tensors.fused_qkv) {
            const std::uint32_t all = q_width + 2 * kv_width;
            q = linear(input, "attn_q", "attn_qkv", {q_width, 0, all});
            k = linear(input, "attn_k", "attn_qkv", {kv_width, q_width, all});
            v = linear(input, "attn_v", "attn_qkv", {kv_width, q_width + kv_width, all});
        } else {
            q = linear(input, "attn_q", q_width);
            k = linear(input, "attn_k", kv_width);
            v = linear(input, "attn_v", kv_width);
        }
        if (c_.tensors.qkv_bias) {
            q = add_bias(q, "attn_q");
            k = add_bias(k, "attn_k");
            v = add_bias(v, "attn_v");
        }
        if (c_.tensors.qk_norm) {
            q = norm(q, "attn_q_norm", c_.head_dim);
            k = norm(k, "attn_k_norm", c_.head_dim);
        }
        if (c_.n_positions == 0) {
            q = rope(q, "rope_q");
            k = rope(k, "rope_k");
        }
        emit(OpKind::kKvAppend, "kv_append", {k, v}, {}, {}, CacheOptions{.layer = layer_});
        return attend(q, c_.n_kv_heads, c_.head_dim, q_width);
    }

    ValueId biased(ValueId x, std::string_view name) { return c_.tensors.ffn_bias ? add_bias(x, name) : x; }

    ValueId dense_block(ValueId input) {
        if (!c_.gated_ffn) {
            const ValueId up = biased(linear(input, "ffn_up", c_.d_ff), "ffn_up");
            const ValueId act = value("ffn_act", RowKind::kTokens, c_.d_ff);
            emit(OpKind::kActivation, "ffn_act", {up}, {act}, {}, ActivationOptions{.activation = c_.activation});
            return biased(linear(act, "ffn_down", c_.d_model), "ffn_down");
        }
        ValueId gate, up;
        if (c_.tensors.fused_gate_up) {
            gate = linear(input, "ffn_gate", "ffn_up", {c_.d_ff, 0, 2 * c_.d_ff});
            up = linear(input, "ffn_up", "ffn_up", {c_.d_ff, c_.d_ff, 2 * c_.d_ff});
        } else {
            gate = linear(input, "ffn_gate", c_.d_ff);
            up = linear(input, "ffn_up", c_.d_ff);
        }
        gate = biased(gate, "ffn_gate");
        up = biased(up, "ffn_up");
        return biased(linear(activate(gate, up), "ffn_down", c_.d_model), "ffn_down");
    }

    // The experts that every token passes.
    ValueId shared_experts(ValueId input) {
        const ValueId gate = linear(input, "ffn_gate_shexp", c_.moe.d_ff_shared);
        const ValueId up = linear(input, "ffn_up_shexp", c_.moe.d_ff_shared);
        return linear(activate(gate, up), "ffn_down_shexp", c_.d_model);
    }

    ValueId expert_linear(ValueId x, ValueId routing, std::string_view name, std::uint32_t n_rows) {
        const ValueId y = value(name, RowKind::kSlots, n_rows);
        const WeightId w = weight({.tensor = fmt::format("{}.weight", name),
                                   .kind = WeightKind::kExperts,
                                   .n_experts = c_.moe.n_experts,
                                   .n_rows = n_rows,
                                   .n_cols = width_of(x),
                                   .n_source_rows = n_rows});
        emit(OpKind::kExpertLinear, name, {x, routing}, {y}, {w}, {});
        return y;
    }

    ValueId add_expert_bias(ValueId x, ValueId routing, std::string_view name) {
        if (!c_.tensors.expert_bias) return x;
        const ValueId y = value(fmt::format("{}+bias", name), RowKind::kSlots, width_of(x));
        const WeightId bias = weight(
            {.tensor = fmt::format("{}.bias", name), .kind = WeightKind::kVectors, .n_experts = c_.moe.n_experts, .n_cols = width_of(x)});
        emit(OpKind::kAddExpertBias, fmt::format("{}.bias", name), {x, routing}, {y}, {bias}, {});
        return y;
    }

    ValueId expert_block(ValueId input) {
        ValueId scores = linear(input, "ffn_gate_inp", c_.moe.n_experts);
        if (c_.tensors.expert_bias) scores = add_bias(scores, "ffn_gate_inp");
        const ValueId routing = value("routing", RowKind::kTokens, 2 * c_.moe.n_experts_used);
        emit(OpKind::kRoute, "route", {scores}, {routing}, {},
             RouteOptions{
                 .n_experts_used = c_.moe.n_experts_used, .scoring = c_.moe.scoring, .normalize_weights = c_.moe.normalize_weights});
        ValueId gate = expert_linear(input, routing, "ffn_gate_exps", c_.moe.d_ff_expert);
        ValueId up = expert_linear(input, routing, "ffn_up_exps", c_.moe.d_ff_expert);
        gate = add_expert_bias(gate, routing, "ffn_gate_exps");
        up = add_expert_bias(up, routing, "ffn_up_exps");
        ValueId down = expert_linear(activate(gate, up), routing, "ffn_down_exps", c_.d_model);
        down = add_expert_bias(down, routing, "ffn_down_exps");
        const ValueId y = value("ffn_experts", RowKind::kTokens, c_.d_model);
        emit(OpKind::kCombineExperts, "ffn_experts", {down, routing}, {y}, {}, {});
        return c_.moe.d_ff_shared > 0 ? add(y, shared_experts(input), "add_shared_experts") : y;
    }

    void head(ValueId x) {
        const ValueId chosen = value("outputs", RowKind::kHidden, c_.d_model);
        emit(OpKind::kSelectOutputs, "select_outputs", {x}, {chosen}, {}, {});
        program_.hidden = norm(chosen, "output_norm", c_.d_model);
        program_.logits = linear(program_.hidden, "output", c_.tied_embeddings ? "token_embd" : "output", {c_.n_vocab, 0, c_.n_vocab});
        if (c_.logit_softcap == 0.0F) return;
        const ValueId capped = value("output_softcap", RowKind::kOutputs, c_.n_vocab);
        emit(OpKind::kSoftcap, "output_softcap", {program_.logits}, {capped}, {}, SoftcapOptions{.cap = c_.logit_softcap});
        program_.logits = capped;
    }

    void group_layers_by_window() {
        for (std::uint32_t layer = 0; layer < c_.n_layers; ++layer) {
            CacheGroup* group = nullptr;
            for (CacheGroup& g : program_.cache_groups) {
                if (g.window == c_.layers[layer].window) group = &g;
            }
            if (group == nullptr) group = &program_.cache_groups.emplace_back(CacheGroup{.window = c_.layers[layer].window, .layers = {}});
            group->layers.push_back(layer);
        }
    }

    const ModelConfig& c_;
    Program program_;
    std::uint32_t layer_ = 0;
    ValueId attention_input_ = 0;  // this layer's, normed
    std::string prefix_;           // "blk.3.", or nothing outside the layers
};

}  // namespace

Program build(const ModelConfig& config) {
    RAFTER_CHECK(config.layers.size() == config.n_layers && !config.rope_tables.empty());
    return Builder(config).finish();
}

const char* to_string(OpKind kind) {
    switch (kind) {
        case OpKind::kEmbed:
            return "embed";
        case OpKind::kEmbedPosition:
            return "embed_position";
        case OpKind::kRmsNorm:
            return "rms_norm";
        case OpKind::kLayerNorm:
            return "layer_norm";
        case OpKind::kLinear:
            return "linear";
        case OpKind::kLinearByHead:
            return "linear_by_head";
        case OpKind::kAddBias:
            return "add_bias";
        case OpKind::kRope:
            return "rope";
        case OpKind::kKvAppend:
            return "kv_append";
        case OpKind::kLatentAppend:
            return "latent_append";
        case OpKind::kAttention:
            return "attention";
        case OpKind::kLatentAttention:
            return "latent_attention";
        case OpKind::kAdd:
            return "add";
        case OpKind::kGatedActivation:
            return "gated_activation";
        case OpKind::kSelectOutputs:
            return "select_outputs";
        case OpKind::kSoftcap:
            return "softcap";
        case OpKind::kRoute:
            return "route";
        case OpKind::kExpertLinear:
            return "expert_linear";
        case OpKind::kAddExpertBias:
            return "add_expert_bias";
        case OpKind::kCombineExperts:
            return "combine_experts";
        case OpKind::kActivation:
            return "activation";
        case OpKind::kAttentionScores:
            return "attention_scores";
        case OpKind::kSoftmax:
            return "softmax";
        case OpKind::kAttentionValues:
            return "attention_values";
        case OpKind::kQuantize:
            return "quantize";
        case OpKind::kObserve:
            return "observe";
        case OpKind::kFusedRows:
            return "fused_rows";
    }
    return "?";
}

bool is_row_local(OpKind kind) {
    switch (kind) {
        case OpKind::kEmbed:
        case OpKind::kEmbedPosition:
        case OpKind::kRmsNorm:
        case OpKind::kLayerNorm:
        case OpKind::kAddBias:
        case OpKind::kRope:
        case OpKind::kKvAppend:
        case OpKind::kLatentAppend:
        case OpKind::kAdd:
        case OpKind::kGatedActivation:
        case OpKind::kActivation:
        case OpKind::kSelectOutputs:
        case OpKind::kSoftcap:
        case OpKind::kRoute:
        case OpKind::kAddExpertBias:
        case OpKind::kCombineExperts:
        case OpKind::kQuantize:
            return true;
        case OpKind::kLinear:
        case OpKind::kLinearByHead:
        case OpKind::kExpertLinear:
        case OpKind::kAttention:
        case OpKind::kLatentAttention:
        case OpKind::kAttentionScores:
        case OpKind::kSoftmax:
        case OpKind::kAttentionValues:
        case OpKind::kObserve:
        case OpKind::kFusedRows:
            return false;
    }
    return false;
}

}  // namespace rafter::model
