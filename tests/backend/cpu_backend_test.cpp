// Whole programs on the CPU: tiny models of every architecture against a float64 interpreter, and against themselves with ==, however a
// prompt is cut, whoever else is in the step, on any number of threads, with any blocks, fused or not.
#include "backend/cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <random>
#include <utility>

#include "files/gguf.h"
#include "model/model_file.h"
#include "model/rewrites.h"
#include "tests/isa_under_test.h"
#include "tests/support/naive_model.h"
#include "tests/support/tiny_model.h"

namespace rafter::backend::cpu {
namespace {

using Logits = std::vector<std::vector<float>>;  // [n_tokens][n_vocab]

struct Variant {
    std::string model = "llama";
    tensor::DType matrices = tensor::DType::kF32;
    Isa isa = best_isa();
    unsigned n_threads = 2;
    model::RewriteOptions rewrites = {.activations = model::ActivationMode::kF32, .without = {}};
    KvType key_type = KvType::kF16;
    KvType value_type = KvType::kF16;
    std::uint32_t block_size = 16;
    std::uint32_t seed = 1;  // of the blocks' order
    bool has_nan_token = false;
};

constexpr std::int32_t kNanToken = 250;  // no prompt has it

// Makes the embedding of kNanToken NaN.
void poison_token(std::vector<std::byte>& gguf) {
    const auto file = files::GgufFile::parse(gguf, "tiny");
    const files::NamedTensor* const table = file->find_tensor("token_embd.weight");
    const std::size_t row_bytes = table->shape.back() * sizeof(float);
    std::memset(gguf.data() + (table->bytes.data() - gguf.data()) + kNanToken * row_bytes, 0xff, row_bytes);
}

// A loaded tiny model with a KV cache of its own and sequences that grow step by step.
class Engine {
  public:
    explicit Engine(const Variant& setup) : setup_(setup), bytes_(model::tiny_gguf({.name = setup.model, .matrices = setup.matrices})) {
        if (setup.has_nan_token) poison_token(bytes_);
        auto file = files::GgufFile::parse(bytes_, setup.model);
        EXPECT_TRUE(file);
        auto config = model::read_config(*file, {});
        EXPECT_TRUE(config);
        auto bound = model::bind(model::build(*config), *file);
        EXPECT_TRUE(bound);
        canonical_ = *bound;
        pool_ = std::make_unique<ThreadPool>(ThreadPool::Options{.n_threads = setup.n_threads, .pin = false});
        backend_ = make_cpu_backend(*pool_, setup.isa);
        LoadOptions options{.limits = {.n_tokens = 128, .n_outputs = 128, .n_positions = 512}, .cache = {}, .progress = {}};
        options.cache.key_type = setup.key_type;
        options.cache.value_type = setup.value_type;
        options.cache.block_size = setup.block_size;
        options.cache.n_blocks.assign(canonical_.cache_groups.size(), n_blocks());
        auto loaded = backend_->load(model::rewrite(canonical_, setup.rewrites), *file, options);
        EXPECT_TRUE(loaded) << loaded.error().message;
        model_ = std::move(*loaded);
        naive_ = std::make_unique<NaiveModel>(canonical_, *file, setup.key_type, setup.value_type);
        for (std::size_t g = 0; g < canonical_.cache_groups.size(); ++g) {
            free_blocks_.emplace_back(n_blocks());
            std::iota(free_blocks_.back().begin(), free_blocks_.back().end(), 0);
            std::shuffle(free_blocks_.back().begin(), free_blocks_.back().end(), std::mt19937(setup.seed + static_cast<unsigned>(g)));
        }
    }

    struct Part {
        std::uint32_t sequence;
        std::vector<std::int32_t> tokens;
    };
    // Appends the tokens to their sequences; logits of every one of them.
    void step(const std::vector<Part>& parts) {
        Batch batch;
        batch.copies = std::exchange(copies_, {});
        for (const Part& part : parts) {
            Sequence& s = sequences_[part.sequence];
            const auto n_new = static_cast<std::uint32_t>(part.tokens.size());
            s.tables.resize(free_blocks_.size());
            for (std::size_t g = 0; g < free_blocks_.size(); ++g) {
                while (s.tables[g].size() * setup_.block_size < s.n_past + n_new) s.tables[g].push_back(take_block(g));
            }
            batch.sequences.push_back({.step = {.n_new = n_new, .n_past = s.n_past, .n_outputs = n_new},
                                       .first_row = static_cast<std::uint32_t>(batch.tokens.size()),
                                       .block_tables = s.tables});
            for (const std::int32_t token : part.tokens) {
                batch.output_rows.push_back(static_cast<std::uint32_t>(batch.tokens.size()));
                batch.tokens.push_back(token);
                batch.positions.push_back(s.n_past++);
            }
        }
        const StepOutput out = model_->forward(batch);
        EXPECT_EQ(out.logits.size(), batch.tokens.size() * out.n_vocab);
        std::size_t row = 0;
        for (const Part& part : parts) {
            for (std::size_t i = 0; i < part.tokens.size(); ++i, ++row) {
                const auto logits = out.logits_of(row);
                sequences_[part.sequence].logits.emplace_back(logits.begin(), logits.end());
            }
        }
    }
    // `to` begins as what `from` is now: they share whole blocks, and the next step copies the last one.
    void fork(std::uint32_t from, std::uint32_t to) {
        Sequence& s = sequences_[to] = sequences_[from];
        for (std::uint32_t g = 0; g < free_blocks_.size() && s.n_past % setup_.block_size != 0; ++g) {
            const BlockId copy = take_block(g);
            copies_.push_back({.group = g, .from = std::exchange(s.tables[g].back(), copy), .to = copy});
        }
    }
    // Lets the entries that windows have left behind name the first block of another sequence.
    void leave_behind(std::uint32_t sequence, std::uint32_t other) {
        Sequence& s = sequences_[sequence];
        for (std::size_t g = 0; g < free_blocks_.size(); ++g) {
            const std::uint32_t window = canonical_.cache_groups[g].window;
            if (window == 0) continue;
            for (std::size_t b = 0; (b + 1) * setup_.block_size + window <= s.n_past + 1; ++b) {
                s.tables[g][b] = sequences_[other].tables[g].front();
                ++n_left_behind_;
            }
        }
    }
    [[nodiscard]] std::size_t n_left_behind() const { return n_left_behind_; }

    const Logits& logits(std::uint32_t sequence = 0) { return sequences_[sequence].logits; }
    const NaiveModel& naive() const { return *naive_; }
    DeviceModel& model() { return *model_; }

  private:
    struct Sequence {
        std::uint32_t n_past = 0;
        std::vector<std::vector<BlockId>> tables;
        Logits logits;
    };
    [[nodiscard]] std::uint32_t n_blocks() const { return 4 * 128 / setup_.block_size + 4; }
    BlockId take_block(std::size_t group) {
        const BlockId block = free_blocks_[group].back();
        free_blocks_[group].pop_back();
        return block;
    }

    Variant setup_;
    std::vector<std::byte> bytes_;
    model::Program canonical_;
    std::unique_ptr<ThreadPool> pool_;
    std::unique_ptr<Backend> backend_;
    std::unique_ptr<DeviceModel> model_;
    std::unique_ptr<NaiveModel> naive_;
    std::vector<std::vector<BlockId>> free_blocks_;
    std::map<std::uint32_t, Sequence> sequences_;
    std::vector<BlockCopy> copies_;
    std::size_t n_left_behind_ = 0;
};

std::vector<std::int32_t> prompt(std::size_t n, std::uint32_t seed = 0) {
    std::mt19937 random(seed);
    std::vector<std::int32_t> tokens(n);
    for (std::int32_t& t : tokens) t = static_cast<std::int32_t>(random() % 250);
    return tokens;
}

Logits logits_in_pieces(const Variant& setup, const std::vector<std::int32_t>& tokens, std::size_t size) {
    Engine engine(setup);
    for (std::size_t at = 0; at < tokens.size(); at += size) {
        const std::size_t n = std::min(size, tokens.size() - at);
        engine.step({{0, {tokens.begin() + static_cast<std::ptrdiff_t>(at), tokens.begin() + static_cast<std::ptrdiff_t>(at + n)}}});
    }
    return engine.logits();
}
Logits logits_at_once(const Variant& setup, const std::vector<std::int32_t>& tokens) {
    return logits_in_pieces(setup, tokens, tokens.size());
}

bool same_bits(const Logits& a, const Logits& b) {
    return a.size() == b.size() && std::ranges::equal(a, b, [](const auto& x, const auto& y) {
               return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
           });
}

// Of a token's logits: the root of the mean square of the differences, over that of the logits. The median over the tokens, because a
// rounding can tip the choice of an expert, after which that token's logits are others.
double relative_error(const Logits& found, const std::vector<std::vector<double>>& expected) {
    EXPECT_EQ(found.size(), expected.size());
    std::vector<double> errors;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        double differences = 0;
        double magnitudes = 0;
        for (std::size_t j = 0; j < expected[i].size(); ++j) {
            differences += std::pow(static_cast<double>(found[i][j]) - expected[i][j], 2);
            magnitudes += std::pow(expected[i][j], 2);
        }
        errors.push_back(std::sqrt(differences / magnitudes));
    }
    std::ranges::sort(errors);
    return std::isfinite(errors.back()) ? errors[errors.size() / 2] : errors.back();
}

constexpr std::pair<KvType, KvType> kTypePairs[] = {{KvType::kF32, KvType::kF32},
                                                    {KvType::kBF16, KvType::kF16},
                                                    {KvType::kQ8, KvType::kQ8},
                                                    {KvType::kQ4, KvType::kQ4},
                                                    {KvType::kQ8, KvType::kQ4}};

class EachModel : public testing::TestWithParam<std::string> {};

TEST_P(EachModel, IsThatOfFloat64WithFloatActivations) {
    const auto tokens = prompt(40);
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        for (const KvType kv_type : {KvType::kF32, KvType::kF16}) {
            Engine engine({.model = GetParam(), .isa = isa, .key_type = kv_type, .value_type = kv_type});
            engine.step({{0, tokens}});
            const double error = relative_error(engine.logits(), engine.naive().logits(tokens));
            EXPECT_LT(error, kv_type == KvType::kF32 ? 2e-6 : 1e-4) << to_string(isa);
        }
    }
}

TEST_P(EachModel, IsThatOfFloat64WithQuantisedWeights) {
    const auto tokens = prompt(20);
    const std::pair<model::ActivationMode, double> modes[] = {
        {model::ActivationMode::kF32, 2e-6}, {model::ActivationMode::kQ16, 3e-4}, {model::ActivationMode::kQ8, 4e-2}};
    for (const tensor::DType dtype : {tensor::DType::kQ4_0, tensor::DType::kQ8_0, tensor::DType::kQ4_K, tensor::DType::kBF16}) {
        for (const auto& [mode, bound] : modes) {
            Engine engine({.model = GetParam(),
                           .matrices = dtype,
                           .rewrites = {.activations = mode, .without = {}},
                           .key_type = KvType::kF32,
                           .value_type = KvType::kF32});
            engine.step({{0, tokens}});
            const double error = relative_error(engine.logits(), engine.naive().logits(tokens));
            EXPECT_LT(error, bound) << static_cast<int>(dtype);
        }
    }
}

TEST_P(EachModel, GivesTheSameBitsInEverySetting) {
    const auto tokens = prompt(70);
    const auto others = prompt(90, 5);
    for (const auto mode : {model::ActivationMode::kQ8, model::ActivationMode::kF32}) {
        const Variant base{.model = GetParam(), .matrices = tensor::DType::kQ4_0, .rewrites = {.activations = mode, .without = {}}};
        const Logits expected = logits_at_once(base, tokens);
        for (const std::size_t size : {1U, 7U, 64U}) EXPECT_TRUE(same_bits(logits_in_pieces(base, tokens, size), expected)) << size;
        for (const unsigned n_threads : {1U, 3U, 8U}) {
            Variant setup = base;
            setup.n_threads = n_threads;
            EXPECT_TRUE(same_bits(logits_at_once(setup, tokens), expected)) << n_threads << " threads";
        }
        for (const std::uint32_t block_size : {32U, 256U}) {
            Variant setup = base;
            setup.block_size = block_size;
            setup.seed = block_size;
            EXPECT_TRUE(same_bits(logits_in_pieces(setup, tokens, 30), expected)) << "blocks of " << block_size;
        }
        std::vector<model::Without> left_out = {{"linears", "rows"}, {"qkv", "norm", "quantize"}};
        for (const std::string_view fusion : model::kFusions) {
            if (fusion != "attention") left_out.push_back({std::string(fusion)});  // which has sums in another order
        }
        for (const model::Without& without : left_out) {
            Variant setup = base;
            setup.rewrites.without = without;
            EXPECT_TRUE(same_bits(logits_in_pieces(setup, tokens, 40), expected)) << "without " << *without.begin();
        }
        for (const Isa isa : tests::isas_under_test(available_isas())) {
            Variant setup = base;
            setup.isa = isa;
            EXPECT_TRUE(same_bits(logits_at_once(setup, tokens), expected)) << to_string(isa);
        }
        Engine engine(base);
        const auto part = [](const std::vector<std::int32_t>& from, std::ptrdiff_t begin, std::ptrdiff_t end) {
            return std::vector<std::int32_t>(from.begin() + begin, from.begin() + end);
        };
        engine.step({{1, part(others, 0, 50)}});
        engine.step({{1, part(others, 50, 51)}, {0, part(tokens, 0, 33)}});
        engine.step({{0, part(tokens, 33, 34)}, {2, part(others, 0, 1)}, {1, part(others, 51, 90)}});
        engine.step({{2, part(others, 1, 90)}, {0, part(tokens, 34, 70)}});
        EXPECT_TRUE(same_bits(engine.logits(0), expected)) << "in company";
        EXPECT_TRUE(same_bits(engine.logits(1), engine.logits(2))) << "two sequences of the same tokens";
    }
}

TEST_P(EachModel, IsThatOfFloat64WithUnfusedAttention) {
    const auto tokens = prompt(60);
    for (const auto& [mode, bound] : {std::pair{model::ActivationMode::kF32, 2e-6}, std::pair{model::ActivationMode::kQ16, 3e-4}}) {
        Engine engine({.model = GetParam(),
                       .matrices = tensor::DType::kQ4_0,
                       .rewrites = {.activations = mode, .without = {"attention"}},
                       .key_type = KvType::kF32,
                       .value_type = KvType::kF32});
        engine.step({{0, tokens}});
        EXPECT_LT(relative_error(engine.logits(), engine.naive().logits(tokens)), bound);
    }
}

TEST_P(EachModel, GivesTheSameBitsWithUnfusedAttentionInEverySetting) {
    const auto tokens = prompt(70);
    const auto others = prompt(90, 5);
    for (const auto& [key_type, value_type] : kTypePairs) {
        const Variant base{.model = GetParam(),
                           .matrices = tensor::DType::kQ4_0,
                           .rewrites = {.activations = model::ActivationMode::kQ8, .without = {"attention"}},
                           .key_type = key_type,
                           .value_type = value_type};
        const Logits expected = logits_at_once(base, tokens);
        for (const std::size_t size : {1U, 7U, 64U}) EXPECT_TRUE(same_bits(logits_in_pieces(base, tokens, size), expected)) << size;
        for (const unsigned n_threads : {1U, 3U, 8U}) {
            Variant setup = base;
            setup.n_threads = n_threads;
            EXPECT_TRUE(same_bits(logits_in_pieces(setup, tokens, 30), expected)) << n_threads << " threads";
        }
        Variant nothing_fused = base;
        for (const std::string_view fusion : model::kFusions) nothing_fused.rewrites.without.insert(std::string(fusion));
        EXPECT_TRUE(same_bits(logits_in_pieces(nothing_fused, tokens, 40), expected));
        Engine engine(base);
        const auto at = [&](const auto& from, int begin, int end) {
            return std::vector<std::int32_t>(from.begin() + begin, from.begin() + end);
        };
        engine.step({{1, at(others, 0, 50)}});
        engine.step({{1, at(others, 50, 51)}, {0, at(tokens, 0, 33)}});
        engine.step({{0, at(tokens, 33, 70)}, {1, at(others, 51, 90)}});
        EXPECT_TRUE(same_bits(engine.logits(0), expected)) << "in company";
    }
}

// A key or value that lies near the middle between two steps of its group may fall to the other side than in float64: then it is off by a
// step.
TEST_P(EachModel, IsThatOfFloat64WithAQuantisedCache) {
    const auto tokens = prompt(40);
    for (const auto& [key_type, value_type] : {std::pair{KvType::kQ8, KvType::kQ8}, std::pair{KvType::kQ4, KvType::kQ4}}) {
        Engine engine({.model = GetParam(), .key_type = key_type, .value_type = value_type});
        engine.step({{0, tokens}});
        EXPECT_LT(relative_error(engine.logits(), engine.naive().logits(tokens)), 1e-2) << to_string(key_type);
    }
}

TEST_P(EachModel, GivesTheSameBitsWithAQuantisedCacheInEverySetting) {
    const auto tokens = prompt(70);
    for (const auto& [key_type, value_type] : kTypePairs) {
        if (key_type != KvType::kQ8 && key_type != KvType::kQ4) continue;
        const Variant base{.model = GetParam(),
                           .matrices = tensor::DType::kQ4_0,
                           .rewrites = {.activations = model::ActivationMode::kQ8, .without = {}},
                           .key_type = key_type,
                           .value_type = value_type};
        const Logits expected = logits_at_once(base, tokens);
        for (const std::size_t size : {1U, 7U, 64U}) EXPECT_TRUE(same_bits(logits_in_pieces(base, tokens, size), expected)) << size;
        for (const unsigned n_threads : {1U, 3U, 4U}) {
            Variant setup = base;
            setup.n_threads = n_threads;
            setup.block_size = 16 << n_threads % 4;
            setup.seed = n_threads;
            EXPECT_TRUE(same_bits(logits_in_pieces(setup, tokens, 30), expected)) << n_threads << " threads";
        }
        for (const Isa isa : tests::isas_under_test(available_isas())) {
            Variant setup = base;
            setup.isa = isa;
            EXPECT_TRUE(same_bits(logits_at_once(setup, tokens), expected)) << to_string(isa);
        }
    }
}

TEST_P(EachModel, ContinuesACopyOfASequenceAsTheSequence) {
    const auto tokens = prompt(70);
    const auto others = prompt(70, 6);
    const auto part = [](const std::vector<std::int32_t>& from, std::ptrdiff_t begin, std::ptrdiff_t end) {
        return std::vector<std::int32_t>(from.begin() + begin, from.begin() + end);
    };
    auto mixed = part(tokens, 0, 37);
    mixed.insert(mixed.end(), others.begin(), others.begin() + 20);
    for (const auto& [key_type, value_type] : kTypePairs) {
        for (const unsigned n_threads : {1U, 2U, 3U, 4U}) {
            const Variant setup{.model = GetParam(), .n_threads = n_threads, .key_type = key_type, .value_type = value_type};
            const Logits expected = logits_at_once(setup, tokens);
            Engine engine(setup);
            engine.step({{0, part(tokens, 0, 37)}});
            engine.fork(0, 1);
            engine.fork(1, 2);                                                   // a copy of a copy, in the same step
            engine.step({{0, part(others, 0, 20)}, {2, part(tokens, 37, 38)}});  // which goes on writing what is copied
            engine.step({{1, part(tokens, 37, 70)}, {2, part(tokens, 38, 70)}});
            EXPECT_TRUE(same_bits(engine.logits(0), logits_at_once(setup, mixed)));
            EXPECT_TRUE(same_bits(engine.logits(1), expected));
            EXPECT_TRUE(same_bits(engine.logits(2), expected));
        }
    }
}

TEST_P(EachModel, NeverReadsWhatAWindowHasLeftBehind) {
    const auto tokens = prompt(90);
    const auto at = [&](std::size_t i) { return tokens.begin() + static_cast<std::ptrdiff_t>(i); };
    for (const auto& [size, type] : {std::pair{1U, KvType::kF16}, std::pair{5U, KvType::kQ8}, std::pair{40U, KvType::kQ4}}) {
        const Variant setup{.model = GetParam(), .key_type = type, .value_type = type, .has_nan_token = true};
        const Logits expected = logits_in_pieces(setup, tokens, size);
        Engine engine(setup);
        engine.step({{1, std::vector<std::int32_t>(16, kNanToken)}});
        EXPECT_TRUE(std::isnan(engine.logits(1).back()[0]));
        for (std::size_t i = 0; i < tokens.size(); i += size) {
            engine.leave_behind(0, 1);
            engine.step({{0, {at(i), at(std::min(i + size, tokens.size()))}}});
        }
        EXPECT_TRUE(same_bits(engine.logits(0), expected)) << size;
        const auto groups = engine.model().program().cache_groups;
        EXPECT_EQ(engine.n_left_behind() > 0, std::ranges::any_of(groups, [](const auto& g) { return g.window > 0; }));
    }
}

INSTANTIATE_TEST_SUITE_P(Tiny, EachModel, testing::ValuesIn(model::tiny_models()), [](const auto& instance) {
    std::string name = instance.param;
    std::ranges::replace(name, '-', '_');
    return name;
});

TEST(CpuBackend, SaysWhatItIs) {
    ThreadPool one({.n_threads = 1});
    EXPECT_EQ(make_cpu_backend(one, Isa::kScalar)->description(), "CPU, scalar, 1 thread");
}

TEST(CpuBackend, GivesNoLogitsWhereNoneAreAskedAndThoseOfTheRowsThatAre) {
    const auto tokens = prompt(9);
    const Logits expected = logits_at_once({}, tokens);
    Engine engine({});
    Batch batch;
    batch.sequences = {{.step = {.n_new = 9, .n_past = 0, .n_outputs = 0}, .first_row = 0, .block_tables = {{0}}}};
    batch.tokens = tokens;
    batch.positions.resize(9);
    std::iota(batch.positions.begin(), batch.positions.end(), 0);
    EXPECT_TRUE(engine.model().forward(batch).logits.empty());
    batch.output_rows = {3, 8};
    const StepOutput out = engine.model().forward(batch);
    ASSERT_EQ(out.logits.size(), 2 * out.n_vocab);
    EXPECT_TRUE(std::ranges::equal(out.logits_of(0), expected[3]));
    EXPECT_TRUE(std::ranges::equal(out.logits_of(1), expected[8]));
    EXPECT_EQ(out.hidden.size(), 2 * engine.model().program().config.d_model);
    EXPECT_TRUE(engine.model().forward(Batch{}).logits.empty());
}

TEST(CpuBackend, GivesHiddenStatesWithoutLogitsOfOtherRows) {
    const auto tokens = prompt(9);
    Engine engine({});
    const std::uint32_t d_model = engine.model().program().config.d_model;
    Batch batch;
    batch.sequences = {{.step = {.n_new = 9, .n_past = 0, .n_outputs = 9}, .first_row = 0, .block_tables = {{0}}}};
    batch.tokens = tokens;
    batch.positions.resize(9);
    std::iota(batch.positions.begin(), batch.positions.end(), 0);
    batch.output_rows.resize(9);
    std::iota(batch.output_rows.begin(), batch.output_rows.end(), 0);
    const StepOutput all = engine.model().forward(batch);
    const std::vector<float> logits(all.logits.begin(), all.logits.end()), hidden(all.hidden.begin(), all.hidden.end());
    const auto logits_at = [&](std::size_t row) { return std::span(logits).subspan(row * all.n_vocab, all.n_vocab); };
    const auto hidden_at = [&](std::size_t row) { return std::span(hidden).subspan(row * d_model, d_model); };

    batch.output_rows = {2, 8};
    batch.hidden_rows = {0, 1, 5};
    const StepOutput some = engine.model().forward(batch);
    ASSERT_EQ(some.logits.size(), 2 * some.n_vocab);
    ASSERT_EQ(some.hidden.size(), 5 * d_model);
    EXPECT_TRUE(std::ranges::equal(some.logits_of(0), logits_at(2)));
    EXPECT_TRUE(std::ranges::equal(some.logits_of(1), logits_at(8)));
    const std::size_t rows[] = {2, 8, 0, 1, 5};
    for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(std::ranges::equal(some.hidden_of(i), hidden_at(rows[i]))) << i;

    batch.output_rows.clear();
    const StepOutput none = engine.model().forward(batch);
    EXPECT_TRUE(none.logits.empty());
    for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(std::ranges::equal(none.hidden_of(i), hidden_at(rows[2 + i]))) << i;
}

TEST(CpuBackend, CopiesBlocksInAStepWithoutTokens) {
    const auto tokens = prompt(12);
    const Logits expected = logits_at_once({}, tokens);
    Engine engine({});
    Batch batch;
    batch.sequences = {{.step = {.n_new = 11, .n_past = 0, .n_outputs = 0}, .first_row = 0, .block_tables = {{0}}}};
    batch.tokens = {tokens.begin(), tokens.end() - 1};
    batch.positions.resize(11);
    std::iota(batch.positions.begin(), batch.positions.end(), 0);
    (void)engine.model().forward(batch);
    Batch copy;
    copy.copies = {{.group = 0, .from = 0, .to = 5}, {.group = 0, .from = 5, .to = 3}, {.group = 0, .from = 1, .to = 0}};
    EXPECT_TRUE(engine.model().forward(copy).logits.empty());
    Batch last;
    last.sequences = {{.step = {.n_new = 1, .n_past = 11, .n_outputs = 1}, .first_row = 0, .block_tables = {{3}}}};
    last.tokens = {tokens.back()};
    last.positions = {11};
    last.output_rows = {0};
    const StepOutput out = engine.model().forward(last);
    EXPECT_TRUE(std::ranges::equal(out.logits_of(0), expected.back()));
}

TEST(CpuBackend, TimesEveryOpOfAStep) {
    Engine engine({});
    engine.model().set_timing(true);
    engine.step({{0, prompt(20)}});
    const auto seconds = engine.model().op_seconds();
    ASSERT_EQ(seconds.size(), engine.model().program().ops.size());
    for (const double s : seconds) EXPECT_GT(s, 0);
    EXPECT_LT(std::accumulate(seconds.begin(), seconds.end(), 0.0), 10);
}

TEST(CpuBackend, RunsEachRowOnceAndHasMemoryForOneOnEachThread) {
    Engine engine({.model = "llama"});
    DeviceModel& model = engine.model();
    const std::size_t n_vocab = model.program().config.n_vocab;
    for (const std::size_t n_rows : {0U, 1U, 2U, 100U}) {
        std::vector<std::atomic<int>> n_runs(n_rows);
        std::atomic<bool> known = true;
        model.run_rows(n_rows, [&](std::size_t row, unsigned thread) {
            ++n_runs[row];
            if (thread >= model.n_threads()) known = false;
        });
        EXPECT_TRUE(known);
        for (const auto& n : n_runs) EXPECT_EQ(n, 1);
    }
    for (unsigned thread = 0; thread < model.n_threads(); ++thread) {
        const RowScratch rows = model.row_scratch(thread);
        ASSERT_EQ(rows.logits.size(), n_vocab);
        std::ranges::fill(rows.logits, 1.0F);
        std::fill_n(rows.list.weights, n_vocab + TokenList::kPadding, 2.0);
        std::fill_n(rows.list.tokens, n_vocab + TokenList::kPadding, 3);
        std::fill_n(rows.list.logits, n_vocab + TokenList::kPadding, 4.0F);
        EXPECT_EQ(rows.logits.front(), 1.0F);
        EXPECT_EQ(rows.list.weights[n_vocab], 2.0);
    }
}

TEST(CpuBackend, HoldsATiedEmbeddingOnce) {
    const auto weights_of = [](const std::string& name) { return Engine({.model = name}).model().memory().weights_bytes; };
    // qwen2-yarn is qwen2 with its head tied: one table of n_vocab * d_model floats less.
    const model::ModelConfig config = Engine({.model = "qwen2"}).model().program().config;
    EXPECT_EQ(weights_of("qwen2") - weights_of("qwen2-yarn"), std::size_t{(config.n_vocab + 15) / 16 * 16} * config.d_model * 4);
}

TEST(CpuBackend, TakesTheWorkspaceForScoresThatItPredicts) {
    const auto bytes = model::tiny_gguf({.name = "gemma2"});
    auto file = files::GgufFile::parse(bytes, "tiny.gguf");
    auto config = model::read_config(*file, {});
    auto program = model::bind(model::build(*config), *file);
    ThreadPool pool({.n_threads = 1});
    const auto backend = make_cpu_backend(pool, best_isa());
    LoadOptions options{.limits = {.n_tokens = 8, .n_outputs = 2, .n_positions = 700}, .cache = {}, .progress = {}};
    options.cache.n_blocks.assign(program->cache_groups.size(), 50);
    const auto predicted_and_real = [&](const model::Without& without, std::uint32_t n_positions) {
        options.limits.n_positions = n_positions;
        const model::Program rewritten = model::rewrite(*program, {.activations = model::ActivationMode::kF32, .without = without});
        const auto loaded = backend->load(rewritten, *file, options);
        EXPECT_TRUE(loaded);
        return std::pair{backend->memory_to_load(rewritten, options.limits, options.cache).workspace_bytes,
                         (*loaded)->memory().workspace_bytes};
    };
    const auto fused = predicted_and_real({}, 700);
    const auto unfused = predicted_and_real({"attention"}, 700);
    // Rows of whole pieces, and probabilities in the place of their scores; what else lives then may have more or less room around it.
    const std::size_t scores_bytes = std::size_t{8} * config->n_heads * 768 * sizeof(float);
    EXPECT_GE(unfused.first, scores_bytes);
    EXPECT_LT(unfused.first, scores_bytes + 2 * fused.first);
    EXPECT_EQ(unfused.second - fused.second, unfused.first - fused.first);
    EXPECT_EQ(predicted_and_real({"attention"}, 768), unfused);
    EXPECT_EQ(predicted_and_real({}, 0), fused);

    options.limits.n_positions = 0;
    const auto refused = backend->load(model::rewrite(*program, {.without = {"attention"}}), *file, options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kBadInput);
}

TEST(CpuBackend, RefusesWhatTheMachineCannotHold) {
    const auto bytes = model::tiny_gguf({.name = "llama"});
    auto file = files::GgufFile::parse(bytes, "tiny.gguf");
    ASSERT_TRUE(file);
    auto config = model::read_config(*file, {});
    auto program = model::bind(model::build(*config), *file);
    ASSERT_TRUE(program);
    ThreadPool pool({.n_threads = 1});
    LoadOptions options;
    options.cache.n_blocks = {0xffffffffU};
    const auto loaded = make_cpu_backend(pool, best_isa())->load(*program, *file, options);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind, ErrorKind::kOutOfMemory);
    EXPECT_TRUE(loaded.error().message.starts_with("tiny.gguf: expected ")) << loaded.error().message;
}

TEST(CpuBackend, ReportsProgressUpToTheEnd) {
    const auto bytes = model::tiny_gguf({.name = "gpt-oss"});
    auto file = files::GgufFile::parse(bytes, "tiny.gguf");
    ASSERT_TRUE(file);
    auto config = model::read_config(*file, {});
    auto program = model::bind(model::build(*config), *file);
    ASSERT_TRUE(program);
    ThreadPool pool({.n_threads = 2});
    std::vector<double> seen;
    LoadOptions options{.limits = {.n_tokens = 8, .n_outputs = 8}, .cache = {}, .progress = [&](double f) { seen.push_back(f); }};
    options.cache.n_blocks.assign(program->cache_groups.size(), 1);
    ASSERT_TRUE(make_cpu_backend(pool, best_isa())->load(*program, *file, options));
    ASSERT_FALSE(seen.empty());
    EXPECT_TRUE(std::ranges::is_sorted(seen));
    EXPECT_DOUBLE_EQ(seen.back(), 1.0);
}

}  // namespace
}  // namespace rafter::backend::cpu
