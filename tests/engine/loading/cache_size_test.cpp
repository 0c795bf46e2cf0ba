// The KV cache's size against counts position by position, sequences that live in it, and what loaded models really take.
#include "engine/loading/cache_size.h"
#include "files/gguf.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "base/os_memory.h"
#include "engine/loading/loaded_model.h"
#include "model/model_file.h"
#include "model/program.h"
#include "tests/engine/engine_rig.h"
#include "tests/support/rounds.h"
#include "tests/support/tiny_model.h"

namespace rafter::engine::tests {
namespace {

constexpr double kPlentyOfBytes = 1e18;
constexpr std::uint32_t kMax = std::numeric_limits<std::uint32_t>::max();

// Blocks that one sequence holds at most, where each step computes up to step_tokens of them: those of the step and those that it sees.
std::uint32_t slow_blocks(std::uint32_t window, const CacheDemand& demand) {
    std::uint32_t most = 0;
    for (std::uint32_t n_past = 0; n_past < demand.context; ++n_past) {
        std::set<std::uint32_t> held;
        const std::uint32_t n_after = std::min(demand.context, n_past + demand.step_tokens);
        for (std::uint32_t p = 0; p < n_after; ++p) {
            if (window == 0 || p + window > n_past) held.insert(p / demand.block_size);
        }
        most = std::max(most, static_cast<std::uint32_t>(held.size()));
    }
    return most;
}

std::vector<model::CacheGroup> groups_of(const std::vector<std::uint32_t>& windows) {
    std::vector<model::CacheGroup> groups;
    for (const std::uint32_t window : windows) groups.push_back({.window = window, .layers = {static_cast<std::uint32_t>(groups.size())}});
    return groups;
}

CacheDemand random_demand(std::mt19937& random) {
    return {.context = 1 + static_cast<std::uint32_t>(random() % 300),
            .step_tokens = 1 + static_cast<std::uint32_t>(random() % 40),
            .n_sequences = 1 + static_cast<std::uint32_t>(random() % 5),
            .block_size = 1 + static_cast<std::uint32_t>(random() % 20),
            .bytes_per_token = 1.0 + static_cast<double>(random() % 5000)};
}

std::vector<model::CacheGroup> random_groups(std::mt19937& random) {
    std::vector<model::CacheGroup> groups(1 + random() % 3);
    for (std::size_t g = 1; g < groups.size(); ++g) groups[g].window = 1 + random() % 100;
    if (random() % 4 == 0) groups[0].window = 1 + random() % 100;
    const std::uint32_t n_layers = static_cast<std::uint32_t>(groups.size()) + random() % 30;
    for (std::uint32_t layer = 0; layer < n_layers; ++layer)
        groups[layer < groups.size() ? layer : random() % groups.size()].layers.push_back(layer);
    return groups;
}

std::size_t count_layers(std::span<const model::CacheGroup> groups) {
    std::size_t n = 0;
    for (const model::CacheGroup& group : groups) n += group.layers.size();
    return n;
}

TEST(CacheSize, TakesWholeBlocksForTheContextOfEachSequence) {
    const auto n_blocks = [](std::uint32_t context, std::uint32_t n_sequences) {
        return size_cache(groups_of({0}), {.context = context, .n_sequences = n_sequences, .block_size = 16, .bytes_per_token = 1.0},
                          kPlentyOfBytes)
            .n_blocks;
    };
    EXPECT_EQ(n_blocks(1, 1), std::vector<std::uint32_t>{1});
    EXPECT_EQ(n_blocks(16, 1), std::vector<std::uint32_t>{1});
    EXPECT_EQ(n_blocks(17, 1), std::vector<std::uint32_t>{2});
    EXPECT_EQ(n_blocks(17, 7), std::vector<std::uint32_t>{14});
    EXPECT_EQ(n_blocks(0, 7), std::vector<std::uint32_t>{0});
}

TEST(CacheSize, AWindowTakesWhatItAndOneStepSee) {
    std::mt19937 random(1);
    int n_shorter = 0;
    for (int round = 0; round < rafter::tests::rounds(300); ++round) {
        const CacheDemand demand = random_demand(random);
        const std::uint32_t window = random() % 5 == 0 ? 0 : 1 + random() % 100;
        CacheDemand one = demand;
        one.n_sequences = 1;
        const std::uint32_t found = size_cache(groups_of({window}), one, kPlentyOfBytes).n_blocks.at(0);
        const std::uint32_t needed = slow_blocks(window, demand);
        const std::uint32_t all = slow_blocks(0, demand);
        ASSERT_GE(found, needed) << round;
        ASSERT_LE(found, std::min(all, needed + 3)) << round;  // parts of blocks, of the window and of the step, at either end
        n_shorter += found < all;
        // A window that reaches back as far as there are positions is none.
        ASSERT_EQ(size_cache(groups_of({demand.context}), one, kPlentyOfBytes).n_blocks.at(0), all);
    }
    EXPECT_GT(n_shorter, rafter::tests::rounds(300) / 10);
}

TEST(CacheSize, CountsEachLayersBytes) {
    std::mt19937 random(2);
    for (int round = 0; round < rafter::tests::rounds(1000); ++round) {
        const std::vector<model::CacheGroup> groups = random_groups(random);
        CacheDemand demand = random_demand(random);
        const std::uint64_t layer_bytes = 1 + random() % 4096;  // a token
        demand.bytes_per_token = static_cast<double>(layer_bytes * count_layers(groups));
        const CacheSize size = size_cache(groups, demand, kPlentyOfBytes);
        ASSERT_EQ(size.n_blocks.size(), groups.size());
        std::uint64_t sequence_bytes = 0;
        for (std::size_t g = 0; g < groups.size(); ++g) {
            ASSERT_EQ(size.n_blocks[g] % demand.n_sequences, 0U);
            const std::uint64_t n_positions = std::uint64_t{size.n_blocks[g]} / demand.n_sequences * demand.block_size;
            for (std::size_t i = 0; i < groups[g].layers.size(); ++i) sequence_bytes += n_positions * layer_bytes;
        }
        ASSERT_NEAR(size.sequence_bytes, static_cast<double>(sequence_bytes), 1e-9 * static_cast<double>(sequence_bytes)) << round;
        // What there is does not change what one takes.
        ASSERT_EQ(size_cache(groups, demand, 1.0).sequence_bytes, size.sequence_bytes);
    }
}

TEST(CacheSize, FillsTheMemoryAndKeepsToItWithTheSameShareForAllGroups) {
    std::mt19937 random(3);
    int n_full = 0, n_parts = 0;
    const int n_rounds = rafter::tests::rounds(2000);
    for (int round = 0; round < n_rounds; ++round) {
        const std::vector<model::CacheGroup> groups = random_groups(random);
        const CacheDemand demand = random_demand(random);
        CacheDemand one = demand;
        one.n_sequences = 1;
        const CacheSize alone = size_cache(groups, one, kPlentyOfBytes);
        const double available = alone.sequence_bytes * (random() % 7000) / 1000.0;
        const CacheSize size = size_cache(groups, demand, available);
        const auto n_layers = static_cast<double>(count_layers(groups));
        double bytes = 0.0;
        double one_block_each = 0.0;
        for (std::size_t g = 0; g < groups.size(); ++g) {
            const double block_bytes = demand.bytes_per_token * demand.block_size * static_cast<double>(groups[g].layers.size()) / n_layers;
            bytes += size.n_blocks[g] * block_bytes;
            one_block_each += block_bytes;
            // No group runs out before another: each has room for as many whole sequences.
            ASSERT_GE(size.n_blocks[g],
                      alone.n_blocks[g] * std::min<double>(demand.n_sequences, std::floor(available / alone.sequence_bytes)))
                << round;
            ASSERT_LE(size.n_blocks[g], alone.n_blocks[g] * demand.n_sequences) << round;
        }
        ASSERT_LE(bytes, available * (1.0 + 1e-9)) << round;
        const bool full = bytes >= demand.n_sequences * alone.sequence_bytes * (1.0 - 1e-9);
        ASSERT_TRUE(full || bytes + one_block_each > available * (1.0 - 1e-9)) << round;
        n_full += full;
        n_parts += !full && available < alone.sequence_bytes && bytes > 0.0;
    }
    EXPECT_GT(n_full, n_rounds / 10);
    EXPECT_GT(n_parts, n_rounds / 20);
}

TEST(CacheSize, SequencesOfNBlocksFitIntoNTimesTheirBytes) {
    const auto groups = groups_of({0, 100});
    for (std::uint32_t n = 1; n < 200; ++n) {
        const CacheDemand demand{.context = 1000 + n, .step_tokens = 64, .n_sequences = kMax, .bytes_per_token = 131072.0 + 2 * n};
        const CacheSize one = size_cache(groups, demand, 0.0);
        EXPECT_EQ(size_cache(groups, demand, n * one.sequence_bytes).n_blocks[0], n * ((1000 + n + 15) / 16)) << n;
    }
}

TEST(CacheSize, TheLargestNumbersDoNotWrap) {
    CacheDemand demand{.context = kMax, .step_tokens = kMax, .n_sequences = kMax, .block_size = 16, .bytes_per_token = 1e6};
    const auto groups = groups_of({0, kMax});
    CacheSize size = size_cache(groups, demand, std::numeric_limits<double>::infinity());
    EXPECT_EQ(size.n_blocks, (std::vector<std::uint32_t>{kMax, kMax}));
    EXPECT_DOUBLE_EQ(size.sequence_bytes, 1e6 * 4294967296.0);
    demand.n_sequences = 1;
    EXPECT_EQ(size_cache(groups, demand, kPlentyOfBytes).n_blocks, (std::vector<std::uint32_t>{1U << 28U, 1U << 28U}));
    // The window's block, the step's, and one at either end, though the step alone needs more positions than there are numbers.
    demand.block_size = kMax;
    EXPECT_EQ(size_cache(groups_of({1}), demand, kPlentyOfBytes).n_blocks.at(0), 1U);
    demand.block_size = 1;
    demand.step_tokens = 1;
    EXPECT_EQ(size_cache(groups_of({10}), demand, kPlentyOfBytes).n_blocks.at(0), 13U);
}

TEST(CacheSize, NothingIsWhatNoMemoryHolds) {
    const CacheDemand demand{.context = 100, .step_tokens = 8, .n_sequences = 4, .bytes_per_token = 1000.0};
    const std::vector<std::uint32_t> none{0, 0};
    for (const double available : {0.0, -1.0, -1e30, 15.0}) EXPECT_EQ(size_cache(groups_of({0, 9}), demand, available).n_blocks, none);
    EXPECT_TRUE(size_cache({}, demand, kPlentyOfBytes).n_blocks.empty());
    EXPECT_EQ(size_cache({}, demand, kPlentyOfBytes).sequence_bytes, 0.0);
    CacheDemand free = demand;
    free.bytes_per_token = 0.0;
    EXPECT_EQ(size_cache(groups_of({0}), free, 0.0).n_blocks.at(0), 4 * 7U);
}

// Prompts of other lengths, answers up to the end of the context, steps shared by all of them: nobody is ever preempted.
TEST(CacheSize, AsManySequencesAsItIsMadeForRunTogetherToTheEnd) {
    std::mt19937 random(4);
    std::uint64_t n_together = 0;
    for (int round = 0; round < rafter::tests::rounds(200); ++round) {
        const std::vector<std::uint32_t> windows =
            random() % 4 ? std::vector<std::uint32_t>{0, 1 + static_cast<std::uint32_t>(random() % 40)} : std::vector<std::uint32_t>{0};
        const CacheDemand demand{.context = 20 + static_cast<std::uint32_t>(random() % 150),
                                 .step_tokens = 4 + static_cast<std::uint32_t>(random() % 40),
                                 .n_sequences = 1 + static_cast<std::uint32_t>(random() % 4),
                                 .block_size = 1 + static_cast<std::uint32_t>(random() % 16),
                                 .bytes_per_token = 8.0};
        const CacheSize size = size_cache(groups_of(windows), demand, kPlentyOfBytes);
        const FakeTokenizer tokenizer;
        FakeModel model(windows, *std::max_element(size.n_blocks.begin(), size.n_blocks.end()), demand.block_size);
        Engine engine(model, tokenizer,
                      {.limits = {.n_tokens = demand.step_tokens, .n_outputs = 4},
                       .context = demand.context,
                       .block_size = demand.block_size,
                       .n_blocks = size.n_blocks,
                       .windows = windows,
                       .prefix_cache = random() % 2 == 0});
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (std::uint32_t i = 0; i < demand.n_sequences; ++i) {
            Request request = request_of("", demand.context);
            request.prompt.resize(1 + random() % (demand.context - 1));
            for (TokenId& token : request.prompt) token = static_cast<TokenId>(random() % 26);
            streams.push_back(*engine.submit(std::move(request)));
        }
        std::size_t n_most = 0;
        while (engine.step()) n_most = std::max(n_most, engine.scheduler().n_running());
        n_together += n_most == demand.n_sequences && n_most > 1;
        EXPECT_EQ(engine.scheduler().counters().preemptions, 0U);
        for (const auto& stream : streams) {
            const StreamUpdate update = stream->take();
            ASSERT_TRUE(update.finish.has_value());
            EXPECT_EQ(update.finish->reason, FinishReason::kLength);
            EXPECT_EQ(update.finish->times.n_prompt + update.finish->times.n_generated, demand.context);
        }
        if (HasFailure()) FAIL() << "in round " << round;
    }
    EXPECT_GT(n_together, 5U);
}

struct Tiny {
    explicit Tiny(const model::TinyModel& options) : bytes(model::tiny_gguf(options)) {
        auto file = files::GgufFile::parse(bytes, "tiny").value();
        auto tokenizer = text::Tokenizer::load(file.metadata()).value();
        auto config = model::read_config(file, {}).value();
        auto chat_template = text::ChatTemplate::load(file.metadata()).value();
        opened.emplace(OpenedModel{.source = std::make_unique<files::GgufFile>(std::move(file)),
                                   .tokenizer = std::move(tokenizer),
                                   .config = std::move(config),
                                   .chat_template = std::move(chat_template)});
    }
    std::vector<std::byte> bytes;
    std::optional<OpenedModel> opened;
};

// A head's keys, or values, of one block in the CPU's cache: groups of up to 32 elements have a scale of two bytes, those of q4 a minimum
// too; each part starts on a cache line.
std::uint64_t part_bytes(backend::KvType type, std::uint64_t head_dim, std::uint64_t block_size) {
    const std::uint64_t n_groups = (head_dim + 31) / 32;
    std::uint64_t row = 0;
    if (type == backend::KvType::kF32) row = 4 * head_dim;
    if (type == backend::KvType::kF16 || type == backend::KvType::kBF16) row = 2 * head_dim;
    if (type == backend::KvType::kQ8) row = head_dim + 2 * n_groups;
    if (type == backend::KvType::kQ4) row = head_dim / 2 + 4 * n_groups;
    return (row * block_size + 63) / 64 * 64;
}

std::uint64_t layer_block_bytes(const model::ModelConfig& config, const LoadModelOptions& options) {
    return config.n_kv_heads * (part_bytes(options.key_type, config.head_dim, options.block_size) +
                                part_bytes(options.value_type, config.head_dim, options.block_size));
}

using backend::KvType;
constexpr std::array kTypes = {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kQ8, KvType::kQ4};

TEST(CacheSize, ALoadedModelTakesNoMoreThanItsCacheIsAllowed) {
    auto runtime = Runtime::create({.n_threads = 1}).value();
    std::mt19937 random(5);
    int n_limited = 0;
    std::vector<model::TinyModel> models{{.name = "llama", .matrices = tensor::DType::kQ4_K}};  // wider heads
    for (const std::string& name : model::tiny_models()) models.push_back({.name = name});
    for (const model::TinyModel& options : models) {
        const Tiny tiny(options);
        for (const KvType key_type : kTypes) {
            LoadModelOptions load{.context = 1 + static_cast<std::uint32_t>(random() % 512),
                                  .n_sequences = 1 + static_cast<std::uint32_t>(random() % 6),
                                  .block_size = 16U << random() % 3,
                                  .key_type = key_type,
                                  .value_type = kTypes[random() % kTypes.size()]};
            const model::ModelConfig& config = tiny.opened->config;
            const std::uint64_t block_bytes = layer_block_bytes(config, load);
            const auto all = load_model(runtime, *tiny.opened, load);
            ASSERT_TRUE(all.has_value()) << all.error().message;
            ASSERT_EQ(all->scheduler.n_blocks.size(), all->scheduler.windows.size());
            std::uint64_t expected = 0;
            for (const model::LayerConfig& layer : config.layers) {
                const auto group = std::find(all->scheduler.windows.begin(), all->scheduler.windows.end(), layer.window);
                ASSERT_NE(group, all->scheduler.windows.end());
                const std::uint32_t n_blocks = all->scheduler.n_blocks[static_cast<std::size_t>(group - all->scheduler.windows.begin())];
                EXPECT_GE(n_blocks, load.n_sequences * slow_blocks(layer.window, {.context = *load.context,
                                                                                  .step_tokens = all->scheduler.limits.n_tokens,
                                                                                  .block_size = load.block_size}));
                expected += n_blocks * block_bytes;
            }
            const std::string what = fmt::format("{}, {} and {}, blocks of {}", options.name, backend::to_string(load.key_type),
                                                 backend::to_string(load.value_type), load.block_size);
            EXPECT_EQ(all->device->memory().cache_bytes, expected) << what;

            const std::uint64_t one = expected / load.n_sequences;
            load.kv_memory_bytes = one + random() % expected;
            const auto limited = load_model(runtime, *tiny.opened, load);
            ASSERT_TRUE(limited.has_value()) << limited.error().message;
            EXPECT_LE(limited->device->memory().cache_bytes, *load.kv_memory_bytes) << what;
            EXPECT_GT(limited->device->memory().cache_bytes + config.n_layers * block_bytes, std::min(expected, *load.kv_memory_bytes))
                << what;
            n_limited += *load.kv_memory_bytes < expected;

            load.kv_memory_bytes = one;
            EXPECT_TRUE(prepare_model(runtime.backend(), *tiny.opened, load).has_value()) << what;
            load.kv_memory_bytes = one - 1;
            const auto refused = prepare_model(runtime.backend(), *tiny.opened, load);
            ASSERT_FALSE(refused.has_value()) << what;
            EXPECT_EQ(refused.error().kind, ErrorKind::kOutOfMemory);
            EXPECT_EQ(refused.error().message,
                      fmt::format("a KV cache for {} tokens takes {}, but only {} of memory is allowed; use a smaller context",
                                  *load.context, format_bytes(one), format_bytes(one - 1)));
        }
    }
    EXPECT_GT(n_limited, 20);
}

TEST(CacheSize, ForMoreSequencesThanFitItLeavesRoomForTheRest) {
    auto runtime = Runtime::create({.n_threads = 1}).value();
    Tiny tiny({.matrices = tensor::DType::kQ4_K});
    tiny.opened->config.n_context = kMax;
    const LoadModelOptions load{.context = 65536, .n_sequences = kMax};
    const auto prepared = prepare_model(runtime.backend(), *tiny.opened, load);
    ASSERT_TRUE(prepared.has_value()) << prepared.error().message;
    ASSERT_EQ(prepared->scheduler.n_blocks.size(), 1U);
    const model::ModelConfig& config = tiny.opened->config;
    const std::uint64_t cache = prepared->scheduler.n_blocks.front() * layer_block_bytes(config, load) * config.n_layers;
    const std::uint64_t available = read_memory_state().available_bytes;
    ASSERT_GT(available, 0U);
    EXPECT_LT(cache, available);
    EXPECT_GT(cache, available / 2);
}

TEST(CacheSize, WhatIsAllowedBeyondWhatIsThereIsNotWhatIsMissing) {
    auto runtime = Runtime::create({.n_threads = 1}).value();
    Tiny tiny({.matrices = tensor::DType::kQ4_K});
    tiny.opened->config.n_context = kMax;
    for (const auto allowed : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(std::numeric_limits<std::uint64_t>::max())}) {
        const auto refused =
            prepare_model(runtime.backend(), *tiny.opened,
                          {.context = kMax, .kv_memory_bytes = allowed, .key_type = KvType::kF32, .value_type = KvType::kF32});
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().kind, ErrorKind::kOutOfMemory);
        EXPECT_TRUE(refused.error().message.starts_with("a KV cache for 4,294,967,295 tokens takes 12.0 TiB, but only "))
            << refused.error().message;
        EXPECT_TRUE(refused.error().message.ends_with(" of memory is available beside the weights; use a smaller context"))
            << refused.error().message;
    }
}

TEST(CacheSize, ContextsAreChosenWithinWhatTheModelWasTrainedFor) {
    model::ModelConfig config;
    config.n_context = 10'000;
    const auto chosen = [&](const LoadModelOptions& options) { return choose_context(config, options); };
    EXPECT_EQ(*chosen({}), 4096U);
    EXPECT_EQ(*chosen({.context_needed = 4097}), 4097U);
    EXPECT_EQ(*chosen({.context_needed = std::numeric_limits<std::uint64_t>::max()}), 10'000U);
    EXPECT_EQ(*chosen({.context = 1, .context_needed = 500}), 1U);
    EXPECT_EQ(*chosen({.context = 10'000}), 10'000U);
    EXPECT_EQ(chosen({.context = 0}).error().message, "context: expected at least 1 token, found 0");
    EXPECT_EQ(chosen({.context = 10'001}).error().message,
              "context: expected at most 10,000, which the model was trained for, found 10,001");
    config.n_context = 512;
    EXPECT_EQ(*chosen({}), 512U);
}

}  // namespace
}  // namespace rafter::engine::tests
