// Weights held as another type than the file's: the logits are those of a file that was quantised so, to the last bit.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "engine/convert/convert.h"
#include "engine/loading/loaded_model.h"
#include "engine/loading/model_source.h"
#include "engine/loading/served_model.h"
#include "engine/offload/model_identity.h"
#include "tensor/formats/formats.h"
#include "tests/support/tiny_model.h"

namespace rafter::engine {
namespace {

namespace fs = std::filesystem;
using tensor::DType;

constexpr std::uint32_t kTokens = 40;

void write_bytes(const fs::path& path, const std::vector<std::byte>& bytes) {
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

class HeldWeights : public ::testing::Test {
  protected:
    void SetUp() override { fs::create_directories(folder_); }
    void TearDown() override { fs::remove_all(folder_); }

    static LoadModelOptions usual(std::optional<DType> weights) {
        LoadModelOptions options;
        options.context = 64;
        options.n_outputs = kTokens;
        options.weights = weights;
        return options;
    }
    // Of every token of a fixed text.
    std::vector<float> logits(const fs::path& path, const LoadModelOptions& options) {
        const OpenedModel opened = open_model(path).value();
        const LoadedModel loaded = load_model(runtime_, opened, options).value();
        const std::size_t n_groups = loaded.scheduler.windows.size();
        const std::vector<std::vector<backend::BlockId>> tables(n_groups, {0, 1, 2, 3});
        backend::Batch batch;
        batch.sequences.push_back({.step = {.n_new = kTokens, .n_past = 0, .n_outputs = kTokens}, .first_row = 0, .block_tables = tables});
        for (std::uint32_t i = 0; i < kTokens; ++i) {
            batch.tokens.push_back(static_cast<std::int32_t>(7 + i * i % 200));
            batch.positions.push_back(i);
            batch.output_rows.push_back(i);
        }
        const backend::StepOutput out = loaded.device->forward(batch);
        return {out.logits.begin(), out.logits.end()};
    }
    fs::path write_tiny(const model::TinyModel& tiny) {
        write_bytes(folder_ / "tiny.gguf", model::tiny_gguf(tiny));
        return folder_ / "tiny.gguf";
    }
    // The file that the same types are written to.
    fs::path write_quantized(const fs::path& path, DType wanted) {
        fs::path out = folder_ / "quantized.gguf";
        const std::unique_ptr<files::TensorSource> source = open_source(path).value();
        const ConversionPlan plan =
            plan_conversion(*source, path, out, {.type = wanted, .encoding = Encoding::kSearched, .replace = true}).value();
        ThreadPool pool({.n_threads = 1});
        EXPECT_TRUE(run_conversion(plan, *source, pool, {}).value().complete);
        return out;
    }
    void expect_as_quantized(const model::TinyModel& tiny, DType wanted, const LoadModelOptions& options) {
        const fs::path path = write_tiny(tiny);
        const fs::path other = write_quantized(path, wanted);
        LoadModelOptions held = options;
        held.weights = wanted;
        const std::vector<float> found = logits(path, held);
        EXPECT_EQ(found, logits(other, options)) << tiny.name << " as " << tensor::format_of(wanted).name;
        EXPECT_FALSE(found.empty());
    }

    fs::path folder_ = fs::path(::testing::TempDir()) / fmt::format("rafter-held-{}", getpid());
    Runtime runtime_ = Runtime::create({.n_threads = 2}).value();
};

TEST_F(HeldWeights, GiveTheLogitsOfAQuantizedFileForEveryFamily) {
    for (const std::string& name : model::tiny_models()) {
        for (const DType wanted : {DType::kF32, DType::kQ8_0, DType::kQ4_0}) {
            expect_as_quantized({.name = name, .matrices = DType::kQ5_1}, wanted, usual({}));
        }
    }
}

TEST_F(HeldWeights, GiveTheLogitsOfAQuantizedFileForEveryType) {
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (!weights_type_from_name(format.name)) continue;
        // Layers of 256 columns, and of 64 and 96, where types of 256 have substitutes.
        expect_as_quantized({.name = "llama", .matrices = DType::kQ6_K}, format.dtype, usual({}));
        expect_as_quantized({.name = "phi3", .matrices = DType::kF16}, format.dtype, usual({}));
    }
}

TEST_F(HeldWeights, AreReadFromEveryType) {
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (!weights_type_from_name(format.name)) continue;
        expect_as_quantized({.name = "qwen3", .matrices = format.dtype}, DType::kF32, usual({}));
    }
}

TEST_F(HeldWeights, GoTogetherWithOtherActivationsAndFusions) {
    LoadModelOptions options = usual({});
    options.activations = model::ActivationMode::kQ16;
    options.without_fusions = {"rows", "linears"};
    expect_as_quantized({.name = "qwen3moe", .matrices = DType::kQ8_0}, DType::kQ4_1, options);
}

TEST_F(HeldWeights, DoNotDependOnTheNumberOfThreads) {
    const fs::path path = write_tiny({.name = "mixtral", .matrices = DType::kQ8_0});
    const std::vector<float> two = logits(path, usual(DType::kQ4_0));
    runtime_ = Runtime::create({.n_threads = 5}).value();
    EXPECT_EQ(logits(path, usual(DType::kQ4_0)), two);
}

TEST_F(HeldWeights, OfTheFilesTypeAreThoseOfTheFile) {
    const fs::path path = write_tiny({.name = "llama", .matrices = DType::kF32});
    EXPECT_EQ(logits(path, usual(DType::kF32)), logits(path, usual({})));
    EXPECT_NE(logits(path, usual(DType::kQ4_0)), logits(path, usual({})));
}

TEST_F(HeldWeights, TakeTheMemoryOfTheirType) {
    const OpenedModel opened = open_model(write_tiny({.name = "llama", .matrices = DType::kQ8_0})).value();
    std::vector<std::size_t> bytes;
    for (const DType type : {DType::kQ4_0, DType::kQ8_0, DType::kF16, DType::kF32}) {
        const LoadedModel loaded = load_model(runtime_, opened, usual(type)).value();
        const backend::MemoryUse use = runtime_.backend().memory_to_load(loaded.device->program(), loaded.scheduler.limits, {});
        EXPECT_EQ(loaded.device->memory().weights_bytes, use.weights_bytes);
        bytes.push_back(use.weights_bytes);
    }
    EXPECT_TRUE(std::ranges::is_sorted(bytes));
    EXPECT_GT(bytes[3], bytes[0] * 5);
}

// What --kv-disk keeps is found by this.
TEST_F(HeldWeights, HaveAnIdentityForEachType) {
    const OpenedModel opened = open_model(write_tiny({.name = "llama", .matrices = DType::kQ8_0})).value();
    std::set<std::uint64_t> identities;
    for (const std::optional<DType> type : {std::optional<DType>(), {DType::kF32}, {DType::kF16}, {DType::kQ4_0}, {DType::kQ4_1}}) {
        identities.insert(program_identity(prepare_model(runtime_.backend(), opened, usual(type)).value().program));
    }
    EXPECT_EQ(identities.size(), 5U);
}

TEST_F(HeldWeights, SayWhatAnotherTypeStandsInFor) {
    write_tiny({.name = "llama", .matrices = DType::kQ8_0});
    const auto served = ServedModel::open(runtime_, "tiny", {folder_}).value();
    std::vector<std::string> said;
    ServeOptions options;
    options.load = usual(DType::kQ4_K);
    options.warn = [&](std::string_view option, std::string_view message) { said.push_back(fmt::format("{}: {}", option, message)); };
    served->load(std::move(options)).value();
    const std::vector<std::string> expected{"weights: blocks of Q4_K do not divide the rows of 23 tensors, which are held as Q5_0"};
    EXPECT_EQ(said, expected);  // 7 of each of 3 layers, the table and the head
}

TEST_F(HeldWeights, NeedATypeWithAnEncoder) {
    EXPECT_FALSE(weights_type_from_name("I32"));
    EXPECT_FALSE(weights_type_from_name("Q9_K"));
    EXPECT_EQ(weights_type_from_name("q4_k"), DType::kQ4_K);
    ServeOptions options;
    options.load.weights = DType::kI32;
    const auto checked = check_options(options);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().kind, ErrorKind::kBadInput);
    EXPECT_TRUE(checked.error().message.starts_with("weights: expected one of F32, F16, ")) << checked.error().message;
}

}  // namespace
}  // namespace rafter::engine
