// The tables against the price of each op, for every architecture and for shapes that stand in no table.
#include "server/observe/step_prices.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "engine/loading/loaded_model.h"
#include "tests/support/tiny_model.h"

namespace rafter::server {
namespace {

namespace fs = std::filesystem;

// Caches and memory of different speed, and arithmetic in bytes that is faster than in floats.
hardware::Profile priced_machine(engine::Runtime& runtime) {
    hardware::Profile profile;
    profile.key = {.cpu = "a processor", .n_threads = 2, .isa = std::string(runtime.isa()), .version = "1"};
    profile.bandwidth = {{.n_threads = 2, .working_set_bytes = 1e5, .bytes_per_s = 90e9, .best_bytes_per_s = 100e9, .spread = 0.0},
                         {.n_threads = 2, .working_set_bytes = 1e6, .bytes_per_s = 40e9, .best_bytes_per_s = 50e9, .spread = 0.0},
                         {.n_threads = 2, .working_set_bytes = 1e8, .bytes_per_s = 9e9, .best_bytes_per_s = 10e9, .spread = 0.0}};
    profile.float_flop_per_s = 1e11;
    profile.int8_flop_per_s = 4e11;
    profile.int8_unit = "AMX int8 (K = 32)";
    profile.stream_bytes_per_s = 10e9;
    profile.handover_seconds = 1e-6;
    profile.fork_join_seconds = 1e-5;
    return profile;
}

class StepPricesTest : public testing::TestWithParam<std::string> {
  protected:
    static void SetUpTestSuite() {
        folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-step-prices-{}", getpid());
        fs::create_directories(folder_);
    }
    static void TearDownTestSuite() { fs::remove_all(folder_); }

    void SetUp() override {
        const fs::path path = folder_ / (GetParam() + ".gguf");
        const auto bytes = model::tiny_gguf({.name = GetParam(), .matrices = tensor::DType::kQ8_0});
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        const auto opened = engine::open_model(path);
        ASSERT_TRUE(opened.has_value()) << opened.error().message;
        auto prepared = engine::prepare_model(runtime_.backend(), *opened, {.context = 256, .n_sequences = 8, .n_outputs = 16});
        ASSERT_TRUE(prepared.has_value()) << prepared.error().message;
        program_ = std::move(prepared->program);
        options_.cost.kv = prepared->kv_element_bytes;
    }

    // What the price of each op adds up to.
    StepRoof full(const model::StepShape& shape) {
        const roofline::StepPrice price = runtime_.backend().price_step(program_, shape, machine_, options_);
        StepRoof roof{.overhead_seconds = price.fixed_seconds};
        for (const roofline::OpPrice& op : price.ops) {
            const double bytes = op.cost.read_bytes();
            roof.flops += op.cost.flops;
            roof.read_bytes += bytes;
            roof.read_seconds += bytes / price.roof_bytes_per_s;
            roof.peak_seconds += op.cost.flops / op.peak_flop_per_s;
            const bool reading_binds = op.roof_seconds * price.roof_bytes_per_s <= bytes * (1.0 + 1e-9);
            (reading_binds ? roof.memory_roof_seconds : roof.compute_roof_seconds) += op.roof_seconds;
            roof.overhead_seconds += op.overhead_seconds;
        }
        return roof;
    }

    static inline fs::path folder_;
    engine::Runtime runtime_ = engine::Runtime::create({.n_threads = 2}).value();
    hardware::Profile machine_ = priced_machine(runtime_);
    roofline::PriceOptions options_;
    model::Program program_;
};

model::StepShape random_shape(std::mt19937& random) {
    model::StepShape shape;
    const std::uint32_t n = 1 + random() % 8;
    for (std::uint32_t i = 0; i < n; ++i) {
        const bool decodes = random() % 2 == 0;
        const std::uint32_t n_new = decodes ? 1 + random() % 2 : 1 + random() % 60;
        shape.sequences.push_back({.n_new = n_new, .n_past = static_cast<std::uint32_t>(random() % 200), .n_outputs = decodes ? n_new : 1});
    }
    return shape;
}

TEST_P(StepPricesTest, AreWithinAFewPercentOfThePriceOfEachOp) {
    const StepPrices prices(runtime_.backend(), program_, machine_, options_,
                            {.n_tokens = 512, .n_outputs = 16, .context = 256, .n_sequences = 8});
    std::mt19937 random(1);
    for (int i = 0; i < 100; ++i) {
        const model::StepShape shape = random_shape(random);
        const StepRoof found = prices.of(shape), expected = full(shape);
        const auto within = [&](const char* what, double a, double b, double tolerance) {
            EXPECT_NEAR(a, b, tolerance * b + 1e-15) << what << " of " << shape.n_tokens() << " tokens in " << shape.sequences.size();
        };
        within("flops", found.flops, expected.flops, 0.02);
        within("read_bytes", found.read_bytes, expected.read_bytes, 0.02);
        within("read_seconds", found.read_seconds, expected.read_seconds, 0.05);
        within("peak_seconds", found.peak_seconds, expected.peak_seconds, 0.02);
        within("roof_seconds", found.roof_seconds(), expected.roof_seconds(), 0.05);
        within("overhead_seconds", found.overhead_seconds, expected.overhead_seconds, 0.02);
    }
}

TEST_P(StepPricesTest, AreExactForOneTokenOfOneSequence) {
    const StepPrices prices(runtime_.backend(), program_, machine_, options_,
                            {.n_tokens = 512, .n_outputs = 16, .context = 256, .n_sequences = 8});
    const model::StepShape one{.sequences = {{.n_new = 1, .n_past = 0, .n_outputs = 1}}};
    const StepRoof found = prices.of(one), expected = full(one);
    EXPECT_NEAR(found.flops, expected.flops, 1e-9 * expected.flops);
    EXPECT_NEAR(found.read_bytes, expected.read_bytes, 1e-9 * expected.read_bytes);
    EXPECT_NEAR(found.roof_seconds(), expected.roof_seconds(), 1e-3 * expected.roof_seconds());
    EXPECT_GT(prices.memory_bytes_per_s(), 0.0);
    EXPECT_GT(prices.flop_per_s(), 0.0);
    EXPECT_FALSE(prices.memory_level().empty());
    EXPECT_TRUE(prices.arithmetic().starts_with("AMX int8 (K = 32)")) << prices.arithmetic();  // attention's part is in floats
}

INSTANTIATE_TEST_SUITE_P(Architectures, StepPricesTest, testing::ValuesIn(model::tiny_models()), [](const auto& row) {
    std::string name = row.param;
    std::ranges::replace_if(
        name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
    return name;
});

TEST(StepRoof, IsBoundByWhatTakesLongest) {
    EXPECT_EQ((StepRoof{.memory_roof_seconds = 2.0, .compute_roof_seconds = 1.0}).bound(), roofline::PriceBound::kMemory);
    EXPECT_EQ((StepRoof{.memory_roof_seconds = 1.0, .compute_roof_seconds = 2.0}).bound(), roofline::PriceBound::kCompute);
    EXPECT_EQ((StepRoof{.memory_roof_seconds = 1.0, .compute_roof_seconds = 2.0, .overhead_seconds = 3.0}).bound(),
              roofline::PriceBound::kOverhead);
}

}  // namespace
}  // namespace rafter::server
