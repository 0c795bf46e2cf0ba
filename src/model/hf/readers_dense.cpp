// Families of attention and feed-forward without experts.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "model/hf/decoder.h"
#include "model/hf/readers.h"

namespace rafter::model::hf {
namespace {

void learn_positions(Reading& r, std::uint32_t beside) {
    r.m.config.n_positions = r.m.config.n_context + beside;
    r.attention.no_rope = true;
}

std::uint32_t rounded_up(double n, std::uint32_t unit) { return static_cast<std::uint32_t>(std::ceil(n / unit) * unit); }

}  // namespace

void read_gpt2(Reading& r) { learn_positions(r, 0); }

void read_gpt_neo(Reading& r) {
    learn_positions(r, 0);
    const std::uint32_t window = r.keys.uint({"window_size"}, 256);
    auto kinds = r.keys.words_per_layer("attention_layers", r.m.config.n_layers);
    (void)r.keys.find("attention_types");
    for (std::uint32_t i = 0; i < r.m.config.n_layers; ++i) {
        const bool local = kinds.size() == r.m.config.n_layers ? kinds[i] == "local" : i % 2 == 1;
        r.kinds[i] = local ? "local" : "global";
    }
    r.window = window;
}

void read_opt(Reading& r) {
    learn_positions(r, 2);
    ModelConfig& c = r.m.config;
    const std::uint32_t width = r.keys.uint({"word_embed_proj_dim"}, c.d_model);
    if (width != c.d_model) {
        r.m.outer.d_embedding = width;
        r.m.outer.projections = {{"model.decoder.project_in", c.d_model, width}, {"model.decoder.project_out", width, c.d_model}};
    }
    if (!r.keys.flag("do_layer_norm_before", true)) r.m.outer.last_norm = false;
}

void read_bloom(Reading& r) { r.m.outer.n_vector = 2.0 * r.m.config.d_model; }

// 7B: one key head, one norm; 40B and later: groups and two norms; RW: heads as in GPT-3.
void read_falcon(Reading& r) {
    Keys& k = r.keys;
    const ModelConfig& c = r.m.config;
    const bool is_new = k.flag("new_decoder_architecture");
    const bool side_by_side = k.flag("parallel_attn", true);
    const bool bias = k.flag("bias");
    const bool one_head = k.flag("multi_query", true);
    const std::uint32_t groups = k.uint({"num_kv_heads", "num_key_value_heads"}, c.n_heads);
    r.attention.n_kv_heads = is_new ? groups : one_head ? 1 : c.n_heads;
    r.m.config.n_kv_heads = r.attention.n_kv_heads;
    r.attention.qkv_bias = r.attention.output_bias = r.dense.bias = bias;
    r.attention.no_rope = k.flag("alibi");
    const std::uint32_t n_norms = k.uint({"num_ln_in_parallel_attn"}, is_new ? 2 : 1);
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, "full_attention", false);
        s.norms = !side_by_side ? NormPlaces::kBefore : n_norms == 2 ? NormPlaces::kTwiceParallel : NormPlaces::kOnce;
        r.m.shapes.push_back(std::move(s));
    }
}

void read_mpt(Reading& r) {
    const auto attention = r.keys.object("attn_config");
    ModelConfig& c = r.m.config;
    const double ratio = r.keys.number("expansion_ratio", 4);
    r.dense.d_ff = c.d_ff = static_cast<std::uint32_t>(std::clamp(ratio, 0.0, 1024.0) * c.d_model);
    (void)r.keys.flag("no_bias", true);
    if (!attention) return;
    const auto kv = attention->find_uint("kv_n_heads", 1, c.n_heads);
    if (kv && *kv) r.attention.n_kv_heads = c.n_kv_heads = **kv;
    const auto alibi = attention->find_bool("alibi");
    if (alibi && *alibi && !**alibi) learn_positions(r, 0);
}

void read_phi(Reading& r) {
    if (r.keys.flag("qk_layernorm")) r.attention.qk_norm = QkNorm::kHeadBiased;
}

void read_stablelm(Reading& r) {
    const ModelConfig& c = r.m.config;
    const bool side_by_side = r.keys.flag("use_parallel_residual");
    const bool qk_norm = r.keys.flag("qk_layernorm");
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, "full_attention", false);
        s.norms = side_by_side ? NormPlaces::kOnce : NormPlaces::kBefore;
        if (qk_norm) s.n_vector = (double{1} * c.n_heads + c.n_kv_heads) * c.head_dim;
        r.m.shapes.push_back(std::move(s));
    }
}

void read_cohere(Reading& r) {
    if (!r.keys.flag("use_qk_norm")) return;
    r.attention.qk_norm = QkNorm::kRow;
}

void read_apertus(Reading& r) {
    for (std::uint32_t i = 0; i < r.m.config.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, r.kinds[i], false);
        s.n_vector = 2;  // of xIELU
        r.m.shapes.push_back(std::move(s));
    }
}

void read_chatglm(Reading& r) {
    if (!r.keys.flag("multi_query_attention")) r.attention.n_kv_heads = r.m.config.n_kv_heads = r.m.config.n_heads;
    const bool bias = r.keys.flag("add_bias_linear");
    r.attention.output_bias = r.dense.bias = bias;
    r.attention.qkv_bias = bias || r.keys.flag("add_qkv_bias");
}

// The file's width is that of gate and up together.
void read_qwen1(Reading& r) { r.dense.d_ff = r.m.config.d_ff = r.m.config.d_ff / 2; }

// As read_qwen1; 128 more rows of the table are kept apart, and the file says nothing of the vision tower.
void read_molmo(Reading& r) {
    ModelConfig& c = r.m.config;
    r.dense.d_ff = c.d_ff = c.d_ff / 2;
    if (r.experts && !r.keys.has("moe_intermediate_size")) r.experts->d_ff /= 2;
    if (r.keys.flag("attention_layer_norm")) r.attention.qk_norm = QkNorm::kRow;
    r.m.outer.tables.push_back({"new_token_embd", 128, c.d_model});
}

void read_mllama(Reading& r) {
    const ModelConfig& c = r.m.config;
    const auto crossing = r.keys.layer_numbers("cross_attention_layers", c.n_layers);
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, "full_attention", false);
        if (std::ranges::find(crossing, i) != crossing.end()) {
            s.attention->crosses = s.attention->no_rope = true;
            s.attention->qk_norm = QkNorm::kHead;
            s.n_vector = 2;
        }
        r.m.shapes.push_back(std::move(s));
    }
    r.m.outer.tables.push_back({"image_token_embd", 8, c.d_model});
    r.m.notes.emplace_back("layers that attend to images keep keys and values of each image's patches; those are not counted");
}

// Models cut by architecture search: each layer has its own number of key heads and width, or lacks a part.
void read_nas(Reading& r) {
    ModelConfig& c = r.m.config;
    const auto kv = r.keys.uints_per_layer("num_key_value_heads_per_layer", c.n_layers);
    const nlohmann::json* blocks = r.keys.find("block_configs");
    const bool has_width = r.keys.has("intermediate_size");
    if (blocks != nullptr && (!blocks->is_array() || blocks->size() != c.n_layers)) {
        r.keys.fail(bad_input("{}: block_configs: expected a list of {} objects, one a layer, found {}", r.keys.reader().where(),
                              c.n_layers, blocks->is_array() ? std::to_string(blocks->size()) : "no list"));
        return;
    }
    if (blocks == nullptr && kv.empty()) {
        r.keys.fail(bad_input("{}: block_configs: expected a list with a value a layer, found no such key", r.keys.reader().where()));
        return;
    }
    std::set<std::string> unseen;
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, "full_attention", false);
        if (i < kv.size() && kv[i] > 0) s.attention->n_kv_heads = kv[i];
        if (blocks != nullptr && !(*blocks)[i].is_object()) {
            r.keys.fail(bad_input("{}: block_configs: expected objects, found {}", r.keys.reader().where(), shown_json((*blocks)[i])));
            return;
        }
        if (blocks != nullptr) {
            const nlohmann::json& block = (*blocks)[i];
            const nlohmann::json attention = block.value("attention", nlohmann::json::object());
            const nlohmann::json ffn = block.value("ffn", nlohmann::json::object());
            const auto is_on = [](const nlohmann::json& part, const char* key) {
                return part.is_object() && part.contains(key) && part[key].is_boolean() && part[key].get<bool>();
            };
            const auto number = [](const nlohmann::json& part, const char* key) {
                return part.is_object() && part.contains(key) && part[key].is_number() ? part[key].get<double>() : 0.0;
            };
            if (is_on(attention, "replace_with_linear")) s.extra.push_back({"self_attn.linear_attn", c.d_model, c.d_model});
            if (is_on(attention, "no_op") || is_on(attention, "replace_with_linear")) s.attention.reset();
            for (const char* key : {"window_length", "sparsify", "num_sink_tokens", "unshifted_sink", "llama4"}) {
                if (attention.is_object() && attention.contains(key) && !attention[key].is_null() && attention[key] != false)
                    unseen.insert(key);
            }
            for (const char* key : {"sparsify", "moe"}) {
                if (ffn.is_object() && ffn.contains(key) && !ffn[key].is_null()) unseen.insert(key);
            }
            const double group = number(attention, "n_heads_in_group");
            if (group > c.n_heads) {
                r.keys.fail(bad_input("{}: block_configs: n_heads_in_group: expected at most the {} heads, found {}",
                                      r.keys.reader().where(), c.n_heads, group));
                return;
            }
            if (s.attention && group >= 1 && group <= c.n_heads) s.attention->n_kv_heads = c.n_heads / static_cast<std::uint32_t>(group);
            const double own_heads = number(attention, "num_key_value_heads");
            if (s.attention && own_heads >= 1 && own_heads <= c.n_heads) s.attention->n_kv_heads = static_cast<std::uint32_t>(own_heads);
            const double multiple = std::clamp(number(ffn, "ffn_mult"), 0.0, 1024.0);
            const double width = std::clamp(number(ffn, "intermediate_size"), 0.0, 1e8);
            if (multiple > 0) s.dense->d_ff = rounded_up(std::floor(2 * multiple * c.d_model / 3), 256);
            if (width > 0) s.dense->d_ff = static_cast<std::uint32_t>(width);
            if (is_on(ffn, "replace_with_linear")) s.extra.push_back({"mlp.linear_mlp", c.d_model, c.d_model});
            if (is_on(ffn, "no_op") || is_on(ffn, "replace_with_linear")) s.dense.reset();
            if (s.dense && multiple <= 0 && width <= 0 && !has_width) {
                r.keys.fail(bad_input("{}: block_configs: layer {}: expected ffn_mult or intermediate_size, found neither",
                                      r.keys.reader().where(), i));
                return;
            }
        }
        r.m.shapes.push_back(std::move(s));
    }
    for (const std::string& key : unseen) {
        r.m.assumed.push_back("block_configs has values of " + key + ", which are not priced: those layers are planned without");
    }
    for (const LayerShape& s : r.m.shapes) {
        if (!s.attention) continue;
        c.n_kv_heads = r.attention.n_kv_heads = s.attention->n_kv_heads;
        break;
    }
}

void read_openelm(Reading& r) {
    ModelConfig& c = r.m.config;
    const auto q = r.keys.uints("num_query_heads", c.n_layers);
    const auto kv = r.keys.uints("num_kv_heads", c.n_layers);
    const nlohmann::json* multipliers = r.keys.find("ffn_multipliers");
    const std::uint32_t unit = std::max(1U, r.keys.uint({"ffn_dim_divisor"}, 256));
    if (q.size() != c.n_layers || kv.size() != c.n_layers || multipliers == nullptr || multipliers->size() != c.n_layers) {
        r.keys.fail(bad_input("{}: num_query_heads: expected a list with a value a layer", r.keys.reader().where()));
        return;
    }
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, "full_attention", false);
        s.attention->n_heads = q[i];
        s.attention->n_kv_heads = kv[i];
        const double multiple = (*multipliers)[i].is_number() ? std::clamp((*multipliers)[i].get<double>(), 0.0, 64.0) : 0.0;
        s.dense->d_ff = rounded_up(std::floor(multiple * c.d_model - unit / 2.0), unit);
        const double wanted = multiple * c.d_model;
        s.dense->d_ff = std::max(unit, static_cast<std::uint32_t>(wanted + unit / 2.0) / unit * unit);
        if (s.dense->d_ff < 0.9 * wanted) s.dense->d_ff += unit;
        r.m.shapes.push_back(std::move(s));
    }
    c.n_heads = q.front();
    c.n_kv_heads = kv.front();
    r.attention.n_heads = c.n_heads;
    r.attention.n_kv_heads = c.n_kv_heads;
}

// Several residual streams (AltUp), a low-rank branch (Laurel) and an embedding a layer; the last layers read the caches of earlier ones.
void read_gemma3n(Reading& r) {
    Keys& k = r.keys;
    ModelConfig& c = r.m.config;
    const auto widths = k.uints("intermediate_size", c.n_layers);
    const std::uint32_t d_layer = k.uint({"hidden_size_per_layer_input"}, 256);
    const std::uint32_t n_layer_vocab = k.uint({"vocab_size_per_layer_input"}, c.n_vocab);
    const std::uint32_t n_streams = std::clamp(k.uint({"altup_num_inputs"}, 4), 1U, 64U);
    const std::uint32_t rank = k.uint({"laurel_rank"}, 64);
    const std::uint32_t n_shared = k.uint({"num_kv_shared_layers"});
    (void)k.find("activation_sparsity_pattern");
    if (!widths.empty() && widths.size() != c.n_layers) {
        k.fail(bad_input("{}: intermediate_size: expected {} numbers, found {}", k.reader().where(), c.n_layers, widths.size()));
        return;
    }
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, r.kinds[i], false);
        if (!widths.empty()) s.dense->d_ff = widths[i];
        s.attention->shares_cache = i + n_shared >= c.n_layers;
        s.extra = {{"laurel.linear_left", rank, c.d_model},
                   {"laurel.linear_right", c.d_model, rank},
                   {"per_layer_input_gate", d_layer, c.d_model},
                   {"per_layer_projection", c.d_model, d_layer},
                   {"altup.modality_router", n_streams, c.d_model}};
        s.n_vector = 4.0 * c.d_model + n_streams * n_streams * (1.0 + n_streams);
        r.m.shapes.push_back(std::move(s));
    }
    if (!widths.empty()) c.d_ff = widths.front();
    r.m.outer.tables.push_back({"per_layer_token_embd", n_layer_vocab, c.n_layers * d_layer});
    r.m.outer.projections.push_back({"per_layer_model_projection", c.n_layers * d_layer, c.d_model});
    for (std::uint32_t i = 1; i < n_streams; ++i) {
        r.m.outer.projections.push_back({"altup_projections." + std::to_string(i), c.d_model, c.d_model});
        r.m.outer.projections.push_back({"altup_unembed_projections." + std::to_string(i), c.d_model, c.d_model});
    }
    r.m.outer.n_vector = d_layer;
}

// Full layers have heads of their own width and number; the last layers may read earlier caches; experts run beside the dense part.
void read_gemma4(Reading& r) {
    Keys& k = r.keys;
    ModelConfig& c = r.m.config;
    const std::uint32_t global_dim = k.uint({"global_head_dim"}, 512);
    const std::uint32_t global_kv = k.uint({"num_global_key_value_heads"});
    const bool same = k.flag("attention_k_eq_v");
    const std::uint32_t n_shared = k.uint({"num_kv_shared_layers"});
    const bool doubled = k.flag("use_double_wide_mlp");
    const bool has_experts = k.flag("enable_moe_block");
    const std::uint32_t d_layer = k.uint({"hidden_size_per_layer_input"}, 256);
    const std::uint32_t n_layer_vocab = k.uint({"vocab_size_per_layer_input"}, c.n_vocab);
    const nlohmann::json* own = k.find("per_layer_config");
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, i + 1 == c.n_layers ? "full_attention" : r.kinds[i], false);
        AttentionShape& a = *s.attention;
        if (a.window == 0) {
            a.head_dim = global_dim;
            if (same && global_kv > 0) a.n_kv_heads = global_kv;
            a.keys_are_values = same;
        }
        const std::string name = i < 10 ? "0" + std::to_string(i) : std::to_string(i);
        if (own != nullptr && own->is_object()) {
            for (const std::string& at : {name, std::to_string(i)}) {
                if (!own->contains(at) || !(*own)[at].is_object()) continue;
                const nlohmann::json& layer = (*own)[at];
                if (layer.contains("head_dim") && layer["head_dim"].is_number_unsigned())
                    a.head_dim = layer["head_dim"].get<std::uint32_t>();
                if (layer.contains("num_key_value_heads") && layer["num_key_value_heads"].is_number_unsigned())
                    a.n_kv_heads = layer["num_key_value_heads"].get<std::uint32_t>();
            }
        }
        a.shares_cache = i + n_shared >= c.n_layers;
        if (doubled && a.shares_cache) s.dense->d_ff *= 2;
        if (has_experts && r.experts) {
            s.experts = r.experts;
            s.n_vector += 4.0 * c.d_model + r.experts->n_experts;
        }
        if (d_layer > 0) {
            s.extra = {{"per_layer_input_gate", d_layer, c.d_model}, {"per_layer_projection", c.d_model, d_layer}};
            s.n_vector += c.d_model;
        }
        r.m.shapes.push_back(std::move(s));
    }
    if (d_layer == 0) return;
    r.m.outer.tables.push_back({"per_layer_token_embd", n_layer_vocab, c.n_layers * d_layer});
    r.m.outer.projections.push_back({"per_layer_model_projection", c.n_layers * d_layer, c.d_model});
    r.m.outer.n_vector = d_layer;
}

}  // namespace rafter::model::hf
