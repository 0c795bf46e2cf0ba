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

// The file's keys over the family's own. Outer keys that speak of the text model count where it has none of the kind.
nlohmann::json merged_keys(const Family& family, const nlohmann::json& outer, const nlohmann::json& text) {
    nlohmann::json merged = nlohmann::json::parse(family.defaults);
    if (&outer != &text && outer.contains("tie_word_embeddings")) merged["tie_word_embeddings"] = outer["tie_word_embeddings"];
    for (const auto& [key, value] : text.items()) merged[key] = value;
    return merged;
}

// Keys that speak of layers and that no reader asked for: a structure that the plan does not know of.
bool looks_like_structure(const std::string& key) {
    constexpr std::array kKnownHarmless{"block_size",
                                        "block_dim",
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
    for (const char* end : {"_pattern", "_period", "_freq", "_frequency", "_interval", "_offset", "_layers", "_layer_ids", "_layer_types",
                            "_layer_indices", "_per_layer", "_every_n_layers", "_block_types", "_chunk_size", "_configs", "_lora_rank",
                            "_kernel_size", "_state_size", "_ranks"}) {
        if (key.ends_with(end) && key != "quantization_config") return true;
    }
    for (const char* begin : {"moe_", "mamba_", "ssm_", "linear_", "layer_", "layers_", "block_", "num_experts", "n_experts", "expert_",
                              "conv_", "compress_", "index_", "hybrid_", "swa_", "global_", "cross_attention_"}) {
        if (key.starts_with(begin)) return true;
    }
    return false;
}

void say_unknown_structure(const hf::Keys& keys, const nlohmann::json& text, DescribedModel& m) {
    std::vector<std::string> unknown;
    for (const std::string& key : keys.reader().unknown_keys()) {
        if (!text.contains(key) || text[key].is_null() || !looks_like_structure(key)) continue;
        // What is switched off changes nothing.
        const nlohmann::json& value = text[key];
        if (value == false || value == 0 || (value.is_array() && value.empty())) continue;
        unknown.push_back(fmt::format("{} = {}", key, shown_json(value)));
    }
    if (!unknown.empty()) {
        m.assumed.push_back(
            fmt::format("unknown keys of {} that look like structure are ignored: {}", m.config.architecture, fmt::join(unknown, ", ")));
    }
}

void say_parts(const nlohmann::json& outer, DescribedModel& m) {
    std::vector<std::string> parts;
    for (const char* key : {"vision_config", "visual", "vit_config", "vision_tower_config", "audio_config", "audio_encoder",
                            "talker_config", "token2wav_config", "speech_config", "mm_vision_tower"}) {
        if (outer.contains(key) && !outer[key].is_null()) parts.emplace_back(key);
    }
    if (parts.empty()) return;
    m.assumed.push_back(fmt::format("only the text model is counted: the {} model of {} is left out",
                                    parts.front().find("audio") != std::string::npos ? "audio" : "vision", fmt::join(parts, ", ")));
}

void read_dtype(const nlohmann::json& outer, const nlohmann::json& text, DescribedModel& m) {
    std::string type;
    for (const nlohmann::json* json : {&text, &outer}) {
        for (const char* key : {"torch_dtype", "dtype"}) {
            if (const std::string found = string_at(*json, key); !found.empty()) type = found;
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

}  // namespace

Result<DescribedModel> read_hf_config(const nlohmann::json& json, std::string_view name, const HfOptions& options) {
    RAFTER_TRY(const JsonReader outer_keys, JsonReader::open(json, std::string(name)));
    RAFTER_TRY(const auto outer_type, outer_keys.find_string("model_type"));
    const nlohmann::json* inner = text_config(json);
    const nlohmann::json& text = inner != nullptr ? *inner : json;
    std::string type = inner != nullptr ? string_at(text, "model_type") : "";
    if (type.empty() || (hf::find_family(type) == nullptr && outer_type)) type = outer_type.value_or(type);
    const std::string architecture = first_architecture(json);
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
    say_unknown_structure(keys, text, m);
    say_parts(json, m);
    read_dtype(json, text, m);
    const nlohmann::json* quantization = nullptr;
    for (const nlohmann::json* from : {&text, &json}) {
        for (const char* key : {"compression_config", "quantization_config"}) {
            if (from->contains(key) && (*from)[key].is_object()) quantization = &(*from)[key];
        }
    }
    if (quantization != nullptr) RAFTER_TRY_VOID(hf::read_quantization(*quantization, fmt::format("{}: quantization_config", name), m));
    return m;
}

}  // namespace rafter::model
