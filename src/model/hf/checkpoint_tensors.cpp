// The rules: one line a tensor, by family.
#include "model/hf/checkpoint_tensors.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/quote.h"

namespace rafter::model::hf {
namespace {

using tensor::DType;

// FP8 weights times their scales, as BF16: on tiny random models the largest error of a logit is 0.2 to 0.6% of their range, where Q8_0
// gives 0.9 to 1.7%. --weights Q8_0 holds them in 8 bits all the same.
constexpr DType kFp8HeldAs = DType::kBF16;

std::optional<DType> number_type(std::string_view name) {
    if (name == "F32") return DType::kF32;
    if (name == "F16") return DType::kF16;
    if (name == "BF16") return DType::kBF16;
    return std::nullopt;
}

struct Rule {
    std::uint64_t rotated_head_dim = 0;
    float add = 0.0F;
    bool as_f32 = false;
};

class Translator {
  public:
    Translator(const CheckpointConfig& config, const FindStored& find) : c_(config), find_(find) {}

    Result<std::vector<TranslatedTensor>> run() {
        for (const char* prefix : {"model.", "model.language_model.", "language_model.model.", ""}) {
            prefix_ = prefix;
            if (find_(prefix_ + "embed_tokens.weight") != nullptr) break;
        }
        const float norm = gemma() ? 1.0F : 0.0F;
        RAFTER_TRY_VOID(add("token_embd.weight", prefix_ + "embed_tokens.weight", {}));
        RAFTER_TRY_VOID(add("output_norm.weight", prefix_ + "norm.weight", {.add = norm}));
        const std::string head = prefix_.starts_with("language_model.") ? "language_model.lm_head.weight" : "lm_head.weight";
        if (c_.tied_embeddings) {
            static_cast<void>(find_(head));  // the embedding's copy
        } else {
            RAFTER_TRY_VOID(add("output.weight", head, {}));
        }
        for (std::uint32_t i = 0; i < c_.n_layers; ++i) RAFTER_TRY_VOID(add_layer(i));
        return std::move(tensors_);
    }

  private:
    [[nodiscard]] bool gemma() const { return c_.architecture == "gemma2" || c_.architecture == "gemma3"; }

    Result<const StoredTensor*> stored(const std::string& name) {
        const StoredTensor* found = find_(name);
        if (found == nullptr) return bad_input("{}: expected this tensor in the folder, found no such tensor", quote(name));
        return found;
    }

    Result<StoredPart> fp8_part(const StoredTensor& weight, const std::string& module) {
        const StoredTensor* scale = find_(module + ".weight_scale_inv");
        if (scale == nullptr) scale = find_(module + ".weight_scale");
        if (scale == nullptr) return bad_input("{}: expected a scale ({}.weight_scale), found none", quote(weight.tensor.name), module);
        const auto type = number_type(scale->tensor.dtype);
        const auto& shape = scale->tensor.shape;
        if (!type || shape.size() > 2) return bad_input("{}: expected scales of F32, F16 or BF16, found others", quote(scale->tensor.name));
        const std::uint64_t n_rows = shape.empty() ? 1 : shape[0];
        const std::uint64_t n_cols = shape.size() == 2 ? shape[1] : 1;
        const std::uint64_t rows = weight.tensor.shape[0];
        const std::uint64_t cols = weight.tensor.shape[1];
        StoredPart part{.data = weight.data, .scales = {}, .fp8_scales = {}};
        // A block is 128 x 128 where there are fewer scales than rows.
        const auto block = [](std::uint64_t n, std::uint64_t n_scales) -> std::uint64_t {
            if (n_scales == 1) return n;
            if (n_scales == n) return 1;
            return (n + 127) / 128 == n_scales ? 128 : 0;
        };
        part.scale_block_rows = block(rows, n_rows);
        part.scale_block_cols = block(cols, n_cols);
        if (part.scale_block_rows == 0 || part.scale_block_cols == 0) {
            return bad_input("{}: expected scales of the tensor, its rows or blocks of 128 x 128, found [{}]", quote(scale->tensor.name),
                             fmt::join(shape, ", "));
        }
        part.n_scale_cols = n_cols;
        for (std::uint64_t i = 0; i < n_rows * n_cols; ++i) part.fp8_scales.push_back(float_at(*type, scale->data.data(), i));
        return part;
    }

    // [n_rows, n_cols] or [n] of one tensor, or of several that are stacked.
    Result<void> add_stacked(std::string name, const std::vector<std::string>& from, const Rule& rule) {
        TranslatedTensor t{.name = std::move(name), .shape = {}, .recipe = {}};
        RowRecipe& r = t.recipe;
        std::string dtype;
        for (const std::string& source : from) {
            RAFTER_TRY(const StoredTensor* const s, stored(source));
            const auto& shape = s->tensor.shape;
            if (shape.empty() || shape.size() > 2 || std::ranges::find(shape, 0U) != shape.end()) {
                return bad_input("{}: expected a vector or a matrix, found [{}]", quote(source), fmt::join(shape, ", "));
            }
            if (r.parts.empty()) {
                t.shape = shape;
                dtype = s->tensor.dtype;
            } else if (shape != t.shape || dtype != s->tensor.dtype) {
                return bad_input("{}: expected {} [{}] as in {}, found {} [{}]", quote(source), dtype, fmt::join(t.shape, ", "),
                                 quote(from.front()), s->tensor.dtype, fmt::join(shape, ", "));
            }
            const std::string module = source.substr(0, source.rfind('.'));
            if (dtype == "F8_E4M3" && shape.size() == 2) {
                RAFTER_TRY(StoredPart part, fp8_part(*s, module));
                r.stored = Stored::kFp8;
                r.parts.push_back(std::move(part));
                continue;
            }
            const auto type = number_type(dtype);
            if (!type) return bad_input("{}: expected F32, F16, BF16 or F8_E4M3 with scales, found {}", quote(source), dtype);
            if (source.ends_with(".weight") &&
                (find_(module + ".weight_scale") != nullptr || find_(module + ".weight_scale_inv") != nullptr)) {
                return bad_input("{}: expected F8_E4M3 beside scales, found {}", quote(source), dtype);
            }
            r.stored_type = *type;
            r.parts.push_back({.data = s->data, .scales = {}, .fp8_scales = {}});
        }
        const bool vector = t.shape.size() == 1;
        r.rows_per_part = vector ? 1 : t.shape[0];
        r.n_cols = r.row_stride = t.shape.back();
        r.add = rule.add;
        r.dtype = r.stored_type;
        if (vector || rule.as_f32) r.dtype = DType::kF32;
        if (r.stored == Stored::kFp8) r.dtype = kFp8HeldAs;
        if (rule.rotated_head_dim != 0) {
            const std::uint64_t n = t.shape[0];
            if (n % rule.rotated_head_dim != 0) {
                return bad_input("{}: expected rows in heads of {}, found {}", quote(from.front()), rule.rotated_head_dim, n);
            }
            r.rotated_head_dim = rule.rotated_head_dim;
            if (vector) {  // made at load, as a column: each element is a row
                r.rows_per_part = n;
                r.n_cols = r.row_stride = 1;
            }
        }
        if (from.size() > 1 || t.name.find("_exps.") != std::string::npos) t.shape.insert(t.shape.begin(), from.size());
        tensors_.push_back(std::move(t));
        return {};
    }

    Result<void> add(std::string name, const std::string& from, const Rule& rule) { return add_stacked(std::move(name), {from}, rule); }

    Result<void> add_layer(std::uint32_t i) {
        const std::string to = fmt::format("blk.{}.", i);
        const std::string from = fmt::format("{}layers.{}.", prefix_, i);
        const float norm = gemma() ? 1.0F : 0.0F;
        RAFTER_TRY_VOID(add(to + "attn_norm.weight", from + "input_layernorm.weight", {.add = norm}));
        const bool renamed = gemma() || c_.type == "gpt_oss";
        RAFTER_TRY_VOID(add(to + (renamed ? "post_attention_norm.weight" : "ffn_norm.weight"), from + "post_attention_layernorm.weight",
                            {.add = norm}));
        if (gemma()) {
            RAFTER_TRY_VOID(add(to + "ffn_norm.weight", from + "pre_feedforward_layernorm.weight", {.add = norm}));
            RAFTER_TRY_VOID(add(to + "post_ffw_norm.weight", from + "post_feedforward_layernorm.weight", {.add = norm}));
        }
        RAFTER_TRY_VOID(add_attention(to, from + "self_attn.", norm));
        if (c_.type == "gpt_oss") return add_gpt_oss_experts(to, from + "mlp.");
        if (c_.n_experts != 0) return add_experts(to, from);
        if (c_.type == "phi3") {
            RAFTER_TRY_VOID(add(to + "ffn_up.weight", from + "mlp.gate_up_proj.weight", {}));
        } else {
            RAFTER_TRY_VOID(add(to + "ffn_gate.weight", from + "mlp.gate_proj.weight", {}));
            RAFTER_TRY_VOID(add(to + "ffn_up.weight", from + "mlp.up_proj.weight", {}));
        }
        return add(to + "ffn_down.weight", from + "mlp.down_proj.weight", {});
    }

    Result<void> add_attention(const std::string& to, const std::string& from, float norm) {
        const std::uint64_t rotated = c_.architecture == "llama" ? c_.head_dim : 0;
        if (c_.type == "phi3") {
            RAFTER_TRY_VOID(add(to + "attn_qkv.weight", from + "qkv_proj.weight", {}));
        } else {
            for (const std::string_view x : {"q", "k", "v"}) {
                const Rule rule{.rotated_head_dim = x == "v" ? 0 : rotated};
                RAFTER_TRY_VOID(add(fmt::format("{}attn_{}.weight", to, x), fmt::format("{}{}_proj.weight", from, x), rule));
                if (c_.qkv_bias) RAFTER_TRY_VOID(add(fmt::format("{}attn_{}.bias", to, x), fmt::format("{}{}_proj.bias", from, x), rule));
            }
        }
        RAFTER_TRY_VOID(add(to + "attn_output.weight", from + "o_proj.weight", {}));
        if (c_.output_bias) RAFTER_TRY_VOID(add(to + "attn_output.bias", from + "o_proj.bias", {}));
        if (c_.type == "gpt_oss") RAFTER_TRY_VOID(add(to + "attn_sinks.weight", from + "sinks", {}));
        if (c_.architecture == "qwen3" || c_.architecture == "qwen3moe" || c_.architecture == "gemma3") {
            RAFTER_TRY_VOID(add(to + "attn_q_norm.weight", from + "q_norm.weight", {.add = norm}));
            RAFTER_TRY_VOID(add(to + "attn_k_norm.weight", from + "k_norm.weight", {.add = norm}));
        }
        return {};
    }

    Result<void> add_experts(const std::string& to, const std::string& from) {
        const bool mixtral = c_.type == "mixtral";
        const std::string block = from + (mixtral ? "block_sparse_moe." : "mlp.");
        RAFTER_TRY_VOID(add(to + "ffn_gate_inp.weight", block + "gate.weight", {.as_f32 = true}));
        const char* const names[3][2] = {
            {"gate", mixtral ? "w1" : "gate_proj"}, {"up", mixtral ? "w3" : "up_proj"}, {"down", mixtral ? "w2" : "down_proj"}};
        for (const auto& [ours, theirs] : names) {
            std::vector<std::string> experts;
            for (std::uint32_t e = 0; e < c_.n_experts; ++e) experts.push_back(fmt::format("{}experts.{}.{}.weight", block, e, theirs));
            RAFTER_TRY_VOID(add_stacked(fmt::format("{}ffn_{}_exps.weight", to, ours), experts, {}));
        }
        return {};
    }

    // A tensor of [n_experts, ...] whose rows or columns of gate and up alternate.
    Result<void> add_fused(const std::string& name, const std::string& from, std::uint64_t n_phases, std::uint64_t phase) {
        TranslatedTensor t{.name = name, .shape = {}, .recipe = {}};
        RowRecipe& r = t.recipe;
        const std::uint64_t n_experts = c_.n_experts;
        const bool bias = from.ends_with("_bias");
        const StoredTensor* numbers = find_(from);
        const StoredTensor* const blocks = numbers == nullptr && !bias ? find_(from + "_blocks") : nullptr;
        if (blocks == nullptr) RAFTER_TRY_VOID(stored(from));
        const StoredTensor& s = blocks != nullptr ? *blocks : *numbers;
        const std::vector<std::uint64_t>& shape = s.tensor.shape;
        const auto wrong = [&] {
            return bad_input("{}: expected {} experts, found {} [{}]", quote(s.tensor.name), n_experts, s.tensor.dtype,
                             fmt::join(shape, ", "));
        };
        const std::size_t n_dims = blocks != nullptr ? 4 : bias ? 2 : 3;
        if (shape.size() != n_dims || shape[0] != n_experts || std::ranges::find(shape, 0U) != shape.end()) return wrong();
        std::uint64_t n_out = 0;
        if (blocks != nullptr) {
            const StoredTensor* const scales = find_(from + "_scales");
            const std::vector<std::uint64_t> expected{shape[0], shape[1], shape[2]};
            if (scales == nullptr || scales->tensor.shape != expected || scales->tensor.dtype != "U8") {
                return bad_input("{}_scales: expected U8 [{}], found others", quote(from), fmt::join(expected, ", "));
            }
            if (s.tensor.dtype != "U8" || shape[3] != 16) return wrong();
            r.stored = Stored::kMxfp4;
            r.dtype = DType::kMXFP4;
            n_out = shape[1];
            r.n_cols = shape[2] * 32;
            r.row_stride = n_phases * r.n_cols;
            r.first_element = phase * r.n_cols;
            for (std::uint64_t e = 0; e < n_experts; ++e) {
                const std::uint64_t n = shape[1] * shape[2];
                r.parts.push_back({.data = s.data.subspan(e * n * 16, n * 16), .scales = scales->data.subspan(e * n, n), .fp8_scales = {}});
            }
        } else {
            const auto type = number_type(s.tensor.dtype);
            if (!type) return wrong();
            r.stored_type = *type;
            r.dtype = bias ? DType::kF32 : *type;
            n_out = bias ? shape[1] : shape[2];
            r.n_cols = bias ? n_out / n_phases : shape[1];
            r.row_stride = n_phases;
            r.column_stride = bias ? n_phases : n_out;
            r.first_element = phase;
            const std::uint64_t bytes = s.data.size() / n_experts;
            for (std::uint64_t e = 0; e < n_experts; ++e) {
                r.parts.push_back({.data = s.data.subspan(e * bytes, bytes), .scales = {}, .fp8_scales = {}});
            }
        }
        if (n_out % n_phases != 0) return wrong();
        r.rows_per_part = bias ? 1 : n_out / n_phases;
        t.shape = {n_experts, n_out / n_phases};
        if (!bias) t.shape.push_back(r.n_cols);
        tensors_.push_back(std::move(t));
        return {};
    }

    Result<void> add_gpt_oss_experts(const std::string& to, const std::string& from) {
        RAFTER_TRY_VOID(add(to + "ffn_gate_inp.weight", from + "router.weight", {.as_f32 = true}));
        RAFTER_TRY_VOID(add(to + "ffn_gate_inp.bias", from + "router.bias", {}));
        for (const std::string_view end : {"", "_bias"}) {
            const std::string_view kind = end.empty() ? ".weight" : ".bias";
            RAFTER_TRY_VOID(
                add_fused(fmt::format("{}ffn_gate_exps{}", to, kind), fmt::format("{}experts.gate_up_proj{}", from, end), 2, 0));
            RAFTER_TRY_VOID(add_fused(fmt::format("{}ffn_up_exps{}", to, kind), fmt::format("{}experts.gate_up_proj{}", from, end), 2, 1));
            RAFTER_TRY_VOID(add_fused(fmt::format("{}ffn_down_exps{}", to, kind), fmt::format("{}experts.down_proj{}", from, end), 1, 0));
        }
        return {};
    }

    const CheckpointConfig& c_;
    const FindStored& find_;
    std::string prefix_;
    std::vector<TranslatedTensor> tensors_;
};

}  // namespace

Result<std::vector<TranslatedTensor>> translate_tensors(const CheckpointConfig& config, const FindStored& find) {
    return Translator(config, find).run();
}

std::optional<TranslatedTensor> untranslated(const StoredTensor& stored) {
    const auto type = number_type(stored.tensor.dtype);
    const auto& shape = stored.tensor.shape;
    if (!type || std::ranges::find(shape, 0U) != shape.end()) return std::nullopt;
    TranslatedTensor t{.name = stored.tensor.name, .shape = shape, .recipe = {}};
    if (t.shape.empty()) t.shape.push_back(1);
    RowRecipe& r = t.recipe;
    r.stored_type = r.dtype = *type;
    r.parts.push_back({.data = stored.data, .scales = {}, .fp8_scales = {}});
    r.n_cols = r.row_stride = t.shape.back();
    r.rows_per_part = 1;
    for (std::size_t i = 0; i + 1 < t.shape.size(); ++i) r.rows_per_part *= t.shape[i];
    return t;
}

}  // namespace rafter::model::hf
