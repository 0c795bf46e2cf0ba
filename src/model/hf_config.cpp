// Which family a file is of, its keys over that family's defaults, and what the answer must say first.
#include "model/hf_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/folded_name.h"
#include "base/quote.h"
#include "base/suggest.h"
#include "model/hf/decoder.h"
#include "model/hf/quantization_config.h"

namespace rafter::model {
namespace {

using hf::Family;

std::string string_at(const nlohmann::json& json, const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
}

// Where a model of several parts keeps its text model.
const nlohmann::json* text_config(const nlohmann::json& json) {
    for (const char* key : {"text_config", "llm_config", "language_config", "thinker_config", "text_model_config"}) {
        if (!json.contains(key) || !json[key].is_object()) continue;
        const nlohmann::json& inner = json[key];
        return key == std::string_view("thinker_config") && inner.contains("text_config") ? &inner["text_config"] : &inner;
    }
    return nullptr;
}

// "LlamaForCausalLM" of a file without model_type is "llama"; nothing where no family is called so.
std::string type_of_architecture(const std::string& architecture) {
    std::string wanted = architecture;
    for (const char* end : {"ForCausalLM", "LMHeadModel", "ForConditionalGeneration"}) {
        if (wanted.ends_with(end)) wanted.resize(wanted.size() - std::string_view(end).size());
    }
    if (wanted.empty() || wanted == architecture) return {};
    for (std::string& known : hf::known_types()) {
        if (folded_name(known) == folded_name(wanted)) return std::move(known);
    }
    return {};
}

std::string first_architecture(const nlohmann::json& json) {
    if (!json.contains("architectures") || !json["architectures"].is_array() || json["architectures"].empty()) return {};
    const nlohmann::json& first = json["architectures"].front();
    return first.is_string() ? first.get<std::string>() : std::string();
}

Error unknown_type(std::string_view name, const std::string& type) {
    if (type.empty()) {
        return bad_input("{}: model_type: expected a known type, found none. --assume llama (or another known type) plans it as one", name);
    }
    std::vector<std::pair<std::size_t, std::string>> near;
    for (std::string& known : hf::known_types()) {
        const std::size_t distance = edit_distance(type, known);
        near.emplace_back(distance, std::move(known));
    }
    std::ranges::stable_sort(near, {}, &std::pair<std::size_t, std::string>::first);
    std::vector<std::string> nearest;
    for (std::size_t i = 0; i < 3; ++i) nearest.push_back(near[i].second);
    return bad_input("{}: model_type: expected a known type, found {}; nearest: {}. --assume llama (or another known type) plans it as one",
                     name, quote(type), fmt::join(nearest, ", "));
}

// Names that readers take for one thing. A file that has one of them leaves nothing to the family's default of another.
constexpr std::array<std::array<const char*, 9>, 15> kSynonyms{{
    {"num_hidden_layers", "n_layer", "num_layers", "n_layers"},
    {"hidden_size", "n_embd", "d_model", "model_dim"},
    {"num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"},
    {"num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", "kv_n_heads"},
    {"head_dim", "attention_head_dim", "kv_channels"},
    {"intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "block_ff_dim"},
    {"vocab_size", "padded_vocab_size"},
    {"max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length", "model_max_length", "context_length"},
    {"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts", "n_experts"},
    {"num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", "moe_top_k", "moe_k", "top_k_experts",
     "num_selected_experts", "num_experts_per_topk"},
    {"moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size", "expert_intermediate_size"},
    {"n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"},
    {"first_k_dense_replace", "num_dense_layers", "moe_layer_start_index", "n_dense_layers"},
    {"sliding_window", "sliding_window_size", "attention_window_size"},
    {"hybrid_layer_ids", "layers_block_type"},
}};

void drop_synonyms(nlohmann::json& defaults, const nlohmann::json& text) {
    const auto is_said = [&](const char* name) { return name != nullptr && text.contains(name) && !text[name].is_null(); };
    for (const auto& names : kSynonyms) {
        if (std::ranges::none_of(names, is_said)) continue;
        for (const char* name : names) {
            if (name != nullptr) defaults.erase(name);
        }
    }
}

// The file's keys over the family's own. Outer keys that speak of the text model count where it has none of the kind.
nlohmann::json merged_keys(const Family& family, const nlohmann::json& outer, const nlohmann::json& text) {
    nlohmann::json merged = nlohmann::json::parse(family.defaults);
    drop_synonyms(merged, text);
    if (&outer != &text && outer.contains("tie_word_embeddings")) merged["tie_word_embeddings"] = outer["tie_word_embeddings"];
    for (const auto& [key, value] : text.items()) merged[key] = value;
    return merged;
}

// Keys that speak of layers and that no reader asked for: a structure that the plan does not know of.
bool looks_like_structure(const std::string& key) {
    constexpr std::array kKnownHarmless{"block_size",
                                        "block_dim",
                                        "embd_layer",
                                        "mtp_transformer_layers",
                                        "mamba_use_mlp",
                                        "block_mlp_init_scale",
                                        "block_norm_eps",
                                        "block_out_init_scale",
                                        "block_use_swiglu",
                                        "block_use_xavier_init",
                                        "conv_dim",
                                        "conv_dim_out",
                                        "conv_use_xavier_init",
                                        "global_rope_theta",
                                        "swa_rope_theta",
                                        "moe_router_load_balancing_type",
                                        "moe_dropout",
                                        "moe_softmax_before_topk",
                                        "expert_dropout",
                                        "num_experts_per_layer_input",
                                        "layer_switch",
                                        "linear_bias",
                                        "hybrid_attention_fusion",
                                        "layer_norm_eps",
                                        "layer_norm_epsilon",
                                        "layernorm_epsilon",
                                        "moe_router_dtype",
                                        "moe_aux_loss_coeff",
                                        "moe_renormalize",
                                        "moe_norm_min",
                                        "moe_layer_use_shared",
                                        "layerdrop",
                                        "mamba_chunk_size",
                                        "moe_router_topk_scaling_factor",
                                        "moe_loss_weight",
                                        "mamba_hidden_act",
                                        "layers_to_transform",
                                        "layer_norm_elementwise_affine",
                                        "mamba_norm_before_gate",
                                        "moe_z_loss_coeff",
                                        "moe_use_aux_free",
                                        "moe_capacity",
                                        "moe_gate",
                                        "moe_use_hard_gate",
                                        "moe_router_scaling_factor",
                                        "moe_routed_scaling_factor",
                                        "moe_router_activation_func",
                                        "moe_router_enable_expert_bias",
                                        "moe_shared_expert_overlap",
                                        "moe_group",
                                        "moe_router_logit_softcapping",
                                        "moe_apply_router_weight_on_input",
                                        "moe_train_capacity_factor",
                                        "moe_eval_capacity_factor",
                                        "moe_token_dropping",
                                        "moe_min_capacity",
                                        "moe_router_use_sigmoid",
                                        "moe_dropped_experts",
                                        "mamba_inner_layernorms",
                                        "mamba_act",
                                        "moe_use_aux_loss",
                                        "moe_layer_recurrence",
                                        "layer_rope_theta",
                                        "linear_attn_alpha_factor",
                                        "linear_attn_beta_factor",
                                        "layer_norm_type",
                                        "mamba_ssm_dtype",
                                        "moe_grouped_gemm",
                                        "moe_group_rank",
                                        "moe_loss_coef",
                                        "layer_scale_init_value",
                                        "mamba_scan_chunk_size",
                                        "use_mamba_kernels"};
    if (std::ranges::any_of(kKnownHarmless, [&](const char* known) { return key == known; })) return false;
    for (const char* end : {"_pattern",   "_period",      "_freq",          "_frequency",  "_interval",       "_offset",      "_layers",
                            "_layer_ids", "_layer_types", "_layer_indices", "_per_layer",  "_every_n_layers", "_block_types", "_chunk_size",
                            "_configs",   "_lora_rank",   "_kernel_size",   "_state_size", "_ranks",          "_layer"}) {
        if (key.ends_with(end) && key != "quantization_config") return true;
    }
    for (const char* begin : {"moe_", "mamba_", "ssm_", "linear_", "layer_", "layers_", "block_", "num_experts", "n_experts", "expert_",
                              "conv_", "compress_", "index_", "hybrid_", "swa_", "global_", "cross_attention_", "cross_decoder_"}) {
        if (key.starts_with(begin)) return true;
    }
    for (const char* part : {"_cla", "cla_", "share_kv", "kv_share", "recurren", "loop_", "_loops"}) {
        if (key.find(part) != std::string::npos) return true;
    }
    return false;
}

void say_unknown_structure(const hf::Keys& keys, const nlohmann::json& outer, const nlohmann::json& text, DescribedModel& m) {
    std::vector<std::string> unknown;
    for (const std::string& key : keys.reader().unknown_keys()) {
        if (!text.contains(key) || text[key].is_null() || !looks_like_structure(key)) continue;
        // What is switched off changes nothing.
        const nlohmann::json& value = text[key];
        if (value == false || value == 0 || (value.is_array() && value.empty())) continue;
        if (key.starts_with("mm_") || (key == "order_of_interleaved_layers" && value == "local_attn_first")) continue;
        unknown.push_back(fmt::format("{} = {}", key, shown_json(value)));
    }
    // Beside a text model, keys of images and sound abound: of those, what can speak of nothing else.
    for (auto at = outer.begin(); &outer != &text && at != outer.end(); ++at) {
        const std::string& key = at.key();
        const bool is_pattern = key.starts_with("moe_") || key.ends_with("_pattern") || key.ends_with("_period") || key.ends_with("_freq");
        if (is_pattern && looks_like_structure(key) && !text.contains(key) && !at.value().is_null() && at.value() != false) {
            unknown.push_back(fmt::format("{} = {}", key, shown_json(at.value())));
        }
    }
    if (!unknown.empty()) {
        m.assumed.push_back(
            fmt::format("unknown keys of {} that look like structure are ignored: {}", m.config.architecture, fmt::join(unknown, ", ")));
    }
}

void say_parts(const nlohmann::json& outer, DescribedModel& m) {
    constexpr std::array kVision{"vision_config", "visual",     "vit_config",  "vision_tower_config", "mm_vision_tower",
                                 "img_processor", "embd_layer", "vision_lora", "image_config",        "vision_tower"};
    constexpr std::array kAudio{"audio_config",  "audio_encoder", "talker_config",  "token2wav_config", "code2wav_config",
                                "speech_config", "tts_config",    "encoder_config", "audio_processor",  "speech_lora"};
    std::vector<std::string> parts;
    bool sees = false;
    bool hears = false;
    const nlohmann::json* thinker = outer.contains("thinker_config") ? &outer["thinker_config"] : nullptr;
    for (const nlohmann::json* from : {&outer, thinker}) {
        if (from == nullptr || !from->is_object()) continue;
        for (const char* key : kVision) {
            if (!from->contains(key) || (*from)[key].is_null()) continue;
            sees = true;
            parts.emplace_back(key);
        }
        for (const char* key : kAudio) {
            if (!from->contains(key) || (*from)[key].is_null()) continue;
            hears = true;
            parts.emplace_back(key);
        }
    }
    const std::string type = string_at(outer, "model_type");
    constexpr std::array kWithTowers{"phi3_v", "molmo", "minicpmv", "minicpmo", "ovis", "internvl_chat", "deepseek_vl", "kimi_vl"};
    if (parts.empty() && std::ranges::any_of(kWithTowers, [&](const char* known) { return type == known; })) {
        m.assumed.push_back(fmt::format("only the text model is counted: the vision model that {} has is left out", type));
    }
    if (parts.empty()) return;
    m.assumed.push_back(fmt::format("only the text model is counted: the {} model of {} is left out",
                                    sees && hears ? "vision and audio"
                                    : hears       ? "audio"
                                                  : "vision",
                                    fmt::join(parts, ", ")));
}

void read_dtype(const nlohmann::json& outer, const nlohmann::json& text, DescribedModel& m) {
    std::string type;
    for (const nlohmann::json* json : {&text, &outer}) {
        for (const char* key : {"torch_dtype", "dtype"}) {
            if (const std::string found = string_at(*json, key); !found.empty()) type = found;
        }
    }
    for (const nlohmann::json* json : {&text, &outer}) {
        for (const char* key : {"torch_dtype", "dtype"}) {
            if (!type.empty() || !json->contains(key) || (*json)[key].is_null() || (*json)[key].is_string()) continue;
            type = shown_json((*json)[key]);
        }
    }
    if (type.empty()) type = "bfloat16";
    struct Stored {
        const char* dtype;
        double bits;
        const char* name;
    };
    for (const Stored& s :
         {Stored{"float32", 32, "fp32"}, {"float16", 16, "fp16"}, {"bfloat16", 16, "bf16"}, {"float8_e4m3fn", 8, "fp8"}}) {
        if (type != s.dtype) continue;
        m.weight_bits = s.bits;
        m.weight_type = s.name;
        return;
    }
    m.assumed.push_back(fmt::format("unknown dtype {}: weights are priced at 16 bits", quote(type)));
}

// What every file of one model says, and this one leaves to the family's default. Files of several parts do so rightly.
void say_left_out(const Family& family, const nlohmann::json& text, DescribedModel& m) {
    const nlohmann::json defaults = nlohmann::json::parse(family.defaults);
    nlohmann::json needed = defaults;
    drop_synonyms(needed, text);
    std::vector<std::string> missing;
    for (const char* key : {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"}) {
        if (needed.contains(key) && !text.contains(key)) missing.push_back(fmt::format("{} = {}", key, shown_json(defaults[key])));
    }
    if (missing.empty()) return;
    m.assumed.push_back(fmt::format("the file lacks keys, and {}'s defaults stand in: {}", family.type, fmt::join(missing, ", ")));
}

// A width that the file takes away and nothing else gives.
Result<void> refuse_nulls(const Family& family, const nlohmann::json& text, std::string_view name) {
    nlohmann::json needed = nlohmann::json::parse(family.defaults);
    drop_synonyms(needed, text);
    for (const char* key : {"intermediate_size", "moe_intermediate_size", "num_experts_per_tok"}) {
        if (needed.contains(key) && text.contains(key) && text[key].is_null()) {
            return bad_input("{}: {}: expected a whole number, found null", name, key);
        }
    }
    return {};
}

// An encoder in a decoder's clothes, by the key that says so.
Result<void> refuse_encoders(const nlohmann::json& json, std::string_view name) {
    for (const auto& [key, value] : {std::pair{"use_bidirectional_attention", true}, {"is_encoder_decoder", true}, {"is_causal", false}}) {
        if (!json.contains(key) || json[key] != value) continue;
        return bad_input("{}: {} = {} is that of an encoder: expected a decoder", name, key, value);
    }
    return {};
}

// What the file's own architecture says against its model_type.
void say_architecture(const std::string& architecture, const Family& family, DescribedModel& m) {
    if (family.type == std::string_view("chatglm") || family.type == std::string_view("nemotron-nas")) return;
    if (architecture.ends_with("Model") && !architecture.ends_with("LMHeadModel")) {
        const std::string base = type_of_architecture(architecture.substr(0, architecture.size() - 5) + "ForCausalLM");
        if (base.empty()) return;
        m.assumed.push_back(
            fmt::format("architecture {} has no head: it gives embeddings, no text. Its head is not counted", architecture));
        m.config.tied_embeddings = true;
        return;
    }
    const std::string base = type_of_architecture(architecture);
    if (base.empty() || hf::resolved_type(base) == family.type || hf::find_family(base) == nullptr) return;
    m.assumed.push_back(fmt::format("architecture {} is that of {}: planned as {}, as model_type says", architecture, base, family.type));
}

}  // namespace

Result<DescribedModel> read_hf_config(const nlohmann::json& json, std::string_view name, const HfOptions& options) {
    RAFTER_TRY(const JsonReader outer_keys, JsonReader::open(json, std::string(name)));
    RAFTER_TRY(const auto outer_type, outer_keys.find_string("model_type"));
    const nlohmann::json* inner = text_config(json);
    const nlohmann::json& text = inner != nullptr ? *inner : json;
    std::string type = inner != nullptr ? string_at(text, "model_type") : "";
    if (inner != nullptr && type.empty()) type = type_of_architecture(first_architecture(text));
    if (const char* why = hf::refusal_of(type); why != nullptr && inner != nullptr && options.assume.empty()) {
        return bad_input("{}: model_type {} of its text model is {}: expected a decoder", name, quote(type), why);
    }
    const bool names_outer = outer_type && type.starts_with(*outer_type);  // "emu3_text_model" of "emu3"
    if (type.empty() || (hf::find_family(type) == nullptr && (names_outer || !outer_type || hf::find_family(*outer_type) == nullptr))) {
        type = outer_type.value_or(type);
    }
    const std::string architecture = first_architecture(json);
    if (type == "bailing_moe" && architecture == "BailingMoeV2ForCausalLM") type = "bailing_moe_v2";
    RAFTER_TRY_VOID(refuse_encoders(json, name));
    RAFTER_TRY_VOID(refuse_encoders(text, name));
    if (type.empty()) type = type_of_architecture(architecture);
    for (const char* head : {"ForSequenceClassification", "ForTokenClassification", "ForMaskedLM", "ForQuestionAnswering", "RewardModel"}) {
        if (!architecture.ends_with(head)) continue;
        const char* why = hf::refusal_of(type);
        return bad_input("{}: architecture {} is {}: expected a decoder", name, quote(architecture),
                         why != nullptr ? why : "no model that generates text");
    }
    for (const std::string& candidate : {type, outer_type.value_or("")}) {
        if (const char* why = hf::refusal_of(candidate)) {
            return bad_input("{}: model_type {} is {}: expected a decoder", name, quote(candidate), why);
        }
    }
    const Family* family = hf::find_family(options.assume.empty() ? type : options.assume);
    if (family == nullptr)
        return unknown_type(options.assume.empty() ? name : std::string_view("--assume"), options.assume.empty() ? type : options.assume);
    RAFTER_TRY_VOID(refuse_nulls(*family, text, name));
    const nlohmann::json merged = merged_keys(*family, json, text);
    RAFTER_TRY(JsonReader reader, JsonReader::open(merged, std::string(name)));
    hf::Keys keys(std::move(reader));
    RAFTER_TRY(DescribedModel m, hf::read_decoder(*family, keys, name));
    if (!options.assume.empty() && hf::resolved_type(type) != family->type) {
        const bool known = hf::find_family(type) != nullptr;
        m.assumed.insert(m.assumed.begin(),
                         fmt::format("planned as {}, as --assume says; its own model_type is {}{}", family->type,
                                     type.empty() ? "missing" : quote(type), known || type.empty() ? "" : ", which is not known"));
    }
    if (inner == nullptr && options.assume.empty()) say_architecture(architecture, *family, m);
    say_unknown_structure(keys, json, text, m);
    say_parts(json, m);
    read_dtype(json, text, m);
    const nlohmann::json* quantization = nullptr;
    for (const nlohmann::json* from : {&text, &json}) {
        for (const char* key : {"compression_config", "quantization_config"}) {
            if (!from->contains(key) || (*from)[key].is_null()) continue;
            if (!(*from)[key].is_object()) return bad_input("{}: {}: expected an object, found {}", name, key, shown_json((*from)[key]));
            if (!(*from)[key].empty()) quantization = &(*from)[key];
        }
        // Files of MLX may have no other.
        if (quantization == nullptr && from->contains("quantization") && (*from)["quantization"].is_object() &&
            (*from)["quantization"].contains("bits")) {
            quantization = &(*from)["quantization"];
        }
    }
    if (quantization != nullptr) RAFTER_TRY_VOID(hf::read_quantization(*quantization, fmt::format("{}: quantization_config", name), m));
    if (inner == nullptr && options.assume.empty() && options.names_defaults) say_left_out(*family, text, m);
    return m;
}

}  // namespace rafter::model
