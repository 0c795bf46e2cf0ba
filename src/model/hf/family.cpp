// Finding a family: by its own name, by an outer model's name, or as one that is refused.
#include "model/hf/family.h"

#include <utility>

#include "model/hf/family_tables.h"

namespace rafter::model::hf {
namespace {

// Models of several parts, and others whose text model is of a known family.
constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"gemma3", "gemma3_text"},
    {"gemma3n", "gemma3n_text"},
    {"gemma4", "gemma4_text"},
    {"gemma4_unified", "gemma4_text"},
    {"paligemma", "gemma"},
    {"shieldgemma2", "gemma3_text"},
    {"llama4", "llama4_text"},
    {"mllama", "mllama_text_model"},
    {"llava", "llama"},
    {"llava_next", "llama"},
    {"llava_next_video", "llama"},
    {"llava_onevision", "qwen2"},
    {"llava_qwen2", "qwen2"},
    {"llava_llama", "llama"},
    {"vipllava", "llama"},
    {"mistral3", "mistral"},
    {"pixtral_text", "mistral"},
    {"voxtral", "llama"},
    {"qwen2_vl", "qwen2"},
    {"qwen2_vl_text", "qwen2"},
    {"qwen2_5_vl", "qwen2"},
    {"qwen2_5_vl_text", "qwen2"},
    {"qwen2_audio", "qwen2"},
    {"qwen2_5_omni", "qwen2"},
    {"qwen2_5_omni_thinker", "qwen2"},
    {"qwen2_5_omni_text", "qwen2"},
    {"qwen3_vl", "qwen3"},
    {"qwen3_vl_text", "qwen3"},
    {"qwen3_vl_moe", "qwen3_moe"},
    {"qwen3_vl_moe_text", "qwen3_moe"},
    {"qwen3_omni_moe", "qwen3_moe"},
    {"qwen3_omni_moe_thinker", "qwen3_moe"},
    {"qwen3_omni_moe_text", "qwen3_moe"},
    {"qwen3_5", "qwen3_5_text"},
    {"qwen3_5_moe", "qwen3_5_moe_text"},
    {"idefics2", "mistral"},
    {"idefics3", "llama"},
    {"smolvlm", "llama"},
    {"aya_vision", "cohere2"},
    {"cohere2_vision", "cohere2"},
    {"internvl", "qwen2"},
    {"internvl_chat", "qwen2"},
    {"granite_speech", "granite"},
    {"emu3", "llama"},
    {"glm4v", "glm4"},
    {"glm4v_text", "glm4"},
    {"glm4v_moe", "glm4_moe"},
    {"glm4v_moe_text", "glm4_moe"},
    {"deepseek_vl", "llama"},
    {"deepseek_vl_v2", "deepseek_v2"},
    {"kimi_vl", "deepseek_v3"},
    {"kimi_k25", "deepseek_v3"},
    {"ernie4_5_vl_moe", "ernie4_5_moe"},
    {"lfm2_vl", "lfm2"},
    {"ovis", "qwen2"},
    {"minicpmv", "qwen2"},
    {"minicpmo", "qwen2"},
    {"phi3_v", "phi3"},
    {"phi4_multimodal", "phi3"},
    {"phi4mm", "phi3"},
    {"phi-msft", "phi"},
    {"code_llama", "llama"},
    {"yi", "llama"},
    {"aquila", "llama"},
    {"ernie4_5_moe_text", "ernie4_5_moe"},
    {"hunyuan", "hunyuan_v1_moe"},
    {"hunyuan_dense", "hunyuan_v1_dense"},
    {"minimax_text_01", "minimax"},
    {"minimax_m1", "minimax"},
    {"minimax-m2", "minimax_m2"},
    {"gpt_neox_japanese", "gpt_neox"},
    {"refinedweb", "falcon"},
    {"refinedwebmodel", "falcon"},
    {"deepseek_r1", "deepseek_v3"},
    {"decilm", "deci"},
};

// Those that generate no text from a growing cache of their own.
constexpr std::pair<std::string_view, const char*> kRefused[] = {
    {"bert", "an encoder"},
    {"roberta", "an encoder"},
    {"distilbert", "an encoder"},
    {"albert", "an encoder"},
    {"electra", "an encoder"},
    {"deberta", "an encoder"},
    {"deberta-v2", "an encoder"},
    {"camembert", "an encoder"},
    {"xlm-roberta", "an encoder"},
    {"xlm-roberta-xl", "an encoder"},
    {"xlm", "an encoder"},
    {"modernbert", "an encoder"},
    {"eurobert", "an encoder"},
    {"nomic_bert", "an encoder"},
    {"new", "an encoder"},
    {"mpnet", "an encoder"},
    {"big_bird", "an encoder"},
    {"longformer", "an encoder"},
    {"funnel", "an encoder"},
    {"squeezebert", "an encoder"},
    {"mobilebert", "an encoder"},
    {"ernie", "an encoder"},
    {"esm", "an encoder"},
    {"layoutlm", "an encoder"},
    {"layoutlmv2", "an encoder"},
    {"layoutlmv3", "an encoder"},
    {"jina_embeddings_v3", "an encoder"},
    {"megatron-bert", "an encoder"},
    {"xlnet", "an encoder"},
    {"clip", "an encoder of images and text"},
    {"siglip", "an encoder of images and text"},
    {"siglip2", "an encoder of images and text"},
    {"vit", "an encoder of images"},
    {"dinov2", "an encoder of images"},
    {"swin", "an encoder of images"},
    {"wav2vec2", "an encoder of sound"},
    {"hubert", "an encoder of sound"},
    {"t5", "an encoder with a decoder"},
    {"mt5", "an encoder with a decoder"},
    {"umt5", "an encoder with a decoder"},
    {"longt5", "an encoder with a decoder"},
    {"t5gemma", "an encoder with a decoder"},
    {"t5gemma2", "an encoder with a decoder"},
    {"switch_transformers", "an encoder with a decoder"},
    {"bart", "an encoder with a decoder"},
    {"mbart", "an encoder with a decoder"},
    {"pegasus", "an encoder with a decoder"},
    {"blenderbot", "an encoder with a decoder"},
    {"blenderbot-small", "an encoder with a decoder"},
    {"marian", "an encoder with a decoder"},
    {"m2m_100", "an encoder with a decoder"},
    {"nllb-moe", "an encoder with a decoder"},
    {"led", "an encoder with a decoder"},
    {"prophetnet", "an encoder with a decoder"},
    {"fsmt", "an encoder with a decoder"},
    {"encoder-decoder", "an encoder with a decoder"},
    {"whisper", "an encoder of sound with a decoder"},
    {"seamless_m4t", "an encoder of sound with a decoder"},
    {"speech_to_text", "an encoder of sound with a decoder"},
    {"moonshine", "an encoder of sound with a decoder"},
    {"vision-encoder-decoder", "an encoder of images with a decoder"},
};

}  // namespace

std::string_view resolved_type(std::string_view type) {
    for (const auto& [alias, known] : kAliases) {
        if (type == alias) return known;
    }
    return type;
}

const Family* find_family(std::string_view type) {
    const std::string_view own = resolved_type(type);
    for (const auto& table : {dense_families(), expert_families(), state_families()}) {
        for (const Family& family : table) {
            if (own == family.type) return &family;
        }
    }
    return nullptr;
}

std::vector<std::string> known_types() {
    std::vector<std::string> types;
    for (const auto& table : {dense_families(), expert_families(), state_families()}) {
        for (const Family& family : table) types.emplace_back(family.type);
    }
    for (const auto& [alias, known] : kAliases) types.emplace_back(alias);
    return types;
}

const char* refusal_of(std::string_view type) {
    for (const auto& [refused, why] : kRefused) {
        if (type == refused) return why;
    }
    return nullptr;
}

}  // namespace rafter::model::hf
