// The climb on tiny models, with made-up prices: every rung is climbed, and the outputs are what they must be.
#include "planning/ladder/climb.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "planning/ladder/outputs.h"
#include "planning/ladder/sizes.h"
#include "planning/ladder/stand.h"
#include "probe/probe.h"
#include "tests/support/tiny_model.h"

namespace rafter::planning {
namespace {

namespace fs = std::filesystem;

hardware::Profile made_up(engine::Runtime& runtime) {
    hardware::Profile profile;
    profile.key = probe::profile_key(runtime.pool(), runtime.isa(), "test");
    profile.bandwidth = {{.n_threads = 1, .working_set_bytes = 1e6, .bytes_per_s = 10e9, .best_bytes_per_s = 10e9, .spread = 0.0}};
    profile.float_flop_per_s = 1e11;
    profile.int8_flop_per_s = 1e11;
    profile.stream_bytes_per_s = 10e9;
    profile.barrier_seconds = 1e-6;
    return profile;
}

class ClimbTest : public testing::Test {
  protected:
    void SetUp() override { fs::create_directories(folder_); }
    void TearDown() override { fs::remove_all(folder_); }

    engine::OpenedModel open(const model::TinyModel& tiny) {
        const auto bytes = model::tiny_gguf(tiny);
        std::ofstream(folder_ / "tiny.gguf", std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        return engine::open_model(folder_ / "tiny.gguf").value();
    }
    ClimbOptions quick() {
        return {.quick = true,
                .version = "test",
                .model = "",
                .file = "tiny.gguf",
                .progress = {},
                .is_stopped = {},
                .probe = [this](const probe::ProbeFocus&) -> Result<hardware::Profile> { return made_up(runtime_); }};
    }

    fs::path folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-climb-{}", getpid());
    engine::Runtime runtime_ = engine::Runtime::create({.n_threads = 2}).value();
};

TEST_F(ClimbTest, ClimbsEveryRungAndFindsTheOutputsRight) {
    for (const char* name : {"gemma3", "gpt-oss"}) {
        const engine::OpenedModel opened = open({.name = name, .matrices = tensor::DType::kQ4_0});
        const auto ladder = climb(runtime_, opened, quick());
        ASSERT_TRUE(ladder) << ladder.error().message;
        EXPECT_TRUE(ladder->complete && ladder->measured);
        EXPECT_TRUE(ladder->warnings.empty()) << name << ": " << ladder->warnings.front();
        ASSERT_GE(ladder->rungs.size(), 14U);
        for (const LadderRung& rung : ladder->rungs) {
            if (rung.id == "speculation" && rung.skipped) continue;  // its text is longer than a tiny model's context
            ASSERT_FALSE(rung.skipped) << name << " " << rung.id << ": " << *rung.skipped;
            EXPECT_TRUE(rung.check.passed) << name << " " << rung.id;
            EXPECT_NE(rung.check.kind, OutputCheck::Kind::kNone) << rung.id;
            EXPECT_GT(rung.check.n_tokens, 0U) << rung.id;
            EXPECT_GT(rung.after.predicted_seconds, 0.0) << rung.id;
            EXPECT_GT(rung.after.seconds(), 0.0) << rung.id;
            EXPECT_GT(rung.after.flops, 0.0) << rung.id;
            EXPECT_GT(rung.after.bytes, 0.0) << rung.id;
            EXPECT_GT(rung.after.roof_seconds, 0.0) << rung.id;
            EXPECT_GT(rung.after.memory_bytes, 0.0) << rung.id;
        }
        // Fewer bits say something else, and not something entirely else.
        EXPECT_LT(ladder->find("weights_16")->check.mean_kl, 1e-4) << name;
        EXPECT_LT(ladder->find("weights_8")->check.mean_kl, 0.1) << name;
        EXPECT_GT(ladder->find("weights_8")->check.mean_kl, 0.0) << name;
        EXPECT_LT(ladder->find("flash_decode")->check.mean_kl, 1e-8) << name;
        // Reservations take the whole budget, blocks of the same memory hold more sequences.
        const LadderRung* const paged = ladder->find("paged_16");
        ASSERT_NE(paged, nullptr) << name;
        EXPECT_LE(paged->after.memory_bytes, ladder->find("batch_8")->after.memory_bytes * 1.001) << name;
    }
}

TEST_F(ClimbTest, EndsWithWhatItHasWhenItIsStopped) {
    const engine::OpenedModel opened = open({.name = "llama"});
    ClimbOptions options = quick();
    std::string stage;
    options.progress = [&](double, std::string_view what) { stage = what; };
    options.is_stopped = [&] { return stage == "16-bit weights"; };
    const auto ladder = climb(runtime_, opened, options);
    ASSERT_TRUE(ladder) << ladder.error().message;
    EXPECT_FALSE(ladder->complete);
    ASSERT_NE(ladder->find("flash_prompt"), nullptr);
    EXPECT_EQ(ladder->find("weights_16"), nullptr);
}

TEST_F(ClimbTest, SaysOfAFailedProbeWhatFailed) {
    const engine::OpenedModel opened = open({.name = "llama"});
    ClimbOptions options = quick();
    options.probe = [](const probe::ProbeFocus&) -> Result<hardware::Profile> { return Error{"no memory to read"}; };
    const auto ladder = climb(runtime_, opened, options);
    ASSERT_FALSE(ladder);
    EXPECT_NE(ladder.error().message.find("no memory to read"), std::string::npos);
}

TEST_F(ClimbTest, WeightsAreSharedAndOutliveTheModelThatPackedThem) {
    const engine::OpenedModel opened = open({.name = "llama", .matrices = tensor::DType::kQ8_0});
    auto first = Stand::load(runtime_, opened, {.context = 64}, nullptr, {}).value();
    const std::vector<TokenId> text = {5, 6, 7, 8, 9, 10, 11, 12};
    const TextLogits own = logits_of_text(first->loaded(), text);
    auto second = Stand::load(runtime_, opened, {.without_fusions = {"rows"}, .context = 64}, first.get(), {}).value();
    first.reset();
    EXPECT_TRUE(same_bits(logits_of_text(second->loaded(), text), own, "").passed);
}

TEST(LadderSizes, FitIntoTheModelsContext) {
    model::ModelConfig config;
    for (const std::uint32_t context : {64U, 100U, 512U, 1000U, 2048U, 4096U, 131072U}) {
        config.n_context = context;
        const auto sizes = ladder_sizes(config, false);
        ASSERT_TRUE(sizes);
        EXPECT_LE(sizes->context, context);
        EXPECT_LE(sizes->long_context, context);
        EXPECT_LE(sizes->long_prompt + sizes->chunk, context);
        EXPECT_LE(sizes->reserved, context);
        EXPECT_LE(sizes->request_context(), context) << context;
        EXPECT_GT(sizes->chunk, 0U);
        EXPECT_GT(sizes->n_generated, 1U);
        for (const std::uint32_t n : sizes->paged_batches) EXPECT_LE(std::uint64_t{n} * sizes->context, sizes->budget_positions());
    }
    config.n_context = 63;
    EXPECT_FALSE(ladder_sizes(config, false));
}

TEST(Outputs, OneBitMakesThemDiffer) {
    TextLogits a{.n_vocab = 4, .rows = {0.0F, 1.0F, 2.0F, 3.0F, 1.0F, 1.0F, 1.0F, 1.0F}};
    TextLogits b = a;
    EXPECT_TRUE(same_bits(b, a, "").passed);
    b.rows[5] = std::nextafter(b.rows[5], 2.0F);
    EXPECT_FALSE(same_bits(b, a, "").passed);
    // Its last rows may be held against the whole.
    const TextLogits last{.n_vocab = 4, .rows = {1.0F, 1.0F, 1.0F, 1.0F}};
    EXPECT_TRUE(same_bits(last, a, "").passed);
}

TEST(Outputs, DivergenceIsThatOfTheDistributions) {
    const TextLogits p{.n_vocab = 2, .rows = {std::log(0.75F), std::log(0.25F)}};
    const TextLogits q{.n_vocab = 2, .rows = {std::log(0.25F), std::log(0.75F)}};
    const OutputCheck check = divergence(q, p, "p");
    EXPECT_NEAR(check.mean_kl, 0.75 * std::log(3.0) + 0.25 * std::log(1.0 / 3.0), 1e-6);
    EXPECT_EQ(check.same_top, 0.0);
    EXPECT_EQ(divergence(p, p, "p").mean_kl, 0.0);
    EXPECT_EQ(divergence(p, p, "p").same_top, 1.0);
    // A constant more on every logit is the same distribution.
    const TextLogits shifted{.n_vocab = 2, .rows = {p.rows[0] + 10.0F, p.rows[1] + 10.0F}};
    EXPECT_NEAR(divergence(shifted, p, "p").mean_kl, 0.0, 1e-6);
}

}  // namespace
}  // namespace rafter::planning
