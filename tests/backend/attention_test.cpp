// Attention, fused and in three ops, against plain float64, and against itself: the bits may not depend on how rows are split into steps,
// on threads, on blocks, or on company. Memory that no query sees is full of NaN throughout.
#include "backend/cpu/attention_step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <span>
#include <tuple>
#include <utility>

#include "backend/cpu/attention_unfused.h"
#include "backend/cpu/rows.h"
#include "base/thread_pool.h"
#include "model/workspace.h"
#include "tests/isa_under_test.h"
#include "tests/support/kv_rounding.h"
#include "tests/support/rounds.h"

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

// Rows of all KV heads as the cache holds them.
std::vector<float> rounded_rows(const Shape& shape, const std::vector<float>& rows, KvType type) {
    std::vector<float> rounded;
    for (std::size_t at = 0; at < rows.size(); at += shape.head_dim) {
        const auto row = backend::rounded_row(std::span(rows).subspan(at, shape.head_dim), type);
        rounded.insert(rounded.end(), row.begin(), row.end());
    }
    return rounded;
}

// A step computes the next `n_new` tokens of each sequence that it names.
struct Part {
    std::uint32_t sequence;
    std::uint32_t n_new;
};
using Steps = std::vector<std::vector<Part>>;

// What stands in a block table where a window has left a block behind.
enum class LeftBehind { kNoBlock, kBlockOfNan, kOldBlock };

struct Setup {
    Isa isa = Isa::kScalar;
    bool unfused = false;
    unsigned n_threads = 1;
    std::uint32_t block_size = 16;
    std::uint32_t seed = 1;  // of the blocks' order
    LeftBehind left_behind = LeftBehind::kNoBlock;
};

std::vector<float> sink_logits(const Shape& shape) { return random_floats(shape.n_heads, 99); }

// Attention of one step, in one op or in three.
void run_step(const AttentionCall& call, ThreadPool& pool, const AttentionScratch& scratch, bool unfused) {
    AttentionProgress progress;
    if (!unfused) {
        const AttentionPlan plan = plan_attention(call.batch, call.options, pool.n_threads(), scratch.partial_capacity());
        progress.reset(plan);
        return pool.run([&](unsigned thread) { run_attention(call, plan, scratch, thread, progress); });
    }
    UnfusedPlan plan;
    plan_unfused_attention(call.batch, call.options, pool.n_threads(), plan);
    const std::size_t head_stride = model::padded_positions(std::ranges::max(call.batch.positions) + std::size_t{1});
    std::vector<float> scores(call.batch.tokens.size() * call.options.n_heads * head_stride, std::nanf(""));
    const UnfusedCall parts{.batch = call.batch,
                            .options = call.options,
                            .layer = call.layer,
                            .kernels = call.kernels,
                            .scores = scores.data(),
                            .row_stride = call.options.n_heads * head_stride,
                            .head_stride = head_stride};
    progress.reset(plan.scores);
    pool.run([&](unsigned thread) { run_scores(parts, plan, call.q, call.q_stride, scratch, thread, progress); });
    progress.reset(plan.scores);
    pool.run([&](unsigned) { run_softmax(parts, plan, call.sinks, progress); });
    progress.reset(plan.scores);
    pool.run([&](unsigned thread) { run_values(parts, plan, call.y, call.y_stride, scratch, thread, progress); });
}

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
            if (shape.window > 0 && setup.left_behind != LeftBehind::kOldBlock) {
                // The first of the free blocks is never taken, and so all NaN.
                const BlockId id = setup.left_behind == LeftBehind::kBlockOfNan ? free_blocks.front() : 0xffffffffU;
                for (std::size_t b = 0; (b + 1) * setup.block_size + shape.window <= n_past + 1; ++b) s.block_tables[0][b] = id;
            }
            q.insert(q.end(), tokens.q.begin() + static_cast<std::ptrdiff_t>(n_past * shape.q_width()),
                     tokens.q.begin() + static_cast<std::ptrdiff_t>((n_past + part.n_new) * shape.q_width()));
            batch.sequences.push_back(std::move(s));
            past[part.sequence] += part.n_new;
        }
        std::vector<float> y(q.size(), std::nanf(""));
        const AttentionCall call{.batch = batch,
                                 .options = options,
                                 .layer = layer,
                                 .kernels = attention_kernels(setup.isa),
                                 .q = q.data(),
                                 .q_stride = shape.q_width(),
                                 .y = y.data(),
                                 .y_stride = shape.q_width(),
                                 .sinks = shape.sinks ? sinks.data() : nullptr};
        run_step(call, pool, *scratch, setup.unfused);
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

// A query head's attention in float64.
struct ExactHead {
    std::vector<double> output;        // [head_dim]
    std::vector<double> weighted_sum;  // [head_dim]: of the magnitudes of values
    std::vector<double> largest;       // [head_dim]: magnitude of the values seen
    std::uint32_t first = 0;           // position seen
    double weight_error = 0;           // of a weight, relative: what float arithmetic may lose

    // k, v: [n_tokens, kv_width]. With u = 2^-24, a score is a dot product of head_dim terms, so it is off by at most
    // (head_dim + 2) u sum|q k|; a weight by that and 4 u more; both sums over n positions by (n + 16) u. Rounding errors mostly cancel:
    // what is found is far below.
    ExactHead(const Shape& shape, const Tokens& tokens, const std::vector<float>& k, const std::vector<float>& v, std::uint32_t p,
              std::uint32_t h)
        : output(shape.head_dim), weighted_sum(shape.head_dim), largest(shape.head_dim) {
        const auto scale = static_cast<double>(shape.options().scale);
        const double u = std::ldexp(1.0, -24);
        first = shape.window == 0 || p + 1 < shape.window ? 0 : p + 1 - shape.window;
        const float* q = tokens.q.data() + p * shape.q_width() + std::size_t{h} * shape.head_dim;
        const std::size_t kv = std::size_t{h / (shape.n_heads / shape.n_kv_heads)} * shape.head_dim;
        const double sink = shape.sinks ? static_cast<double>(sink_logits(shape)[h]) : -INFINITY;
        std::vector<double> weights;
        double most = sink;
        double score_error = 0;
        for (std::uint32_t j = first; j <= p; ++j) {
            double score = 0;
            double magnitude = 0;
            for (std::uint32_t d = 0; d < shape.head_dim; ++d) {
                const double term = static_cast<double>(q[d]) * static_cast<double>(k[j * shape.kv_width() + kv + d]);
                score += term;
                magnitude += std::abs(term);
            }
            score *= scale;
            if (shape.softcap != 0.0F) score = shape.softcap * std::tanh(score / shape.softcap);
            score_error = std::max(score_error, (shape.head_dim + 2) * u * magnitude * scale);
            weights.push_back(score);
            most = std::max(most, score);
        }
        if (shape.softcap != 0.0F) score_error += 8 * u * static_cast<double>(shape.softcap);
        double sum = shape.sinks ? std::exp(sink - most) : 0;
        for (double& w : weights) sum += w = std::exp(w - most);
        weight_error = score_error + (std::abs(most) + 4) * u + (static_cast<double>(weights.size()) + 16) * u;
        for (std::uint32_t d = 0; d < shape.head_dim; ++d) {
            for (std::uint32_t j = first; j <= p; ++j) {
                const auto value = static_cast<double>(v[j * shape.kv_width() + kv + d]);
                output[d] += weights[j - first] / sum * value;
                weighted_sum[d] += weights[j - first] / sum * std::abs(value);
                largest[d] = std::max(largest[d], std::abs(value));
            }
        }
    }
    // All of it twice (numerator and denominator), times the largest value.
    [[nodiscard]] double float_error(std::uint32_t d) const { return 2 * weight_error * largest[d]; }
};

// The largest error over its bound, over the rows and heads: bound(head, p, h, d).
template <typename Bound>
double worst_ratio(const Shape& shape, const Tokens& tokens, const std::vector<float>& k, const std::vector<float>& v,
                   const std::vector<float>& found, const Bound& bound) {
    double worst = 0;
    const std::uint32_t step = tokens.n < 100 ? 1 : 7;  // float64 is slow: not every row of a long sequence
    for (std::uint32_t p = (tokens.n - 1) % step; p < tokens.n; p += step) {
        for (std::uint32_t h = 0; h < shape.n_heads; ++h) {
            const ExactHead exact(shape, tokens, k, v, p, h);
            for (std::uint32_t d = 0; d < shape.head_dim; ++d) {
                const auto y = static_cast<double>(found[p * shape.q_width() + std::size_t{h} * shape.head_dim + d]);
                const double ratio = std::abs(exact.output[d] - y) / bound(exact, p, h, d);
                if (!(ratio <= worst)) worst = ratio;  // NaN counts
            }
        }
    }
    return worst;
}

// Of the arithmetic: against keys and values as the cache holds them.
double worst_error(const Shape& shape, const Tokens& tokens, const std::vector<float>& found) {
    return worst_ratio(shape, tokens, rounded_rows(shape, tokens.k, shape.key_type), rounded_rows(shape, tokens.v, shape.value_type), found,
                       [](const ExactHead& exact, std::uint32_t, std::uint32_t, std::uint32_t d) { return exact.float_error(d); });
}

// Of arithmetic and rounding: against keys and values as they were. Where an element of a key is off by b at most, a score is off by
// e = scale * sum|q| b, so a weight by a factor of at most e^(2 e); a value adds its own rounding.
double worst_rounding(const Shape& shape, const Tokens& tokens, const std::vector<float>& found) {
    std::vector<double> key_bounds;
    std::vector<double> value_bounds;
    for (std::size_t at = 0; at < tokens.k.size(); at += shape.head_dim) {
        const auto key = backend::rounding_bounds(std::span(tokens.k).subspan(at, shape.head_dim), shape.key_type);
        const auto value = backend::rounding_bounds(std::span(tokens.v).subspan(at, shape.head_dim), shape.value_type);
        key_bounds.insert(key_bounds.end(), key.begin(), key.end());
        value_bounds.insert(value_bounds.end(), value.begin(), value.end());
    }
    const auto bound = [&](const ExactHead& exact, std::uint32_t p, std::uint32_t h, std::uint32_t d) {
        const float* q = tokens.q.data() + p * shape.q_width() + std::size_t{h} * shape.head_dim;
        const std::size_t kv = std::size_t{h / (shape.n_heads / shape.n_kv_heads)} * shape.head_dim;
        double score_error = 0;
        double value_error = 0;
        for (std::uint32_t j = exact.first; j <= p; ++j) {
            double error = 0;
            for (std::uint32_t i = 0; i < shape.head_dim; ++i)
                error += std::abs(static_cast<double>(q[i])) * key_bounds[j * shape.kv_width() + kv + i];
            score_error = std::max(score_error, error * static_cast<double>(shape.options().scale));
            value_error = std::max(value_error, value_bounds[j * shape.kv_width() + kv + d]);
        }
        return value_error + std::expm1(2 * score_error) * exact.weighted_sum[d] + 2 * exact.float_error(d) + 1e-30;
    };
    return worst_ratio(shape, tokens, tokens.k, tokens.v, found, bound);
}

class Attention : public testing::TestWithParam<std::tuple<Isa, bool>> {
  protected:
    [[nodiscard]] static Isa isa() { return std::get<0>(GetParam()); }
    [[nodiscard]] static bool unfused() { return std::get<1>(GetParam()); }
    // Scalar code is 30 times slower: it sees shorter sequences.
    [[nodiscard]] std::uint32_t length(std::uint32_t n) const { return isa() == Isa::kScalar ? std::min(n, 280U) : n; }
    void expect_exact(const Shape& shape, std::uint32_t n) const {
        const std::vector<Tokens> tokens = {Tokens(shape, length(n), 7)};
        const auto found = run(shape, tokens, whole(tokens), {.isa = isa(), .unfused = unfused(), .n_threads = 2});
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
    for (const KvType key : kv_types()) {
        for (const KvType value : kv_types()) expect_exact({.head_dim = 20, .key_type = key, .value_type = value}, 260);
    }
}

TEST_P(Attention, IsThatOfFloat64ForEveryShapeOfQuantisedTiles) {
    for (const auto& [key, value] : {std::pair{KvType::kQ8, KvType::kQ4}, std::pair{KvType::kQ4, KvType::kQ8}}) {
        for (const std::uint32_t head_dim : {1U, 15U, 16U, 33U, 48U, 64U, 80U, 96U, 128U, 256U}) {
            expect_exact({.head_dim = head_dim, .key_type = key, .value_type = value}, 270);
        }
        for (const std::uint32_t group : {1U, 2U, 3U, 4U, 5U, 6U, 8U, 12U, 13U}) {
            expect_exact({.n_heads = 2 * group, .n_kv_heads = 2, .head_dim = 80, .key_type = key, .value_type = value}, 40);
        }
        expect_exact({.head_dim = 64, .window = 100, .softcap = 20.0F, .sinks = true, .key_type = key, .value_type = value}, 400);
    }
}

// Rows as a model does not make them, one change to each.
std::vector<Tokens> adversarial_tokens(const Shape& shape, std::uint32_t n) {
    std::vector<Tokens> all;
    const auto changed = [&](const auto& change) {
        Tokens tokens(shape, n, 11);
        change(tokens);
        all.push_back(tokens);
    };
    changed([](Tokens&) {});
    changed([](Tokens& t) {
        for (std::size_t i = 3; i < t.k.size(); i += 37) t.k[i] *= 50;
        for (std::size_t i = 7; i < t.v.size(); i += 41) t.v[i] *= 1000;
    });
    changed([&](Tokens& t) {  // every third token all zeros
        for (std::size_t i = 0; i < t.k.size(); ++i) {
            if (i / shape.kv_width() % 3 == 0) t.k[i] = t.v[i] = 0.0F;
        }
    });
    changed([](Tokens& t) {
        for (float& x : t.k) x *= 1e-40F;
        for (float& x : t.v) x *= 1e-40F;
    });
    changed([](Tokens& t) {
        for (float& x : t.v) x *= 1e4F;
        for (float& x : t.k) x *= 1e4F;
        for (float& x : t.q) x *= 1e-4F;
    });
    changed([](Tokens& t) {  // an offset beside which the row is small
        for (float& x : t.k) x = 10.0F + 0.1F * x;
        for (float& x : t.v) x = -100.0F + x;
    });
    changed([](Tokens& t) {
        for (std::size_t i = 0; i < t.k.size(); ++i) t.k[i] = std::ldexp(t.k[i], static_cast<int>(i % 40) - 35);
        for (std::size_t i = 0; i < t.v.size(); ++i) t.v[i] = std::ldexp(t.v[i], static_cast<int>(i % 40) - 25);
    });
    return all;
}

TEST_P(Attention, IsWithinTheRoundingOfTheCacheOfExactAttention) {
    for (const KvType key : kv_types()) {
        for (const KvType value : kv_types()) {
            const Shape shape{.n_heads = 4, .n_kv_heads = 2, .head_dim = 48, .key_type = key, .value_type = value};
            for (const Tokens& tokens : adversarial_tokens(shape, rafter::tests::kSanitized ? 20 : 60)) {
                const auto found = run(shape, {tokens}, whole({tokens}), {.isa = isa(), .unfused = unfused()});
                EXPECT_LE(worst_rounding(shape, tokens, found[0]), 1.0) << to_string(key) << " " << to_string(value);
            }
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
    const auto found = run(shape, tokens, whole(tokens), {.isa = isa(), .unfused = unfused()});
    for (std::size_t i = 0; i < found[0].size(); ++i) EXPECT_EQ(found[0][i], tokens[0].v[i % shape.head_dim]);
}

TEST_P(Attention, IsBitEqualHoweverThePromptIsCut) {
    for (const Shape& shape :
         {Shape{}, Shape{.n_heads = 4, .n_kv_heads = 1, .head_dim = 20, .window = 100}, Shape{.n_heads = 9, .n_kv_heads = 3, .sinks = true},
          Shape{.n_heads = 7, .n_kv_heads = 1, .window = 300, .softcap = 20.0F},
          Shape{.n_heads = 3, .n_kv_heads = 1, .head_dim = 48, .key_type = KvType::kQ8, .value_type = KvType::kQ4},
          Shape{.n_heads = 5, .n_kv_heads = 1, .head_dim = 64, .window = 90, .key_type = KvType::kQ4, .value_type = KvType::kQ8}}) {
        const std::vector<Tokens> tokens = {Tokens(shape, length(600), 5)};
        const auto expected = run(shape, tokens, whole(tokens), {.isa = isa(), .unfused = unfused()});
        for (const std::uint32_t size : {1U, 7U, 64U, 255U}) {
            const auto found = run(shape, tokens, in_pieces(tokens[0].n, size), {.isa = isa(), .unfused = unfused(), .n_threads = 2});
            EXPECT_TRUE(same_bits(found[0], expected[0])) << size;
        }
    }
}

// The types that the bits are compared for: F16 and both quantised ones, as keys and as values.
constexpr std::pair<KvType, KvType> kFusedTypePairs[] = {{KvType::kF16, KvType::kF16},
                                                         {KvType::kQ8, KvType::kQ8},
                                                         {KvType::kQ4, KvType::kQ4},
                                                         {KvType::kQ8, KvType::kQ4},
                                                         {KvType::kF16, KvType::kQ8}};

TEST_P(Attention, IsBitEqualForAnyNumberOfThreads) {
    for (const auto& [key, value] : kFusedTypePairs) {
        const Shape shape{.n_heads = 4, .n_kv_heads = 1, .head_dim = 48, .key_type = key, .value_type = value};
        const std::vector<Tokens> tokens = {Tokens(shape, length(1100), 6)};
        const Steps steps = {{{0, tokens[0].n - 3}}, {{0, 1}}, {{0, 1}}, {{0, 1}}};
        const auto expected = run(shape, tokens, steps, {.isa = isa(), .unfused = unfused()});
        for (unsigned n_threads = 2; n_threads <= (key == KvType::kF16 ? 8U : 4U); ++n_threads) {
            EXPECT_TRUE(same_bits(run(shape, tokens, steps, {.isa = isa(), .unfused = unfused(), .n_threads = n_threads})[0], expected[0]))
                << n_threads;
        }
    }
}

TEST_P(Attention, IsBitEqualForAnyBlocks) {
    for (const auto& [key, value] : kFusedTypePairs) {
        const Shape shape{.head_dim = 20, .window = 70, .key_type = key, .value_type = value};
        const std::vector<Tokens> tokens = {Tokens(shape, 280, 8)};
        const auto expected = run(shape, tokens, in_pieces(280, 33), {.isa = isa(), .unfused = unfused(), .block_size = 256});
        for (const std::uint32_t block_size : {16U, 32U, 128U}) {
            for (const std::uint32_t seed : {2U, 3U}) {
                const auto found =
                    run(shape, tokens, in_pieces(280, 33), {.isa = isa(), .unfused = unfused(), .block_size = block_size, .seed = seed});
                EXPECT_TRUE(same_bits(found[0], expected[0])) << block_size;
            }
        }
    }
}

TEST_P(Attention, NeverReadsABlockThatTheWindowHasLeftBehind) {
    for (const auto& [key, value] : kFusedTypePairs) {
        for (const std::uint32_t window : {1U, 16U, 17U, 70U, 256U}) {
            const Shape shape{.window = window, .key_type = key, .value_type = value};
            const std::vector<Tokens> tokens = {Tokens(shape, 400, 12)};
            for (const std::uint32_t size : {1U, 19U, 64U}) {
                if ((isa() == Isa::kScalar || rafter::tests::kSanitized) && size == 1) continue;  // slow
                const Steps steps = in_pieces(tokens[0].n, size);
                const auto expected = run(shape, tokens, steps, {.isa = isa(), .unfused = unfused(), .left_behind = LeftBehind::kOldBlock});
                for (const LeftBehind left_behind : {LeftBehind::kBlockOfNan, LeftBehind::kNoBlock}) {
                    const auto found =
                        run(shape, tokens, steps, {.isa = isa(), .unfused = unfused(), .n_threads = 2, .left_behind = left_behind});
                    EXPECT_TRUE(same_bits(found[0], expected[0])) << window << " " << size;
                }
            }
        }
    }
}

TEST_P(Attention, IsBitEqualAloneAndInCompany) {
    for (const auto& [key, value] : kFusedTypePairs) {
        const Shape shape{.n_heads = 4, .n_kv_heads = 2, .sinks = true, .key_type = key, .value_type = value};
        const std::vector<Tokens> tokens = {Tokens(shape, 290, 1), Tokens(shape, 17, 2), Tokens(shape, 150, 3)};
        const Steps together = {{{2, 100}, {0, 280}}, {{1, 10}, {0, 1}, {2, 50}}, {{0, 9}, {1, 7}}};
        const auto found = run(shape, tokens, together, {.isa = isa(), .unfused = unfused(), .n_threads = 2});
        for (std::size_t s = 0; s < tokens.size(); ++s) {
            const std::vector<Tokens> alone = {tokens[s]};
            EXPECT_TRUE(same_bits(found[s], run(shape, alone, whole(alone), {.isa = isa(), .unfused = unfused()})[0])) << s;
        }
    }
}

TEST_P(Attention, GivesTheBitsOfTheScalarReference) {
    for (const KvType key : kv_types()) {
        for (const KvType value : kv_types()) {
            const Shape shape{.head_dim = 20, .window = 90, .softcap = 10.0F, .sinks = true, .key_type = key, .value_type = value};
            const std::vector<Tokens> tokens = {Tokens(shape, 270, 4)};
            const auto expected = run(shape, tokens, whole(tokens), {.isa = Isa::kScalar, .unfused = unfused()});
            EXPECT_TRUE(same_bits(run(shape, tokens, whole(tokens), {.isa = isa(), .unfused = unfused()})[0], expected[0]));
        }
    }
    const Shape wide{.n_heads = 5, .n_kv_heads = 1, .head_dim = 112, .key_type = KvType::kQ4, .value_type = KvType::kQ8};
    const std::vector<Tokens> tokens = {Tokens(wide, 100, 4)};
    EXPECT_TRUE(same_bits(run(wide, tokens, whole(tokens), {.isa = isa(), .unfused = unfused()})[0],
                          run(wide, tokens, whole(tokens), {.isa = Isa::kScalar, .unfused = unfused()})[0]));
}

INSTANTIATE_TEST_SUITE_P(EachIsa, Attention, testing::Combine(testing::ValuesIn(tests::isas_under_test(available_isas())), testing::Bool()),
                         [](const auto& instance) {
                             return std::string(to_string(std::get<0>(instance.param))) + (std::get<1>(instance.param) ? "_unfused" : "");
                         });

TEST(UnfusedPlan, KeepsThreadsBusyWithOneSequenceOfFewHeads) {
    Batch decode;
    decode.tokens = {0};
    decode.sequences = {{.step = {.n_new = 1, .n_past = 4000}, .first_row = 0, .block_tables = {}}};
    UnfusedPlan plan;
    for (const auto& [n_heads, n_kv_heads] : {std::pair{9U, 3U}, std::pair{4U, 1U}, std::pair{1U, 1U}}) {
        const model::AttentionOptions options{.n_heads = n_heads, .n_kv_heads = n_kv_heads, .head_dim = 64};
        plan_unfused_attention(decode, options, 2, plan);
        EXPECT_GE(plan.scores.items.size(), 2U);
        EXPECT_GE(plan.values.size(), 2U);
        std::uint32_t n_elements = 0;
        for (const ValuesItem& item : plan.values) n_elements += item.n_elements * item.queries.n_heads;
        EXPECT_EQ(n_elements, n_heads * 64);
        plan_unfused_attention(decode, options, 1, plan);
        EXPECT_EQ(plan.values.size(), n_kv_heads);
    }
}

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
