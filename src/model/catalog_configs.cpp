// Models of the catalog whose layers differ in kind or width: each by its config.json (huggingface.co/REPOSITORY), as plan reads any other.
#include "model/catalog_configs.h"

#include "base/check.h"
#include "model/hf_config.h"

namespace rafter::model {
namespace {

struct ConfigRow {
    const char* name;
    const char* source;
    double parameters;  // of Hugging Face's own class for this config (tests/model/hf/count.py)
    const char* config;
};

constexpr ConfigRow kRows[] = {
    {"Llama-3-8B", "meta-llama/Meta-Llama-3-8B", 8030261248,
     R"({"model_type":"llama","hidden_size":4096,"intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,
"num_key_value_heads":8,"vocab_size":128256,"max_position_embeddings":8192})"},
    {"Llama-3.3-70B", "meta-llama/Llama-3.3-70B-Instruct", 70553706496,
     R"({"model_type":"llama","hidden_size":8192,"intermediate_size":28672,"num_hidden_layers":80,"num_attention_heads":64,
"num_key_value_heads":8,"vocab_size":128256,"max_position_embeddings":131072})"},
    {"Llama-4-Scout", "meta-llama/Llama-4-Scout-17B-16E, its text model", 107769861120,
     R"({"model_type":"llama4_text","hidden_size":5120,"intermediate_size":8192,"intermediate_size_mlp":16384,"num_hidden_layers":48,
"interleave_moe_layer_step":1,"num_attention_heads":40,"num_key_value_heads":8,"head_dim":128,"num_local_experts":16,
"num_experts_per_tok":1,"vocab_size":202048,"max_position_embeddings":10485760,"attention_chunk_size":8192})"},
    {"Llama-4-Maverick", "meta-llama/Llama-4-Maverick-17B-128E, its text model", 400711848960,
     R"({"model_type":"llama4_text","hidden_size":5120,"intermediate_size":8192,"intermediate_size_mlp":16384,"num_hidden_layers":48,
"interleave_moe_layer_step":2,"num_attention_heads":40,"num_key_value_heads":8,"head_dim":128,"num_local_experts":128,
"num_experts_per_tok":1,"vocab_size":202048,"max_position_embeddings":1048576,"attention_chunk_size":8192})"},
    {"DeepSeek-R1", "deepseek-ai/DeepSeek-R1, without its module for a second token", 671026404352,
     R"({"model_type":"deepseek_v3","max_position_embeddings":163840,
"quantization_config":{"quant_method":"fp8","weight_block_size":[128,128]}})"},
    {"DeepSeek-V3.2", "deepseek-ai/DeepSeek-V3.2, without its module for a second token", 671877929216,
     R"({"model_type":"deepseek_v32","max_position_embeddings":163840,
"quantization_config":{"quant_method":"fp8","weight_block_size":[128,128]}})"},
    {"Kimi-K2", "moonshotai/Kimi-K2-Instruct", 1026408209408,
     R"({"model_type":"kimi_k2","hidden_size":7168,"intermediate_size":18432,"moe_intermediate_size":2048,"num_hidden_layers":61,
"num_attention_heads":64,"num_key_value_heads":64,"n_routed_experts":384,"n_shared_experts":1,"num_experts_per_tok":8,
"first_k_dense_replace":1,"vocab_size":163840,"max_position_embeddings":131072,"num_nextn_predict_layers":0,
"quantization_config":{"quant_method":"fp8","weight_block_size":[128,128]}})"},
    {"Qwen3-Next-80B-A3B", "Qwen/Qwen3-Next-80B-A3B-Instruct", 79674391296,
     R"({"model_type":"qwen3_next","hidden_size":2048,"intermediate_size":5120,"num_hidden_layers":48,"max_position_embeddings":262144})"},
    {"Qwen3.6-35B-A3B", "Qwen/Qwen3.6-35B-A3B, its text model", 34660610688,
     R"({"model_type":"qwen3_5_moe_text","max_position_embeddings":262144,"mamba_ssm_dtype":"float32"})"},
    {"GLM-4.5", "zai-org/GLM-4.5, without its module for a second token", 352797814784,
     R"({"model_type":"glm4_moe","hidden_size":5120,"intermediate_size":12288,"moe_intermediate_size":1536,"num_hidden_layers":92,
"num_attention_heads":96,"num_key_value_heads":8,"head_dim":128,"attention_bias":true,"n_routed_experts":160,"n_shared_experts":1,
"num_experts_per_tok":8,"first_k_dense_replace":3,"vocab_size":151552,"use_qk_norm":true,"max_position_embeddings":131072})"},
    {"GLM-4.5-Air", "zai-org/GLM-4.5-Air, without its module for a second token", 106852245504,
     R"({"model_type":"glm4_moe","hidden_size":4096,"intermediate_size":10944,"moe_intermediate_size":1408,"num_hidden_layers":46,
"num_attention_heads":96,"num_key_value_heads":8,"head_dim":128,"attention_bias":true,"n_routed_experts":128,"n_shared_experts":1,
"num_experts_per_tok":8,"first_k_dense_replace":1,"vocab_size":151552,"use_qk_norm":false,"max_position_embeddings":131072})"},
    {"GLM-4.6", "zai-org/GLM-4.6, without its module for a second token", 352797814784,
     R"({"model_type":"glm4_moe","hidden_size":5120,"intermediate_size":12288,"moe_intermediate_size":1536,"num_hidden_layers":92,
"num_attention_heads":96,"num_key_value_heads":8,"head_dim":128,"attention_bias":true,"n_routed_experts":160,"n_shared_experts":1,
"num_experts_per_tok":8,"first_k_dense_replace":3,"vocab_size":151552,"use_qk_norm":true,"max_position_embeddings":202752})"},
    {"Mistral-Small-3", "mistralai/Mistral-Small-24B-Instruct-2501", 23572403200,
     R"({"model_type":"mistral","hidden_size":5120,"intermediate_size":32768,"num_hidden_layers":40,"num_attention_heads":32,
"num_key_value_heads":8,"head_dim":128,"vocab_size":131072,"max_position_embeddings":32768,"sliding_window":null})"},
    {"Gemma-4-31B", "google/gemma-4-31B-it, its text model", 30697345280,
     R"({"model_type":"gemma4_text","hidden_size":5376,"intermediate_size":21504,"num_hidden_layers":60,"num_attention_heads":32,
"num_key_value_heads":16,"num_global_key_value_heads":4,"attention_k_eq_v":true,"hidden_size_per_layer_input":0,"sliding_window":1024,
"max_position_embeddings":262144})"},
    {"Gemma-4-26B-A4B", "google/gemma-4-26B-A4B-it, its text model", 25233141760,
     R"({"model_type":"gemma4_text","hidden_size":2816,"intermediate_size":2112,"num_hidden_layers":30,"num_attention_heads":16,
"num_key_value_heads":8,"num_global_key_value_heads":2,"attention_k_eq_v":true,"enable_moe_block":true,"num_experts":128,
"top_k_experts":8,"moe_intermediate_size":704,"hidden_size_per_layer_input":0,"sliding_window":1024,"max_position_embeddings":262144})"},
};

}  // namespace

std::vector<CatalogModel> models_by_config() {
    std::vector<CatalogModel> models;
    for (const ConfigRow& row : kRows) {
        const nlohmann::json json = nlohmann::json::parse(row.config);
        auto described = read_hf_config(json, row.name, {.names_defaults = false});
        RAFTER_CHECK(described, "{}", row.name);
        described->source = row.source;
        models.push_back({.model = std::move(*described), .published_parameters = row.parameters});
    }
    return models;
}

}  // namespace rafter::model
