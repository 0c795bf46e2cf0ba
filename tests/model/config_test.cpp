// Reading configs: each family's tiny file gives the fields that its papers say, and a file that contradicts itself gives one clear error.
#include <gtest/gtest.h>

#include <cmath>

#include "files/gguf.h"
#include "files/gguf_writer.h"
#include "model/arch/arch.h"
#include "model/model_file.h"
#include "tests/support/tiny_model.h"

namespace rafter::model {
namespace {

struct Opened {
    std::vector<std::byte> bytes;
    files::GgufFile file;
};

Opened open_tiny(const std::string& name, tensor::DType matrices = tensor::DType::kF32) {
    std::vector<std::byte> bytes = tiny_gguf({.name = name, .matrices = matrices});
    auto file = files::GgufFile::parse(bytes, name);
    EXPECT_TRUE(file) << file.error().message;
    return {std::move(bytes), std::move(file).value()};
}

ModelConfig config_of(const std::string& name) {
    const Opened tiny = open_tiny(name);
    auto config = read_config(tiny.file, {});
    EXPECT_TRUE(config) << config.error().message;
    return std::move(config).value();
}

TEST(Config, OfEveryFamilyIsReadAndItsProgramBinds) {
    for (const std::string& name : tiny_models()) {
        const Opened tiny = open_tiny(name);
        const auto config = read_config(tiny.file, {});
        ASSERT_TRUE(config) << name << ": " << config.error().message;
        const auto program = bind(build(*config), tiny.file);
        ASSERT_TRUE(program) << name << ": " << program.error().message;
        for (const Weight& w : program->weights) EXPECT_FALSE(tensor_of(w, tiny.file).bytes.empty()) << w.tensor;
    }
}

TEST(Config, RowsOfFusedTensorsAreTheirBytes) {
    const Opened tiny = open_tiny("phi3");
    const auto program = bind(build(*read_config(tiny.file, {})), tiny.file);
    ASSERT_TRUE(program);
    const auto whole = tiny.file.find_tensor("blk.0.attn_qkv.weight")->bytes;
    std::size_t at = 0;
    for (const Weight& w : program->weights) {
        if (w.tensor != "blk.0.attn_qkv.weight") continue;
        const auto rows = tiny.file.rows(tensor_of(w, tiny.file), first_row(w, 0), w.n_rows, {});
        EXPECT_EQ(rows.data(), whole.data() + at);
        at += rows.size();
    }
    EXPECT_EQ(at, whole.size());
}

TEST(Config, Gemma3HasAGlobalLayerEverySixthAndTwoRopeTables) {
    const ModelConfig c = config_of("gemma3");
    ASSERT_EQ(c.layers.size(), 7U);
    for (std::uint32_t i = 0; i < 7; ++i) {
        EXPECT_EQ(c.layers[i].window, i == 5 ? 0U : 9U);
        EXPECT_EQ(c.layers[i].rope_table, i == 5 ? 0U : 1U);
    }
    EXPECT_FLOAT_EQ(c.embedding_scale, 8.0F);
    EXPECT_TRUE(c.tied_embeddings);
}

TEST(Config, Gemma2AlternatesFromASlidingLayerAndCapsScores) {
    const ModelConfig c = config_of("gemma2");
    EXPECT_EQ(c.layers[0].window, 9U);
    EXPECT_EQ(c.layers[1].window, 0U);
    EXPECT_FLOAT_EQ(c.attention_softcap, 50.0F);
    EXPECT_FLOAT_EQ(c.logit_softcap, 30.0F);
}

TEST(Config, Phi3ChoosesItsRopeFactorsByTheContextInUse) {
    const Opened tiny = open_tiny("phi3");
    const auto within = read_config(tiny.file, {.context = 64});
    const auto beyond = read_config(tiny.file, {.context = 65});
    ASSERT_TRUE(within && beyond);
    EXPECT_GT(within->rope_tables[0].inverse_frequency[0], 2 * beyond->rope_tables[0].inverse_frequency[0]);
    EXPECT_FLOAT_EQ(within->rope_tables[0].magnitude, std::sqrt(1 + std::log(8.0F) / std::log(64.0F)));
    EXPECT_EQ(within->rope_tables[0].inverse_frequency.size(), 6U);
}

TEST(Config, YarnKeepsFastDimensionsAndStretchesSlowOnes) {
    const ModelConfig c = config_of("qwen2-yarn");
    const RopeTable plain = plain_rope(16, 10000.0F, RopePairing::kHalves);
    EXPECT_FLOAT_EQ(c.rope_tables[0].inverse_frequency.front(), plain.inverse_frequency.front());
    EXPECT_FLOAT_EQ(c.rope_tables[0].inverse_frequency.back(), plain.inverse_frequency.back() / 4);
    EXPECT_FLOAT_EQ(c.rope_tables[0].magnitude, 1 + 0.1F * std::log(4.0F));
}

// A file with these keys and a few tensors; each case spoils one key.
files::GgufWriter minimal_keys(const std::string& without = "") {
    files::GgufWriter w;
    w.add_string("general.architecture", "llama");
    const auto add = [&](const std::string& key, std::uint32_t value) {
        if (key != without) w.add_uint32("llama." + key, value);
    };
    add("block_count", 1);
    add("context_length", 128);
    add("embedding_length", 64);
    add("feed_forward_length", 96);
    add("attention.head_count", 4);
    const std::vector<std::uint64_t> shape = {10, 64};
    w.add_tensor_f32("token_embd.weight", tensor::DType::kF32, shape, std::vector<float>(640));
    return w;
}

std::string error_of(const files::GgufWriter& writer) {
    const std::vector<std::byte> bytes = writer.to_bytes();
    const auto file = files::GgufFile::parse(bytes, "test");
    EXPECT_TRUE(file) << file.error().message;
    const auto config = read_config(*file, {});
    if (!config) return config.error().message;
    const auto program = bind(build(*config), *file);
    return program ? "" : program.error().message;
}

TEST(Config, ErrorsSayWhatWhereExpectedAndFound) {
    EXPECT_EQ(error_of(minimal_keys()), "blk.0.attn_norm.weight: expected a tensor of [64], found no such tensor");
    EXPECT_EQ(error_of(minimal_keys("block_count")), "llama.block_count: expected a number, found no such key");
    const auto spoiled = [](const std::string& key, std::uint32_t value) {
        files::GgufWriter w = minimal_keys(key);
        w.add_uint32("llama." + key, value);
        return error_of(w);
    };
    EXPECT_EQ(spoiled("block_count", 1000000), "llama.block_count: expected tensors for each layer, found 1000000 layers and 1 tensors");
    EXPECT_EQ(spoiled("block_count", 0), "llama.block_count: expected 1 to 1073741824, found 0");
    EXPECT_EQ(spoiled("attention.head_count", 0), "llama.attention.head_count: expected 1 to 4096, found 0");
    EXPECT_EQ(spoiled("attention.head_count", 7), "llama.attention.head_count: expected a divisor of embedding_length 64, found 7");
    EXPECT_EQ(spoiled("attention.head_count_kv", 3), "llama.attention.head_count_kv: expected a divisor of the 4 query heads, found 3");
    EXPECT_EQ(spoiled("attention.head_count_kv", 0), "llama.attention.head_count_kv: expected 1 to 4096, found 0");
    EXPECT_EQ(spoiled("rope.dimension_count", 7), "llama.rope.dimension_count: expected an even number, found 7");
    EXPECT_EQ(spoiled("expert_count", 8), "llama.expert_used_count: expected a number, found no such key");
    EXPECT_EQ(spoiled("embedding_length", 0x80000000U), "llama.embedding_length: expected 1 to 1048576, found 2147483648");
}

TEST(Config, UnknownArchitecturesAreNamedWithTheKnownOnes) {
    files::GgufWriter w;
    w.add_string("general.architecture", "mamba");
    EXPECT_EQ(error_of(w),
              "general.architecture: expected one of llama, qwen2, qwen3, gemma2, gemma3, phi3, qwen3moe, gpt-oss, found \"mamba\"");
}

TEST(Config, RopeBasesAndFactorsMustMakeSense) {
    const auto with_float = [](const std::string& key, float value) {
        files::GgufWriter w = minimal_keys();
        w.add_float32("llama." + key, value);
        return error_of(w);
    };
    EXPECT_EQ(with_float("rope.freq_base", 0.0F), "llama.rope.freq_base: expected a number above 0, found 0");
    EXPECT_EQ(with_float("rope.freq_base", 1.0F), "llama.rope.freq_base: expected a number above 1, found 1");
    EXPECT_EQ(with_float("rope.scaling.factor", -2.0F), "llama.rope.scaling.factor: expected a number above 0, found -2");
    EXPECT_EQ(with_float("attention.layer_norm_rms_epsilon", std::nanf("")),
              "llama.attention.layer_norm_rms_epsilon: expected a finite number, found nan");
}

}  // namespace
}  // namespace rafter::model
