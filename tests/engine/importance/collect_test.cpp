// Sums of squares of matrices' inputs: against a float64 interpreter of the same program, for every architecture; and text that a model
// writes itself.
#include "engine/importance/collect.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <numeric>

#include "engine/importance/own_text.h"
#include "files/gguf.h"
#include "model/model_file.h"
#include "model/rewrites.h"
#include "tests/support/naive_model.h"
#include "tests/support/tiny_model.h"

namespace rafter::engine {
namespace {

constexpr std::uint32_t kContext = 96;

struct ObservingOptions {
    std::uint32_t step_tokens = 16;
    model::ActivationMode activations = model::ActivationMode::kF32;
    tensor::DType matrices = tensor::DType::kF32;
};

// A tiny model that observes. Groups of layers with a window get no more blocks than window and step need.
struct ObservingModel {
    ObservingModel(Runtime& runtime, const std::string& name, const ObservingOptions& options = {})
        : bytes(model::tiny_gguf({.name = name, .matrices = options.matrices})) {
        load(runtime, name, options);
    }
    ObservingModel(Runtime& runtime, std::vector<std::byte> damaged) : bytes(std::move(damaged)) { load(runtime, "llama", {}); }

    void load(Runtime& runtime, const std::string& name, const ObservingOptions& options) {
        file.emplace(files::GgufFile::parse(bytes, name).value());
        canonical = model::bind(model::build(model::read_config(*file, {}).value()), *file).value();
        SchedulerOptions& scheduler = loaded.scheduler;
        scheduler.limits = {.n_tokens = options.step_tokens, .n_outputs = options.step_tokens};
        scheduler.context = kContext;
        const auto blocks = [&](std::uint32_t n) { return (n + scheduler.block_size - 1) / scheduler.block_size; };
        for (const model::CacheGroup& group : canonical.cache_groups) {
            const std::uint32_t needed = blocks(group.window) + blocks(options.step_tokens) + 2;
            scheduler.n_blocks.push_back(group.window > 0 ? std::min(needed, blocks(kContext)) : blocks(kContext));
        }
        backend::LoadOptions load;
        load.limits = scheduler.limits;
        load.cache.n_blocks = scheduler.n_blocks;
        loaded.device =
            runtime.backend()
                .load(model::rewrite(model::observe_inputs(canonical), {.activations = options.activations, .without = {}}), *file, load)
                .value();
    }

    std::vector<std::byte> bytes;
    std::optional<files::GgufFile> file;
    model::Program canonical;
    LoadedModel loaded;
};

std::vector<TokenId> window_of(std::uint32_t n, std::uint32_t seed) {
    std::vector<TokenId> tokens;
    for (std::uint32_t i = 0; i < n; ++i) tokens.push_back(static_cast<TokenId>((seed + i * i * 7 + i / 3) % 200));
    return tokens;
}
const std::vector<std::vector<TokenId>>& windows() {
    static const std::vector<std::vector<TokenId>> all{window_of(kContext, 1), window_of(40, 77)};
    return all;
}

Runtime runtime_of(unsigned n_threads) { return Runtime::create({.n_threads = n_threads, .isa = ""}).value(); }

files::ImportanceMatrix collected(ObservingModel& model) {
    ImportanceCollector collector(model.loaded);
    for (const auto& window : windows()) collector.add(window);
    return collector.result().value();
}

struct ExpectedEntry {
    std::vector<double> sums;
    std::vector<double> counts;
};

// By the canonical list and its meaning alone: what each matrix multiplied, row by row.
std::map<std::string, ExpectedEntry> expected_of(const ObservingModel& model) {
    const backend::NaiveModel naive(model.canonical, *model.file, backend::KvType::kF16, backend::KvType::kF16);
    std::map<std::pair<model::ValueId, const void*>, backend::NaiveModel::Rows> known;  // matrices share inputs
    const auto rows_of = [&](model::ValueId id, const std::vector<TokenId>& window) -> const backend::NaiveModel::Rows& {
        const auto [at, is_new] = known.try_emplace({id, &window});
        if (is_new) at->second = naive.value(id, window);
        return at->second;
    };
    std::map<std::string, ExpectedEntry> expected;
    const std::size_t k = model.canonical.config.moe.n_experts_used;
    for (const model::Op& op : model.canonical.ops) {
        if (op.kind != model::OpKind::kLinear && op.kind != model::OpKind::kExpertLinear) continue;
        const model::Weight& weight = model.canonical.weights[op.weights.front()];
        ExpectedEntry entry{.sums = std::vector<double>(std::size_t{weight.n_experts} * weight.n_cols),
                            .counts = std::vector<double>(weight.n_experts)};
        const auto add = [&](std::size_t matrix, const std::vector<double>& row) {
            for (std::size_t c = 0; c < row.size(); ++c) entry.sums[matrix * weight.n_cols + c] += row[c] * row[c];
            ++entry.counts[matrix];
        };
        for (const auto& window : windows()) {
            const auto& rows = rows_of(op.inputs[0], window);
            if (op.kind == model::OpKind::kLinear) {
                for (const auto& row : rows) add(0, row);
                continue;
            }
            const auto& routing = rows_of(op.inputs[1], window);
            const bool by_slot = model.canonical.values[op.inputs[0]].rows == model::RowKind::kSlots;
            for (std::size_t t = 0; t < window.size(); ++t) {
                for (std::size_t rank = 0; rank < k; ++rank)
                    add(static_cast<std::size_t>(routing[t][rank]), rows[by_slot ? t * k + rank : t]);
            }
        }
        expected[weight.tensor] = std::move(entry);
    }
    return expected;
}

class Importance : public ::testing::TestWithParam<std::string> {};

TEST_P(Importance, IsThatOfAFloat64Model) {
    Runtime runtime = runtime_of(2);
    ObservingModel model(runtime, GetParam());
    const files::ImportanceMatrix matrix = collected(model);
    const auto expected = expected_of(model);
    EXPECT_EQ(matrix.n_chunks, 2U);
    EXPECT_EQ(matrix.chunk_tokens, kContext);
    ASSERT_EQ(matrix.entries.size(), expected.size());
    for (const auto& [tensor, entry] : expected) {
        ASSERT_TRUE(matrix.entries.contains(tensor)) << tensor;
        const files::ImportanceEntry& found = matrix.entries.at(tensor);
        ASSERT_EQ(found.sum_squares.size(), entry.sums.size()) << tensor;
        ASSERT_EQ(found.counts.size(), entry.counts.size()) << tensor;
        for (std::size_t m = 0; m < entry.counts.size(); ++m) EXPECT_EQ(found.counts[m], entry.counts[m]) << tensor << " " << m;
        const double mean = std::accumulate(entry.sums.begin(), entry.sums.end(), 0.0) / static_cast<double>(entry.sums.size());
        EXPECT_GT(mean, 0.0) << tensor;
        for (std::size_t i = 0; i < entry.sums.size(); ++i) {
            ASSERT_NEAR(found.sum_squares[i], entry.sums[i], 2e-3 * entry.sums[i] + 1e-5 * mean) << tensor << " " << i;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Importance, ::testing::ValuesIn(model::tiny_models()), [](const auto& tiny) {
    std::string name = tiny.param;
    std::ranges::replace(name, '-', '_');
    return name;
});

TEST(ImportanceOfExperts, CountsEveryTokenOnceForEachExpertThatItUses) {
    Runtime runtime = runtime_of(2);
    ObservingModel model(runtime, "mixtral");
    const files::ImportanceMatrix matrix = collected(model);
    const std::size_t n_tokens = windows()[0].size() + windows()[1].size();
    const model::MoeConfig& moe = model.canonical.config.moe;
    std::size_t n_of_experts = 0;
    for (const auto& [name, entry] : matrix.entries) {
        const float all = std::accumulate(entry.counts.begin(), entry.counts.end(), 0.0F);
        const bool experts = name.find("_exps.") != std::string::npos;
        EXPECT_EQ(entry.n_matrices, experts ? moe.n_experts : 1U) << name;
        EXPECT_EQ(all, static_cast<float>(n_tokens * (experts ? moe.n_experts_used : 1))) << name;
        n_of_experts += experts ? 1 : 0;
    }
    EXPECT_EQ(n_of_experts, 3U * model.canonical.config.n_layers);
}

TEST(ImportanceBits, AreTheSameForAnyThreadsAndSteps) {
    for (const std::string name : {"llama", "mixtral", "gemma3"}) {
        std::optional<files::ImportanceMatrix> first;
        for (const auto& [n_threads, step_tokens] : {std::pair{1U, 16U}, {2U, 96U}, {3U, 7U}}) {
            Runtime runtime = runtime_of(n_threads);
            ObservingModel model(runtime, name,
                                 {.step_tokens = step_tokens, .activations = model::ActivationMode::kQ8, .matrices = tensor::DType::kQ8_0});
            const files::ImportanceMatrix matrix = collected(model);
            if (!first) first = matrix;
            for (const auto& [tensor, entry] : first->entries) {
                EXPECT_EQ(entry.sum_squares, matrix.entries.at(tensor).sum_squares)
                    << name << " " << tensor << ", " << n_threads << " threads";
            }
        }
    }
}

TEST(ImportanceOfADamagedModel, IsRefusedByTheTensorsName) {
    std::vector<std::byte> bytes = model::tiny_gguf({.name = "llama"});
    {
        const auto file = files::GgufFile::parse(bytes, "llama").value();
        const files::NamedTensor* gain = file.find_tensor("blk.1.ffn_norm.weight");
        ASSERT_NE(gain, nullptr);
        const float nan = std::numeric_limits<float>::quiet_NaN();
        std::memcpy(bytes.data() + (gain->bytes.data() - bytes.data()) + 3 * sizeof nan, &nan, sizeof nan);
    }
    Runtime runtime = runtime_of(1);
    ObservingModel model(runtime, std::move(bytes));
    ImportanceCollector collector(model.loaded);
    collector.add(windows()[1]);
    const auto matrix = collector.result();
    ASSERT_FALSE(matrix);
    EXPECT_TRUE(matrix.error().message.starts_with("blk.1.ffn_gate.weight: column 3: expected finite inputs")) << matrix.error().message;
}

// open_model() wants a file.
OpenedModel opened_tiny() {
    const auto path = std::filesystem::path(::testing::TempDir()) / "own_text.gguf";
    const auto bytes = model::tiny_gguf({.name = "llama"});
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    OpenedModel opened = open_model(path).value();
    std::filesystem::remove(path);
    return opened;
}

struct WritingModel {
    explicit WritingModel(Runtime& runtime) {
        LoadModelOptions options;
        options.context = 48;
        options.n_sequences = 4;
        options.n_outputs = 4;
        loaded = load_model(runtime, opened, options).value();
        engine = std::make_unique<Engine>(*loaded.device, *opened.tokenizer, loaded.scheduler);
    }
    [[nodiscard]] std::vector<TokenId> write(std::uint64_t seed) const {
        return write_own_text(*engine, opened, {.n_tokens = 400, .context = 48, .n_together = 4, .seed = seed, .written = {}})
            .value()
            .value();
    }
    OpenedModel opened = opened_tiny();
    LoadedModel loaded;
    std::unique_ptr<Engine> engine;
};

TEST(OwnText, IsTheSeedsAlone) {
    Runtime runtime = runtime_of(2);
    const WritingModel model(runtime);
    const std::vector<TokenId> text = model.write(5);
    EXPECT_GE(text.size(), 400U);
    EXPECT_LE(text.size(), 400U + 4 * 48);
    EXPECT_EQ(model.write(5), text);
    EXPECT_NE(model.write(6), text);
    Runtime other_runtime = runtime_of(1);
    EXPECT_EQ(WritingModel(other_runtime).write(5), text);
}

TEST(OwnText, StopsWhenAsked) {
    Runtime runtime = runtime_of(1);
    const WritingModel model(runtime);
    std::size_t n_calls = 0;
    const auto text = write_own_text(
        *model.engine, model.opened,
        {.n_tokens = 4000, .context = 48, .n_together = 4, .seed = 1, .written = [&](std::size_t) { return ++n_calls < 5; }});
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_FALSE(text->has_value());
    EXPECT_EQ(n_calls, 5U);
    EXPECT_EQ(model.engine->n_running(), 0U);
    EXPECT_GE(model.write(5).size(), 400U);  // the engine is as good as before
}

}  // namespace
}  // namespace rafter::engine
