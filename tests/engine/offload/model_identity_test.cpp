// The identity of a program: equal for equal lists, and another for each value that decides what is computed.
#include "engine/offload/model_identity.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace rafter::engine {
namespace {

using model::OpOptions;

std::uint64_t identity_of(const OpOptions& options) {
    model::Program program;
    program.ops = {
        {.kind = model::OpKind::kAdd, .name = "op", .inputs = {}, .outputs = {}, .weights = {}, .options = options, .parts = {}}};
    return program_identity(program);
}

// Each of these differs from the one before it in one value.
const std::vector<OpOptions> kAllDifferent = {
    std::monostate(),
    model::EmbedOptions{},
    model::EmbedOptions{.scale = 2.0F},
    model::NormOptions{},
    model::NormOptions{.epsilon = 1e-6F},
    model::NormOptions{.group = 64},
    model::RopeOptions{},
    model::RopeOptions{.table = 1},
    model::RopeOptions{.head_dim = 64},
    model::CacheOptions{},
    model::CacheOptions{.layer = 1},
    model::AttentionOptions{},
    model::AttentionOptions{.layer = 1},
    model::AttentionOptions{.n_heads = 1},
    model::AttentionOptions{.n_kv_heads = 1},
    model::AttentionOptions{.head_dim = 1},
    model::AttentionOptions{.window = 1},
    model::AttentionOptions{.scale = 0.5F},
    model::AttentionOptions{.softcap = 50.0F},
    model::ActivationOptions{},
    model::ActivationOptions{.activation = model::Activation::kGeluTanh},
    model::SoftcapOptions{},
    model::SoftcapOptions{.cap = 30.0F},
    model::RouteOptions{},
    model::RouteOptions{.n_experts_used = 2},
    model::RouteOptions{.scoring = model::RouterScoring::kTopKThenSoftmax},
    model::RouteOptions{.normalize_weights = false},
    model::ObserveOptions{},
    model::ObserveOptions{.tensors = {"a"}},
    model::ObserveOptions{.n_matrices = 8},
};

TEST(ProgramIdentity, ChangesWithEachValueOfAnOpsOptions) {
    std::set<std::uint64_t> seen;
    std::set<std::size_t> types;
    for (const OpOptions& options : kAllDifferent) {
        EXPECT_TRUE(seen.insert(identity_of(options)).second) << seen.size();
        EXPECT_EQ(identity_of(options), identity_of(OpOptions(options)));
        types.insert(options.index());
    }
    EXPECT_EQ(types.size(), std::variant_size_v<OpOptions>);  // a new type of options needs its rows above
}

TEST(ProgramIdentity, SeesOptionsOfFusedParts) {
    const auto fused = [](float epsilon) {
        model::Op part{.kind = model::OpKind::kRmsNorm,
                       .name = "norm",
                       .inputs = {},
                       .outputs = {},
                       .weights = {},
                       .options = model::NormOptions{.epsilon = epsilon},
                       .parts = {}};
        model::Program program;
        program.ops = {
            {.kind = model::OpKind::kFusedRows, .name = "f", .inputs = {}, .outputs = {}, .weights = {}, .options = {}, .parts = {part}}};
        return program_identity(program);
    };
    EXPECT_EQ(fused(1e-5F), fused(1e-5F));
    EXPECT_NE(fused(1e-5F), fused(1e-6F));
}

}  // namespace
}  // namespace rafter::engine
