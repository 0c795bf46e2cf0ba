// Which type each weight of a tiny model is held in.
#include "model/held_types.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include "files/gguf.h"

#include "model/model_file.h"
#include "tensor/formats/formats.h"
#include "tests/support/tiny_model.h"

namespace rafter::model {
namespace {

using tensor::DType;

Program bound(const TinyModel& tiny) {
    const auto bytes = tiny_gguf(tiny);
    const auto file = files::GgufFile::parse(bytes, tiny.name);
    return bind(build(read_config(*file, {}).value()), *file).value();
}

bool is_vector(const Weight& w) { return w.kind == WeightKind::kVector || w.kind == WeightKind::kVectors; }

TEST(HeldTypes, AreTheWantedOneWhereItsBlocksDivideARow) {
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.encode == nullptr) continue;
        for (const std::uint32_t n_blocks : {1U, 3U, 16U}) {
            EXPECT_EQ(held_type(format.dtype, n_blocks * format.block_elements), format.dtype);
        }
    }
}

TEST(HeldTypes, FallBackToBlocksOf32OfAboutTheSameSize) {
    const std::map<DType, DType> expected{{DType::kQ2_K, DType::kIQ4_NL}, {DType::kQ3_K, DType::kIQ4_NL}, {DType::kIQ4_XS, DType::kIQ4_NL},
                                          {DType::kQ4_K, DType::kQ5_0},   {DType::kQ5_K, DType::kQ5_1},   {DType::kQ6_K, DType::kQ8_0}};
    std::size_t n_large = 0;
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.block_elements != 256) continue;
        ++n_large;
        ASSERT_TRUE(expected.contains(format.dtype)) << format.name;
        EXPECT_EQ(held_type(format.dtype, 576), expected.at(format.dtype)) << format.name;
        EXPECT_EQ(held_type(format.dtype, 100), DType::kF16) << format.name;
    }
    EXPECT_EQ(n_large, expected.size());
    EXPECT_EQ(held_type(DType::kQ4_0, 100), DType::kF16);
    EXPECT_EQ(held_type(DType::kF32, 100), DType::kF32);
}

TEST(HoldWeightsAs, ChangesMatricesExpertsAndEmbeddingsAndLeavesRoutersAndVectors) {
    for (const std::string& name : tiny_models()) {
        const Program program = bound({.name = name, .matrices = DType::kQ8_0});
        const HeldWeights held = hold_weights_as(program, DType::kQ4_0);
        ASSERT_EQ(held.program.weights.size(), program.weights.size());
        EXPECT_TRUE(held.n_substituted.empty()) << name;
        std::size_t n_routers = 0;
        for (WeightId id = 0; id < program.weights.size(); ++id) {
            const Weight& before = program.weights[id];
            const Weight& after = held.program.weights[id];
            const bool is_router = before.tensor.ends_with("ffn_gate_inp.weight");
            n_routers += is_router ? 1 : 0;
            EXPECT_EQ(after.source_dtype, before.source_dtype) << name << " " << after.tensor;
            EXPECT_EQ(before.dtype, before.source_dtype);
            EXPECT_EQ(after.dtype, is_router || is_vector(after) ? before.dtype : DType::kQ4_0) << name << " " << after.tensor;
        }
        const bool has_experts = program.config.moe.n_experts > 0;
        EXPECT_EQ(n_routers, has_experts ? program.config.n_layers : 0) << name;
    }
}

TEST(HoldWeightsAs, CountsTensorsThatAnotherTypeStandsInFor) {
    // Layers of 64 and 96 columns; the three weights of a fused tensor are one tensor, as are a table and a head that share one.
    for (const std::string name : {"llama", "phi3", "qwen3"}) {
        const Program program = bound({.name = name, .matrices = DType::kQ8_0});
        const HeldWeights held = hold_weights_as(program, DType::kQ4_K);
        std::map<std::string, DType> tensors;
        for (const Weight& w : held.program.weights) {
            if (!is_vector(w)) tensors[w.tensor] = w.dtype;
        }
        for (const auto& [tensor, type] : tensors) EXPECT_EQ(type, DType::kQ5_0) << tensor;
        EXPECT_EQ(held.n_substituted, (std::map<DType, std::uint32_t>{{DType::kQ5_0, static_cast<std::uint32_t>(tensors.size())}})) << name;
    }
}

TEST(HoldWeightsAs, LeavesAProgramOfTheWantedTypeAsItIs) {
    const Program program = bound({.name = "llama", .matrices = DType::kF32});
    const HeldWeights held = hold_weights_as(program, DType::kF32);
    for (const Weight& w : held.program.weights) EXPECT_EQ(w.dtype, w.source_dtype);
}

}  // namespace
}  // namespace rafter::model
