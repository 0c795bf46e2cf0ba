// Attention against plain float64, and against itself: the bits may not depend on how rows are split into steps, on threads, on blocks, or
// on company. Memory that no query sees is full of NaN throughout.
#include "backend/cpu/attention_step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "backend/cpu/rows.h"
#include "base/thread_pool.h"
#include "tensor/half.h"
#include "tests/isa_under_test.h"

namespace rafter::backend::cpu {
namespace {

struct Shape {
    std::uint32_t n_heads = 6;
    std::uint32_t n_kv_heads = 2;
    std::uint32_t head_dim = 16;
    std::uint32_t window = 0;
    float softcap = 0.0F;
    bool sinks = false;
    KvType key_type = KvType::kF16;
    KvType value_type = KvType::kF16;

    [[nodiscard]] std::size_t q_width() const { return std::size_t{n_heads} * head_dim; }
    [[nodiscard]] std::size_t kv_width() const { return std::size_t{n_kv_heads} * head_dim; }
    [[nodiscard]] model::AttentionOptions options() const {
        return {.layer = 0,
                .n_heads = n_heads,
                .n_kv_heads = n_kv_heads,
                .head_dim = head_dim,
                .window = window,
                .scale = 1.0F / std::sqrt(static_cast<float>(head_dim)),
                .softcap = softcap};
    }
};

std::vector<float> random_floats(std::size_t n, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(n);
    for (float& v : values) v = normal(random);
    return values;
}

float rounded(float x, KvType type) {
    switch (type) {
        case KvType::kF32:
            return x;
        case KvType::kF16:
            return tensor::f16_to_f32(tensor::f32_to_f16(x));
        case KvType::kBF16:
            return tensor::bf16_to_f32(tensor::f32_to_bf16(x));
    }
    return x;
}

struct Tokens {
    std::uint32_t n;
    std::vector<float> q, k, v;  // [n, width]

    Tokens(const Shape& shape, std::uint32_t length, std::uint32_t seed)
        : n(length),
          q(random_floats(n * shape.q_width(), 3 * seed)),
          k(random_floats(n * shape.kv_width(), 3 * seed + 1)),
          v(random_floats(n * shape.kv_width(), 3 * seed + 2)) {
        for (float& x : q) x *= 2;  // uneven weights
    }
};

// A step computes the next `n_new` tokens of each sequence that it names.
struct Part {
    std::uint32_t sequence;
    std::uint32_t n_new;
};
using Steps = std::vector<std::vector<Part>>;

struct Setup {
    Isa isa = Isa::kScalar;
    unsigned n_threads = 1;
    std::uint32_t block_size = 16;
    std::uint32_t seed = 1;  // of the blocks' order
};

std::vector<float> sink_logits(const Shape& shape) { return random_floats(shape.n_heads, 99); }

// All outputs of all sequences: [sequence][token, q_width].
std::vector<std::vector<float>> run(const Shape& shape, const std::vector<Tokens>& sequences, const Steps& steps, const Setup& setup) {
    model::Program program;
    program.config.n_layers = 1;
    program.config.n_heads = shape.n_heads;
    program.config.n_kv_heads = shape.n_kv_heads;
    program.config.head_dim = shape.head_dim;
    program.cache_groups = {{.window = shape.window, .layers = {0}}};

    std::uint32_t n_blocks = 3;
    for (const Tokens& t : sequences) n_blocks += (t.n + setup.block_size - 1) / setup.block_size;
    auto store = KvStore::create(
        program, {.key_type = shape.key_type, .value_type = shape.value_type, .block_size = setup.block_size, .n_blocks = {n_blocks}});
    EXPECT_TRUE(store);
    const KvLayer& layer = store->layer(0);
    std::memset(layer.base, 0xff, store->size_bytes());  // NaN in every type

    std::vector<BlockId> free_blocks(n_blocks);
    std::iota(free_blocks.begin(), free_blocks.end(), 0);
    std::shuffle(free_blocks.begin(), free_blocks.end(), std::mt19937(setup.seed));

    ThreadPool pool({.n_threads = setup.n_threads, .pin = false});
    auto scratch = AttentionScratch::create(program.config, store->max_positions(), pool.n_threads());
    EXPECT_TRUE(scratch);
    const RowKernels& rows = row_kernels(setup.isa);
    const std::vector<float> sinks = sink_logits(shape);
    const model::AttentionOptions options = shape.options();
    AttentionProgress progress;

    std::vector<std::vector<BlockId>> tables(sequences.size());
    std::vector<std::uint32_t> past(sequences.size(), 0);
    std::vector<std::vector<float>> outputs(sequences.size());
    for (const auto& step : steps) {
        Batch batch;
        std::vector<float> q;
        for (const Part& part : step) {
            const Tokens& tokens = sequences[part.sequence];
            const std::uint32_t n_past = past[part.sequence];
            std::vector<BlockId>& table = tables[part.sequence];
            while (table.size() * setup.block_size < n_past + part.n_new) {
                table.push_back(free_blocks.back());
                free_blocks.pop_back();
            }
            BatchSequence s{.step = {.n_new = part.n_new, .n_past = n_past},
                            .first_row = static_cast<std::uint32_t>(batch.positions.size())};
            for (std::uint32_t p = n_past; p < n_past + part.n_new; ++p) {
                batch.positions.push_back(p);
                batch.tokens.push_back(0);
                for (std::uint32_t h = 0; h < shape.n_kv_heads; ++h) {
                    const std::size_t at = p * shape.kv_width() + std::size_t{h} * shape.head_dim;
                    rows.store_key(tokens.k.data() + at, shape.head_dim, shape.key_type, p % 16, layer.key_tile(table, h, p / 16));
                    rows.store_value(tokens.v.data() + at, shape.head_dim, shape.value_type, p % 16, layer.value_tile(table, h, p / 16));
                }
            }
            s.block_tables = {table};
            if (shape.window > 0) {  // what the window has left behind may hold any id
                for (std::size_t b = 0; (b + 1) * setup.block_size + shape.window <= n_past + 1; ++b) s.block_tables[0][b] = 0xffffffffU;
            }
            q.insert(q.end(), tokens.q.begin() + static_cast<std::ptrdiff_t>(n_past * shape.q_width()),
                     tokens.q.begin() + static_cast<std::ptrdiff_t>((n_past + part.n_new) * shape.q_width()));
            batch.sequences.push_back(std::move(s));
            past[part.sequence] += part.n_new;
        }
        std::vector<float> y(q.size(), std::nanf(""));
        const AttentionPlan plan = plan_attention(batch, options, pool.n_threads(), scratch->partial_capacity());
        progress.reset(plan);
        const AttentionCall call{.batch = batch,
                                 .options = options,
                                 .layer = layer,
                                 .kernels = attention_kernels(setup.isa),
                                 .q = q.data(),
                                 .q_stride = shape.q_width(),
                                 .y = y.data(),
                                 .y_stride = shape.q_width(),
                                 .sinks = shape.sinks ? sinks.data() : nullptr};
        pool.run([&](unsigned thread) { run_attention(call, plan, *scratch, thread, progress); });
        for (const BatchSequence& s : batch.sequences) {
            std::vector<float>& out = outputs[step[static_cast<std::size_t>(&s - batch.sequences.data())].sequence];
            const auto begin = y.begin() + static_cast<std::ptrdiff_t>(s.first_row * shape.q_width());
            out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(s.step.n_new * shape.q_width()));
        }
    }
    return outputs;
}

Steps whole(const std::vector<Tokens>& sequences) {
    std::vector<Part> step;
    for (std::uint32_t s = 0; s < sequences.size(); ++s) step.push_back({s, sequences[s].n});
    return {step};
}

Steps in_pieces(std::uint32_t n, std::uint32_t size) {
    Steps steps;
    for (std::uint32_t at = 0; at < n; at += size) steps.push_back({{0, std::min(size, n - at)}});
    return steps;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The largest error over its bound. The bound for a head's output, with u = 2^-24: a score is a dot product of head_dim terms, so it is off
// by at most (head_dim + 2) u sum|q k|; a weight by that and 4 u more; both sums over n positions by (n + 16) u; all of it twice (numerator
// and denominator), times the largest value. Rounding errors mostly cancel: what is found is far below.
double worst_error(const Shape& shape, const Tokens& tokens, const std::vector<float>& found) {
    const model::AttentionOptions options = shape.options();
    const std::vector<float> sinks = sink_logits(shape);
    const double u = std::ldexp(1.0, -24);
    double worst = 0;
    const std::uint32_t step = tokens.n < 100 ? 1 : 7;  // float64 is slow: not every row of a long sequence
    for (std::uint32_t p = (tokens.n - 1) % step; p < tokens.n; p += step) {
        const std::uint32_t first = shape.window == 0 || p + 1 < shape.window ? 0 : p + 1 - shape.window;
        for (std::uint32_t h = 0; h < shape.n_heads; ++h) {
            const float* q = tokens.q.data() + p * shape.q_width() + std::size_t{h} * shape.head_dim;
            const std::size_t kv = std::size_t{h / (shape.n_heads / shape.n_kv_heads)} * shape.head_dim;
            std::vector<double> scores;
            double largest = shape.sinks ? static_cast<double>(sinks[h]) : -INFINITY;
            double score_error = 0;
            for (std::uint32_t j = first; j <= p; ++j) {
                double dot = 0;
                double magnitude = 0;
                for (std::uint32_t d = 0; d < shape.head_dim; ++d) {
                    const double term = static_cast<double>(q[d]) * rounded(tokens.k[j * shape.kv_width() + kv + d], shape.key_type);
                    dot += term;
                    magnitude += std::abs(term);
                }
                double score = dot * static_cast<double>(options.scale);
                if (shape.softcap != 0.0F) score = shape.softcap * std::tanh(score / shape.softcap);
                score_error = std::max(score_error, (shape.head_dim + 2) * u * magnitude * static_cast<double>(options.scale));
                scores.push_back(score);
                largest = std::max(largest, score);
            }
            if (shape.softcap != 0.0F) score_error += 8 * u * static_cast<double>(shape.softcap);
            double sum = shape.sinks ? std::exp(static_cast<double>(sinks[h]) - largest) : 0;
            for (double& s : scores) {
                s = std::exp(s - largest);
                sum += s;
            }
            const double weight_error = score_error + (std::abs(largest) + 4) * u + (static_cast<double>(scores.size()) + 16) * u;
            for (std::uint32_t d = 0; d < shape.head_dim; ++d) {
                double expected = 0;
                double largest_value = 0;
                for (std::uint32_t j = first; j <= p; ++j) {
                    const double value = rounded(tokens.v[j * shape.kv_width() + kv + d], shape.value_type);
                    expected += scores[j - first] / sum * value;
                    largest_value = std::max(largest_value, std::abs(value));
                }
                const double error =
                    std::abs(expected - static_cast<double>(found[p * shape.q_width() + std::size_t{h} * shape.head_dim + d]));
                const double ratio = error / (2 * weight_error * largest_value);
                if (!(ratio <= worst)) worst = ratio;  // NaN counts
            }
        }
    }
    return worst;
}

class Attention : public testing::TestWithParam<Isa> {
  protected:
    // Scalar code is 30 times slower: it sees shorter sequences.
    [[nodiscard]] std::uint32_t length(std::uint32_t n) const { return GetParam() == Isa::kScalar ? std::min(n, 280U) : n; }
    void expect_exact(const Shape& shape, std::uint32_t n) const {
        const std::vector<Tokens> tokens = {Tokens(shape, length(n), 7)};
        const auto found = run(shape, tokens, whole(tokens), {.isa = GetParam(), .n_threads = 2});
        EXPECT_LT(worst_error(shape, tokens[0], found[0]), 0.5) << fmt::format(
            "heads {}/{}, head_dim {}, window {}, softcap {}, sinks {}, types {} {}", shape.n_heads, shape.n_kv_heads, shape.head_dim,
            shape.window, shape.softcap, shape.sinks, static_cast<int>(shape.key_type), static_cast<int>(shape.value_type));
    }
};

TEST_P(Attention, IsThatOfFloat64ForEveryHeadSize) {
    for (const std::uint32_t head_dim : {1U, 8U, 16U, 20U, 64U, 80U, 96U, 128U, 256U}) expect_exact({.head_dim = head_dim}, 300);
}

TEST_P(Attention, IsThatOfFloat64ForEveryGrouping) {
    for (const std::uint32_t group : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 11U, 12U, 13U, 16U, 25U}) {
        expect_exact({.n_heads = 2 * group, .n_kv_heads = 2}, 40);
    }
}

TEST_P(Attention, IsThatOfFloat64ForEveryCacheType) {
    for (const KvType key : {KvType::kF32, KvType::kF16, KvType::kBF16}) {
        for (const KvType value : {KvType::kF32, KvType::kF16, KvType::kBF16}) {
            expect_exact({.head_dim = 20, .key_type = key, .value_type = value}, 260);
        }
    }
}

TEST_P(Attention, IsThatOfFloat64WithWindowsCapsAndSinks) {
    for (const std::uint32_t window : {1U, 2U, 15U, 16U, 17U, 128U, 256U, 257U, 500U}) expect_exact({.window = window}, 600);
    expect_exact({.softcap = 5.0F}, 300);
    expect_exact({.sinks = true}, 300);
    expect_exact({.n_heads = 8, .n_kv_heads = 1, .head_dim = 64, .window = 128, .softcap = 30.0F, .sinks = true}, 700);
}

TEST_P(Attention, OfOnePositionIsItsValue) {
    const Shape shape{.n_heads = 2, .n_kv_heads = 1, .key_type = KvType::kF32, .value_type = KvType::kF32};
    const std::vector<Tokens> tokens = {Tokens(shape, 1, 3)};
    const auto found = run(shape, tokens, whole(tokens), {.isa = GetParam()});
    for (std::size_t i = 0; i < found[0].size(); ++i) EXPECT_EQ(found[0][i], tokens[0].v[i % shape.head_dim]);
}

TEST_P(Attention, IsBitEqualHoweverThePromptIsCut) {
    for (const Shape& shape :
         {Shape{}, Shape{.n_heads = 4, .n_kv_heads = 1, .head_dim = 20, .window = 100}, Shape{.n_heads = 9, .n_kv_heads = 3, .sinks = true},
          Shape{.n_heads = 7, .n_kv_heads = 1, .window = 300, .softcap = 20.0F}}) {
        const std::vector<Tokens> tokens = {Tokens(shape, length(600), 5)};
        const auto expected = run(shape, tokens, whole(tokens), {.isa = GetParam()});
        for (const std::uint32_t size : {1U, 7U, 64U, 255U}) {
            const auto found = run(shape, tokens, in_pieces(tokens[0].n, size), {.isa = GetParam(), .n_threads = 2});
            EXPECT_TRUE(same_bits(found[0], expected[0])) << size;
        }
    }
}

TEST_P(Attention, IsBitEqualForAnyNumberOfThreads) {
    const Shape shape{.n_heads = 4, .n_kv_heads = 1, .window = 0};
    const std::vector<Tokens> tokens = {Tokens(shape, length(1100), 6)};
    Steps steps = {{{0, tokens[0].n - 3}}, {{0, 1}}, {{0, 1}}, {{0, 1}}};
    const auto expected = run(shape, tokens, steps, {.isa = GetParam()});
    for (unsigned n_threads = 2; n_threads <= 8; ++n_threads) {
        EXPECT_TRUE(same_bits(run(shape, tokens, steps, {.isa = GetParam(), .n_threads = n_threads})[0], expected[0])) << n_threads;
    }
}

TEST_P(Attention, IsBitEqualForAnyBlocks) {
    const Shape shape{.window = 70};
    const std::vector<Tokens> tokens = {Tokens(shape, 280, 8)};
    const auto expected = run(shape, tokens, in_pieces(280, 33), {.isa = GetParam(), .block_size = 256});
    for (const std::uint32_t block_size : {16U, 32U, 128U}) {
        for (const std::uint32_t seed : {2U, 3U}) {
            const auto found = run(shape, tokens, in_pieces(280, 33), {.isa = GetParam(), .block_size = block_size, .seed = seed});
            EXPECT_TRUE(same_bits(found[0], expected[0])) << block_size;
        }
    }
}

TEST_P(Attention, IsBitEqualAloneAndInCompany) {
    const Shape shape{.n_heads = 4, .n_kv_heads = 2, .sinks = true};
    const std::vector<Tokens> tokens = {Tokens(shape, 290, 1), Tokens(shape, 17, 2), Tokens(shape, 150, 3)};
    const Steps together = {{{2, 100}, {0, 280}}, {{1, 10}, {0, 1}, {2, 50}}, {{0, 9}, {1, 7}}};
    const auto found = run(shape, tokens, together, {.isa = GetParam(), .n_threads = 2});
    for (std::size_t s = 0; s < tokens.size(); ++s) {
        const std::vector<Tokens> alone = {tokens[s]};
        EXPECT_TRUE(same_bits(found[s], run(shape, alone, whole(alone), {.isa = GetParam()})[0])) << s;
    }
}

TEST_P(Attention, GivesTheBitsOfTheScalarReference) {
    const Shape shape{.n_heads = 6, .n_kv_heads = 2, .head_dim = 20, .window = 90, .softcap = 10.0F, .sinks = true};
    const std::vector<Tokens> tokens = {Tokens(shape, 270, 4)};
    const auto expected = run(shape, tokens, whole(tokens), {.isa = Isa::kScalar});
    EXPECT_TRUE(same_bits(run(shape, tokens, whole(tokens), {.isa = GetParam()})[0], expected[0]));
}

INSTANTIATE_TEST_SUITE_P(EachIsa, Attention, testing::ValuesIn(tests::isas_under_test(available_isas())),
                         [](const auto& instance) { return std::string(to_string(instance.param)); });

TEST(AttentionPlan, SplitsALongDecodeOverPiecesAndALongPromptOverRows) {
    const model::AttentionOptions options{.n_heads = 4, .n_kv_heads = 1, .head_dim = 16};
    Batch decode;
    decode.sequences = {{.step = {.n_new = 1, .n_past = 10'000}, .first_row = 0, .block_tables = {}}};
    EXPECT_GE(plan_attention(decode, options, 4, 1 << 20).items.size(), 8U);
    EXPECT_EQ(plan_attention(decode, options, 1, 1 << 20).items.size(), 1U);
    EXPECT_LE(plan_attention(decode, options, 4, 0).items.size(), 4U);  // no room for partial results: only heads can be parted
    EXPECT_TRUE(plan_attention(decode, options, 4, 0).merges.empty());
    Batch prompt;
    prompt.sequences = {{.step = {.n_new = 512, .n_past = 0}, .first_row = 0, .block_tables = {}}};
    const AttentionPlan plan = plan_attention(prompt, options, 2, 1 << 20);
    EXPECT_GE(plan.items.size(), 128U);
    EXPECT_TRUE(plan.merges.empty());
}

}  // namespace
}  // namespace rafter::backend::cpu
