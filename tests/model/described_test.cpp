// Models known by dimensions: plain ones, Hugging Face configs, the catalog's names.
#include <gtest/gtest.h>

#include "model/catalog.h"
#include "model/hf_config.h"
#include "model/model_json.h"

namespace rafter::model {
namespace {

Result<DescribedModel> plain(const std::string& text) {
    auto json = parse_json(text, "m.json");
    if (!json) return json.error();
    return read_model_json(*json, "m.json");
}
Result<DescribedModel> hf(const std::string& text) {
    auto json = parse_json(text, "config.json");
    if (!json) return json.error();
    return read_hf_config(*json, "config.json");
}

TEST(ModelJson, TakesTheClassicTransformersDimensionsWhereNoneAreGiven) {
    const auto m = plain(R"({"n_layers": 64, "d_model": 8192})");
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->config.d_ff, 32768U);
    EXPECT_EQ(m->config.n_heads * m->config.head_dim, 8192U);
    EXPECT_EQ(m->config.n_kv_heads, m->config.n_heads);
    EXPECT_FALSE(m->config.gated_ffn);
    EXPECT_EQ(m->config.n_vocab, 0U);
}

TEST(ModelJson, OfParametersAloneGetsAShapeOfTheirSize) {
    for (const double parameters : {1.0, 1e6, 7e9, 260e9, 1e15, 1e18, 1e24}) {
        const auto m = plain(fmt::format(R"({{"parameters": {:g}}})", parameters));
        ASSERT_TRUE(m) << parameters << m.error().message;
        EXPECT_FALSE(m->notes.empty());
        if (parameters > 1e9 && parameters < 1e15) {
            EXPECT_NEAR(12 * m->n_layers * m->config.d_model * m->config.d_model / parameters, 1.0, 0.6) << parameters;
        }
    }
}

TEST(ModelJson, LaysOutWindowsAndDenseLayersAndListsOnlySoMany) {
    const auto m = plain(R"({"n_layers": 1000000000, "d_model": 64, "sliding_window": 512, "sliding_window_pattern": 6})");
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->n_layers, 1e9);
    EXPECT_LE(m->config.n_layers, kMaxListedLayers);
    EXPECT_EQ((1000000000U - m->config.n_layers) % 6, 0U);
    EXPECT_EQ(m->config.layers[5].window, 0U);
    EXPECT_EQ(m->config.layers[4].window, 512U);
    const auto experts = plain(R"({"n_layers": 8, "d_model": 64, "n_experts": 4, "n_experts_per_token": 2, "n_dense_layers": 3})");
    ASSERT_TRUE(experts) << experts.error().message;
    EXPECT_FALSE(experts->config.layers[2].moe);
    EXPECT_TRUE(experts->config.layers[3].moe);
}

TEST(ModelJson, WithSomethingWrongGetsOneLineThatNamesIt) {
    const std::pair<const char*, const char*> cases[] = {
        {R"({})", "n_layers"},
        {R"({"n_layers": 3})", "d_model"},
        {R"({"n_layers": 0, "d_model": 64})", "n_layers"},
        {R"({"n_layers": -3, "d_model": 64})", "n_layers"},
        {R"({"n_layers": 2.5, "d_model": 64})", "n_layers"},
        {R"({"n_layers": 2, "d_model": 64, "n_heads": 7})", "n_heads"},
        {R"({"n_layers": 2, "d_model": 64, "n_heads": 4, "n_kv_heads": 3})", "n_kv_heads"},
        {R"({"n_layers": 2, "d_model": 64, "n_experts": 4})", "n_experts_per_token"},
        {R"({"n_layers": 2, "d_model": 64, "n_experts": 4, "n_experts_per_token": 5})", "n_experts_per_token"},
        {R"({"n_layers": 2, "d_model": 64, "gated_ffn": 1})", "gated_ffn"},
        {R"({"n_layers": 2, "d_model": 64, "mla": 3})", "mla"},
        {R"({"n_layers": 2, "d_model": 64, "mla": {"rope_head_dim": 3}})", "kv_lora_rank"},
        {R"({"n_layers": 2, "d_model": 1000000000, "n_heads": 16777216, "head_dim": 16777216})", "widths"},
        {R"({"parameters": NaN})", "NaN"},
        {R"({"parameters": -1})", "parameters"},
        {R"([1])", "object"},
    };
    for (const auto& [text, word] : cases) {
        const auto m = plain(text);
        ASSERT_FALSE(m) << text;
        EXPECT_NE(m.error().message.find(word), std::string::npos) << m.error().message;
        EXPECT_EQ(m.error().message.find('\n'), std::string::npos);
    }
    const auto unknown = plain(R"({"n_layers": 2, "d_model": 64, "n_layer": 3, "mla": {"kv_lora_rank": 8, "rope_head_dim": 4, "x": 1}})");
    ASSERT_TRUE(unknown);
    EXPECT_EQ(unknown->unknown_keys.size(), 2U);
}

TEST(ModelJson, TakesLayersOfDifferentKinds) {
    const auto m = plain(R"({"d_model": 256, "n_heads": 4, "n_kv_heads": 2, "d_ff": 512, "gated_ffn": true, "n_layers": 8, "layers": [
        {"kind": "mamba2", "count": 2, "n_heads": 8, "head_dim": 64, "d_state": 16}, {"kind": "sliding", "window": 128, "head_dim": 32},
        {"kind": "none", "d_ff": 1024}]})");
    ASSERT_TRUE(m) << m.error().message;
    ASSERT_EQ(m->shapes.size(), 8U);
    EXPECT_TRUE(m->shapes[5].state);
    EXPECT_EQ(m->shapes[5].state->state_elements, 8 * 64 * 16);
    EXPECT_EQ(m->shapes[6].attention->window, 128U);
    EXPECT_EQ(m->shapes[6].attention->head_dim, 32U);
    EXPECT_FALSE(m->shapes[7].attention || m->shapes[7].state);
    EXPECT_EQ(m->shapes[7].dense->d_ff, 1024U);
    const auto counted = plain(R"({"d_model": 64, "layers": [{"count": 3}, {"kind": "conv"}]})");
    ASSERT_TRUE(counted) << counted.error().message;
    EXPECT_EQ(counted->n_layers, 4);
    for (const auto& [layers, word] : {std::pair{R"([])", "list"},
                                       {R"(3)", "list"},
                                       {R"([{"kind": "magic"}])", "magic"},
                                       {R"([{"kind": "sliding"}])", "window"},
                                       {R"([{"count": 3}])", "divides"},
                                       {R"([{"kind": "latent"}])", "mla"},
                                       {R"([{"n_kv_heads": 3}])", "n_kv_heads"},
                                       {R"([{"d_ff": -1}])", "d_ff"},
                                       {R"([{"count": 100000}])", "count"}}) {
        const auto wrong = plain(fmt::format(R"({{"d_model": 64, "n_heads": 4, "n_layers": 8, "layers": {}}})", layers));
        ASSERT_FALSE(wrong) << layers;
        EXPECT_NE(wrong.error().message.find(word), std::string::npos) << wrong.error().message;
    }
}

TEST(HfConfig, ReadsTheCommonFamilies) {
    const auto llama =
        hf(R"({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 14336, "vocab_size": 128256, "torch_dtype": "bfloat16", "max_position_embeddings": 131072, "tie_word_embeddings": false})");
    ASSERT_TRUE(llama) << llama.error().message;
    EXPECT_EQ(llama->config.head_dim, 128U);
    EXPECT_TRUE(llama->config.gated_ffn);
    EXPECT_EQ(llama->weight_type, "bf16");
    const auto gpt2 = hf(R"({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257, "n_positions": 1024})");
    ASSERT_TRUE(gpt2) << gpt2.error().message;
    EXPECT_FALSE(gpt2->config.gated_ffn);
    EXPECT_TRUE(gpt2->config.tied_embeddings);
    EXPECT_EQ(gpt2->config.d_ff, 3072U);
    EXPECT_EQ(gpt2->config.n_positions, 1024U);
    const auto gemma =
        hf(R"({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "intermediate_size": 10240, "vocab_size": 262208, "sliding_window": 1024}})");
    ASSERT_TRUE(gemma) << gemma.error().message;
    EXPECT_EQ(gemma->config.layers[5].window, 0U);
    EXPECT_EQ(gemma->config.layers[6].window, 1024U);
    const auto deepseek = hf(R"({"model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
        "intermediate_size": 18432, "vocab_size": 129280, "n_routed_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 2048,
        "n_shared_experts": 1, "first_k_dense_replace": 3, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
        "v_head_dim": 128, "quantization_config": {"quant_method": "fp8"}})");
    ASSERT_TRUE(deepseek) << deepseek.error().message;
    EXPECT_EQ(deepseek->config.moe.d_ff_shared, 2048U);
    EXPECT_EQ(deepseek->config.mla.kv_lora_rank, 512U);
    EXPECT_FALSE(deepseek->config.layers[2].moe);
    EXPECT_TRUE(deepseek->config.layers[3].moe);
    EXPECT_EQ(deepseek->weight_bits, 8.0);
}

TEST(HfConfig, WithSomethingWrongGetsOneLine) {
    for (const char* text :
         {"{}", "[]", R"({"model_type": 3})", R"({"model_type": "llama", "hidden_size": -1})",
          R"({"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 0, "vocab_size": 10})",
          R"({"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 3, "vocab_size": 10})",
          R"({"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": "many"})",
          R"({"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 9, "num_experts": 4})"}) {
        const auto m = hf(text);
        ASSERT_FALSE(m) << text;
        EXPECT_EQ(m.error().message.find('\n'), std::string::npos);
    }
}

TEST(ModelCatalog, FindsNamesAsPeopleWriteThem) {
    ASSERT_NE(find_in_catalog("llama 3.1 8b"), nullptr);
    EXPECT_EQ(find_in_catalog("llama 3.1 8b")->model.name, "Llama-3.1-8B");
    EXPECT_EQ(find_in_catalog("GPT_OSS_20B")->model.name, "gpt-oss-20b");
    EXPECT_EQ(find_in_catalog("Qwen3-Next")->model.name, "Qwen3-Next-80B-A3B");
    EXPECT_EQ(find_in_catalog("qwen3.6")->model.name, "Qwen3.6-35B-A3B");
    EXPECT_EQ(find_in_catalog("Gemma 4"), nullptr);
    EXPECT_EQ(catalog_models_that_begin("Gemma 4").size(), 2U);
    EXPECT_EQ(find_in_catalog("Qwen3"), nullptr);  // of many sizes
    EXPECT_EQ(find_in_catalog("Qwen"), nullptr);   // no row's first word
    EXPECT_EQ(find_in_catalog(""), nullptr);
    EXPECT_EQ(find_in_catalog("Llama-3.1-9B"), nullptr);
    const auto name_of = [](const char* name) {
        const CatalogModel* found = find_in_catalog(name);
        return found != nullptr ? found->model.name : std::string("none");
    };
    EXPECT_EQ(name_of("meta-llama/Llama-3.1-8B-Instruct"), "Llama-3.1-8B");
    EXPECT_EQ(name_of("meta-llama/Meta-Llama-3-8B-Instruct"), "Llama-3-8B");
    EXPECT_EQ(name_of("meta-llama/Llama-4-Scout-17B-16E-Instruct"), "Llama-4-Scout");
    EXPECT_EQ(name_of("mistralai/Mistral-Small-24B-Instruct-2501"), "Mistral-Small-3");
    EXPECT_EQ(name_of("mistralai/Mistral-7B-Instruct-v0.3"), "Mistral-7B");
    EXPECT_EQ(name_of("mistralai/Mistral-7B-Instruct-v0.1"), "Mistral-7B-v0.1");
    EXPECT_EQ(name_of("deepseek-ai/DeepSeek-R1-0528"), "DeepSeek-R1");
    EXPECT_EQ(name_of("google/gemma-3-27b-it"), "Gemma-3-27B");
    EXPECT_EQ(name_of("Qwen/Qwen3-Next-80B-A3B-Thinking"), "Qwen3-Next-80B-A3B");
    EXPECT_EQ(name_of("deepseek-ai/DeepSeek-R1-Distill-Llama-70B"), "none");
    EXPECT_EQ(name_of("Qwen/Qwen3-8B-FP8"), "none");  // other types than the row's
    EXPECT_GE(catalog().size(), 25U);
}

}  // namespace
}  // namespace rafter::model
