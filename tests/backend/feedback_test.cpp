// Error feedback: second moments and their factor against plain double arithmetic, the encoder against a slow definition of what it does,
// and every instruction set and number of threads against the scalar one.
#include "backend/feedback.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "backend/cpu/encode/encode.h"
#include "backend/cpu/encode/feedback_kernels.h"
#include "tensor/formats/formats.h"

namespace rafter::backend {
namespace {

using tensor::DType;

constexpr std::size_t kFedCols = 512;
constexpr std::size_t kFedRows = 67;  // more than are side by side, and a rest
constexpr float kFedDamping = 0.01F;

std::vector<DType> fed_types() {
    std::vector<DType> types;
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.encode != nullptr && format.block_elements > 1) types.push_back(format.dtype);
    }
    return types;
}

// Inputs that go together: a few causes of all columns, some noise, columns of different size. [n_rows, n_cols]
std::vector<float> inputs_of(std::size_t n_rows, std::size_t n_cols, unsigned seed) {
    constexpr std::size_t kCauses = 24;
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> mix(kCauses * n_cols);
    for (float& x : mix) x = normal(random);
    std::vector<float> size(n_cols);
    for (float& x : size) x = std::exp(0.7F * normal(random));
    std::vector<float> inputs;
    for (std::size_t r = 0; r < n_rows; ++r) {
        std::vector<float> causes(kCauses);
        for (float& x : causes) x = normal(random);
        for (std::size_t c = 0; c < n_cols; ++c) {
            float x = 0.7F * normal(random);
            for (std::size_t k = 0; k < kCauses; ++k) x += 0.3F * causes[k] * mix[k * n_cols + c];
            inputs.push_back(size[c] * x);
        }
    }
    return inputs;
}

std::vector<float> moments_of(const std::vector<float>& inputs, std::size_t n_cols, cpu::Isa isa = cpu::best_isa(), unsigned n_threads = 1,
                              std::size_t n_at_once = 1000) {
    std::vector<float> moments(moments_size(n_cols));
    auto scratch = std::make_unique<float[]>(cpu::kMomentScratchBytes / sizeof(float) + 16);
    void* at = scratch.get();
    std::size_t room = cpu::kMomentScratchBytes + 64;
    std::align(64, cpu::kMomentScratchBytes, at, room);
    const std::size_t n_rows = inputs.size() / n_cols;
    for (std::size_t first = 0; first < n_rows; first += n_at_once) {
        for (unsigned thread = 0; thread < n_threads; ++thread) {
            cpu::feedback_kernels(isa).add_moments({.values = inputs.data() + first * n_cols,
                                                    .stride = n_cols,
                                                    .index = nullptr,
                                                    .n_rows = std::min(n_at_once, n_rows - first),
                                                    .n_cols = n_cols},
                                                   {.thread = thread, .n_threads = n_threads}, static_cast<std::byte*>(at), moments.data());
        }
    }
    return moments;
}

// Both triangles, in double, scaled and damped as factor_moments() does.
std::vector<double> damped(const std::vector<float>& moments, std::size_t n_cols) {
    std::vector<double> all(n_cols * n_cols);
    double trace = 0.0;
    for (std::size_t c = 0; c < n_cols; ++c) trace += static_cast<double>(moments[moments_index(c, c)]);
    const double mean = trace / static_cast<double>(n_cols);
    for (std::size_t c = 0; c < n_cols; ++c) {
        for (std::size_t r = 0; r <= c; ++r) {
            all[r * n_cols + c] = all[c * n_cols + r] = static_cast<double>(moments[moments_index(r, c)]) / mean;
        }
        all[c * n_cols + c] += static_cast<double>(kFedDamping);
    }
    return all;
}

struct FedWeights {
    std::vector<float> values;      // [kFedRows, kFedCols]
    std::vector<float> importance;  // [kFedCols]
    std::vector<float> moments;
    std::vector<double> damped_moments;  // [kFedCols, kFedCols]

    [[nodiscard]] WeightRows rows(std::size_t first = 0, std::size_t n = kFedRows) const {
        return {.values = values.data() + first * kFedCols, .importance = importance.data(), .n_rows = n, .n_cols = kFedCols};
    }
    [[nodiscard]] double output_error(DType type, const std::vector<std::byte>& blocks, std::size_t row) const {
        const tensor::FormatInfo& format = tensor::format_of(type);
        std::vector<float> decoded(kFedCols);
        format.decode(blocks.data() + row * format.row_bytes(kFedCols), decoded.data(), kFedCols);
        std::vector<double> off(kFedCols);
        for (std::size_t c = 0; c < kFedCols; ++c)
            off[c] = static_cast<double>(values[row * kFedCols + c]) - static_cast<double>(decoded[c]);
        double sum = 0.0;
        for (std::size_t i = 0; i < kFedCols; ++i) {
            double product = 0.0;
            for (std::size_t j = 0; j < kFedCols; ++j) product += damped_moments[i * kFedCols + j] * off[j];
            sum += off[i] * product;
        }
        return sum;
    }
    [[nodiscard]] double output_error(DType type, const std::vector<std::byte>& blocks) const {
        double sum = 0.0;
        for (std::size_t r = 0; r < kFedRows; ++r) sum += output_error(type, blocks, r);
        return sum;
    }
};
const FedWeights& fed_weights() {
    static const FedWeights made = [] {
        FedWeights weights;
        std::mt19937 random(5);
        std::normal_distribution<float> normal;
        for (std::size_t i = 0; i < kFedRows * kFedCols; ++i) weights.values.push_back(0.05F * normal(random));
        weights.moments = moments_of(inputs_of(700, kFedCols, 3), kFedCols);
        for (std::size_t c = 0; c < kFedCols; ++c) weights.importance.push_back(weights.moments[moments_index(c, c)] / 700.0F);
        weights.damped_moments = damped(weights.moments, kFedCols);
        return weights;
    }();
    return made;
}

struct FedBlocks {
    std::vector<std::byte> blocks;
    FeedbackErrors errors;
};
FedBlocks fed(DType type, const WeightRows& rows, const FeedbackFactor& factor, cpu::Isa isa = cpu::best_isa()) {
    FedBlocks encoded{.blocks = std::vector<std::byte>(tensor::format_of(type).row_bytes(rows.n_rows * rows.n_cols)), .errors = {}};
    const std::size_t n_bytes = cpu::feedback_kernels(isa).encode_scratch_bytes(type, rows.n_cols);
    std::vector<std::byte> scratch(n_bytes + 64);
    void* at = scratch.data();
    std::size_t room = scratch.size();
    std::align(64, n_bytes, at, room);
    encoded.errors = cpu::encode_with_feedback(type, rows, factor, {static_cast<std::byte*>(at), n_bytes}, encoded.blocks.data(), isa);
    return encoded;
}
FeedbackFactor factor_of(const std::vector<float>& moments, std::size_t n_cols, unsigned n_threads = 2, cpu::Isa isa = cpu::best_isa()) {
    ThreadPool pool({.n_threads = n_threads});
    return cpu::factor_moments(moments, n_cols, kFedDamping, pool, isa);
}
std::vector<std::byte> encode_without(DType type, const WeightRows& rows) {
    std::vector<std::byte> blocks(tensor::format_of(type).row_bytes(rows.n_rows * rows.n_cols));
    host_encoder()(type, rows, blocks.data());
    return blocks;
}

TEST(Moments, AreSumsOfProductsWhateverTheChunksThreadsAndInstructionSet) {
    constexpr std::size_t kCols = 160;
    const std::vector<float> inputs = inputs_of(301, kCols, 9);
    const std::vector<float> expected = moments_of(inputs, kCols, cpu::Isa::kScalar);
    for (std::size_t c = 0; c < kCols; ++c) {
        for (std::size_t r = 0; r <= c; ++r) {
            double sum = 0.0;
            double size = 0.0;
            for (std::size_t t = 0; t < 301; ++t) {
                const double product = static_cast<double>(inputs[t * kCols + r]) * static_cast<double>(inputs[t * kCols + c]);
                sum += product;
                size += std::abs(product);
            }
            ASSERT_NEAR(static_cast<double>(expected[moments_index(r, c)]), sum, 1e-5 * size) << r << " " << c;
        }
    }
    for (const cpu::Isa isa : cpu::available_isas()) {
        for (const auto& [n_threads, n_at_once] : {std::pair{1U, 301U}, {3U, 7U}, {2U, 129U}}) {
            EXPECT_EQ(moments_of(inputs, kCols, isa, n_threads, n_at_once), expected) << cpu::to_string(isa) << " " << n_threads;
        }
    }
}

TEST(Moments, OfSomeRowsAreThoseOfTheRowsAlone) {
    constexpr std::size_t kCols = 64;
    const std::vector<float> inputs = inputs_of(40, kCols, 2);
    const std::vector<std::uint32_t> index{3, 4, 9, 9, 31};
    std::vector<float> chosen;
    for (const std::uint32_t row : index) {
        chosen.insert(chosen.end(), inputs.begin() + static_cast<std::ptrdiff_t>(row * kCols),
                      inputs.begin() + static_cast<std::ptrdiff_t>((row + 1) * kCols));
    }
    std::vector<float> moments(moments_size(kCols));
    alignas(64) static std::byte scratch[cpu::kMomentScratchBytes];
    cpu::feedback_kernels(cpu::best_isa())
        .add_moments({.values = inputs.data(), .stride = kCols, .index = index.data(), .n_rows = index.size(), .n_cols = kCols}, {},
                     scratch, moments.data());
    EXPECT_EQ(moments, moments_of(chosen, kCols));
}

TEST(Factor, MakesTheDampedMomentsAgain) {
    constexpr std::size_t kCols = 224;
    for (const std::size_t n_inputs : {40, 500}) {  // fewer than columns, and more
        const std::vector<float> moments = moments_of(inputs_of(n_inputs, kCols, 4), kCols);
        const std::vector<double> expected = damped(moments, kCols);
        const FeedbackFactor factor = factor_of(moments, kCols);
        ASSERT_TRUE(factor.is_usable());
        const auto upper = [&](std::size_t r, std::size_t c) {
            return r > c ? 0.0 : static_cast<double>(factor.upper[moments_index(r, c)]);
        };
        for (std::size_t r = 0; r < kCols; ++r) {
            EXPECT_EQ(upper(r, r), 1.0);
            for (std::size_t c = r; c < kCols; ++c) {
                double sum = 0.0;
                for (std::size_t k = c; k < kCols; ++k) sum += upper(r, k) * static_cast<double>(factor.variance[k]) * upper(c, k);
                const double size = std::sqrt(expected[r * kCols + r] * expected[c * kCols + c]);
                ASSERT_NEAR(sum, expected[r * kCols + c], 1e-4 * size) << r << " " << c;
            }
        }
    }
}

TEST(Factor, IsTheSameForAnyThreadsAndInstructionSet) {
    constexpr std::size_t kCols = 160;
    const std::vector<float> moments = moments_of(inputs_of(90, kCols, 6), kCols);
    const FeedbackFactor expected = factor_of(moments, kCols, 1, cpu::Isa::kScalar);
    for (const cpu::Isa isa : cpu::available_isas()) {
        for (const unsigned n_threads : {1U, 2U, 3U}) {
            const FeedbackFactor found = factor_of(moments, kCols, n_threads, isa);
            EXPECT_EQ(found.upper, expected.upper) << cpu::to_string(isa) << " " << n_threads;
            EXPECT_EQ(found.variance, expected.variance) << cpu::to_string(isa) << " " << n_threads;
        }
    }
}

TEST(Factor, ThereIsNoneOfNothingAndOfNoNumbers) {
    std::vector<float> moments(moments_size(64));
    EXPECT_FALSE(factor_of(moments, 64).is_usable());
    moments = moments_of(inputs_of(100, 64, 8), 64);
    EXPECT_TRUE(factor_of(moments, 64).is_usable());
    for (const float odd : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        for (const std::size_t at : {moments_index(5, 5), moments_index(3, 40)}) {
            std::vector<float> damaged = moments;
            damaged[at] = odd;
            EXPECT_FALSE(factor_of(damaged, 64).is_usable()) << odd << " " << at;
        }
    }
    std::vector<float> impossible = moments;
    impossible[moments_index(3, 40)] = 1e6F;  // no inputs have these
    EXPECT_FALSE(factor_of(impossible, 64).is_usable());
    const std::vector<float> one_input(inputs_of(1, 64, 8));
    EXPECT_TRUE(factor_of(moments_of(one_input, 64), 64).is_usable());  // damping makes it one
}

// What encode_with_feedback() does, in double and a row at a time, with the encoder's scales: the row's blocks in floats.
std::vector<double> fed_slowly(DType type, const FedWeights& weights, const FeedbackFactor& factor, std::size_t row) {
    const tensor::FormatInfo& format = tensor::format_of(type);
    const std::size_t block = format.block_elements;
    std::vector<double> off(kFedCols);
    std::vector<double> written(kFedCols);
    const float* const values = weights.values.data() + row * kFedCols;
    const auto corrected = [&](std::size_t c, std::size_t known) {
        double x = static_cast<double>(values[c]);
        for (std::size_t i = 0; i < known; ++i) x += static_cast<double>(factor.upper[moments_index(i, c)]) * off[i];
        return x;
    };
    for (std::size_t first = 0; first < kFedCols; first += block) {
        std::vector<float> wanted;
        for (std::size_t c = first; c < first + block; ++c) wanted.push_back(static_cast<float>(corrected(c, first)));
        const std::vector<std::byte> encoded =
            encode_without(type, {.values = wanted.data(), .importance = weights.importance.data() + first, .n_rows = 1, .n_cols = block});
        // All values that an element of this block may have: by trying what the same scales give for many codes.
        std::vector<std::vector<float>> choices(block);
        for (unsigned fill = 0; fill < 256; ++fill) {
            std::vector<float> decoded(block);
            std::vector<std::byte> codes = encoded;
            const auto fill_in = [&](std::size_t from, std::size_t n) {
                std::fill_n(codes.begin() + static_cast<std::ptrdiff_t>(from), n, std::byte(fill));
            };
            switch (type) {
                case DType::kQ4_0:
                case DType::kIQ4_NL:
                    fill_in(2, 16);
                    break;
                case DType::kQ4_K:
                    fill_in(16, 128);
                    break;
                case DType::kQ8_0:
                    fill_in(2, 32);
                    break;
                default:
                    ADD_FAILURE() << "no places of codes";
            }
            format.decode(codes.data(), decoded.data(), block);
            for (std::size_t e = 0; e < block; ++e) {
                if (type != DType::kQ8_0 || fill != 128) choices[e].push_back(decoded[e]);  // Q8_0 never writes -128
            }
        }
        for (std::size_t c = first; c < first + block; ++c) {
            const double x = corrected(c, c);
            double best = static_cast<double>(choices[c - first].front());
            for (const float choice : choices[c - first]) {
                if (std::abs(x - static_cast<double>(choice)) < std::abs(x - best)) best = static_cast<double>(choice);
            }
            written[c] = best;
            off[c] = static_cast<double>(values[c]) - best;
        }
    }
    return written;
}

TEST(Feedback, IsWhatItsDefinitionSays) {
    const FedWeights& weights = fed_weights();
    const FeedbackFactor factor = factor_of(weights.moments, kFedCols);
    for (const DType type : {DType::kQ4_0, DType::kIQ4_NL, DType::kQ8_0, DType::kQ4_K}) {
        const tensor::FormatInfo& format = tensor::format_of(type);
        const FedBlocks found = fed(type, weights.rows(), factor);
        ASSERT_EQ(found.errors.n_plain, 0U) << format.name;
        std::vector<float> decoded(kFedRows * kFedCols);
        format.decode(found.blocks.data(), decoded.data(), decoded.size());
        // A last bit of a sum may turn a rounding, and from there on all others of the row: what such a row loses is the same but for luck.
        std::size_t n_equal = 0;
        double error = 0.0;
        double expected_error = 0.0;
        constexpr std::size_t kChecked = 12;
        for (std::size_t row = 0; row < kChecked; ++row) {
            const std::vector<double> expected = fed_slowly(type, weights, factor, row);
            n_equal += std::equal(expected.begin(), expected.end(), decoded.begin() + static_cast<std::ptrdiff_t>(row * kFedCols),
                                  [](double a, float b) { return std::abs(a - static_cast<double>(b)) < 1e-6; })
                           ? 1U
                           : 0U;
            error += weights.output_error(type, found.blocks, row);
            FedWeights as_written = weights;  // the slow row's error: by the same sum
            for (std::size_t c = 0; c < kFedCols; ++c) {
                as_written.values[row * kFedCols + c] = static_cast<float>(static_cast<double>(weights.values[row * kFedCols + c]) -
                                                                           expected[c] + static_cast<double>(decoded[row * kFedCols + c]));
            }
            expected_error += as_written.output_error(type, found.blocks, row);
        }
        EXPECT_GE(n_equal, type == DType::kQ8_0 ? 1 : kChecked / 2) << format.name;
        EXPECT_NEAR(error, expected_error, 0.05 * expected_error) << format.name;
    }
}

TEST(Feedback, LowersTheOutputsErrorAndSaysByHowMuch) {
    const FedWeights& weights = fed_weights();
    const FeedbackFactor factor = factor_of(weights.moments, kFedCols);
    for (const DType type : fed_types()) {
        SCOPED_TRACE(tensor::format_of(type).name);
        const FedBlocks found = fed(type, weights.rows(), factor);
        const double plain = weights.output_error(type, encode_without(type, weights.rows()));
        const double error = weights.output_error(type, found.blocks);
        EXPECT_LT(error, 0.75 * plain);
        EXPECT_NEAR(found.errors.plain, plain, 2e-3 * plain);
        EXPECT_NEAR(found.errors.kept, error, 2e-3 * plain);
    }
}

TEST(Feedback, ARowIsNeverWorseThanWithout) {
    // Columns that have nothing to do with each other, but for two of the first, which are nearly the same: most rows gain nothing.
    FedWeights weights = fed_weights();
    std::ranges::fill(weights.moments, 0.0F);
    for (std::size_t c = 0; c < kFedCols; ++c) weights.moments[moments_index(c, c)] = 1.0F;
    weights.moments[moments_index(0, 1)] = 0.02F;
    std::ranges::fill(weights.importance, 1.0F);
    weights.damped_moments = damped(weights.moments, kFedCols);
    const FeedbackFactor factor = factor_of(weights.moments, kFedCols);
    for (const DType type : fed_types()) {
        SCOPED_TRACE(tensor::format_of(type).name);
        const FedBlocks found = fed(type, weights.rows(), factor);
        const std::vector<std::byte> without = encode_without(type, weights.rows());
        const std::size_t row_bytes = tensor::format_of(type).row_bytes(kFedCols);
        std::size_t n_same = 0;
        for (std::size_t r = 0; r < kFedRows; ++r) {
            EXPECT_LE(weights.output_error(type, found.blocks, r), 1.00001 * weights.output_error(type, without, r));
            n_same += std::equal(without.begin() + static_cast<std::ptrdiff_t>(r * row_bytes),
                                 without.begin() + static_cast<std::ptrdiff_t>((r + 1) * row_bytes),
                                 found.blocks.begin() + static_cast<std::ptrdiff_t>(r * row_bytes))
                          ? 1U
                          : 0U;
        }
        EXPECT_GT(found.errors.n_plain, kFedRows / 2);
        EXPECT_GE(n_same, found.errors.n_plain);
        EXPECT_LE(found.errors.kept, found.errors.plain);
    }
}

TEST(Feedback, EveryInstructionSetGivesTheSameBytes) {
    const FedWeights& weights = fed_weights();
    const FeedbackFactor factor = factor_of(weights.moments, kFedCols);
    const WeightRows rows = weights.rows(0, 17);
    for (const DType type : fed_types()) {
        const FedBlocks expected = fed(type, rows, factor, cpu::Isa::kScalar);
        for (const cpu::Isa isa : cpu::available_isas()) {
            EXPECT_EQ(fed(type, rows, factor, isa).blocks, expected.blocks) << tensor::format_of(type).name << " " << cpu::to_string(isa);
        }
    }
}

TEST(Feedback, RowsAreIndependentOfThoseBesideThem) {
    const FedWeights& weights = fed_weights();
    const FeedbackFactor factor = factor_of(weights.moments, kFedCols);
    for (const DType type : fed_types()) {
        const FedBlocks whole = fed(type, weights.rows(), factor);
        std::vector<std::byte> joined;
        for (const auto& [first, n] : {std::pair{0U, 1U}, {1U, 65U}, {66U, 1U}}) {
            const FedBlocks part = fed(type, weights.rows(first, n), factor);
            joined.insert(joined.end(), part.blocks.begin(), part.blocks.end());
        }
        EXPECT_EQ(joined, whole.blocks) << tensor::format_of(type).name;
    }
}

TEST(Feedback, NumbersOfAnySizeAreHandled) {
    FedWeights weights = fed_weights();
    const FeedbackFactor factor = factor_of(weights.moments, kFedCols);
    for (const float odd : {1e-42F, 1e30F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        weights.values[3 * kFedCols + 100] = odd;
        for (const DType type : {DType::kQ4_0, DType::kQ4_K}) {
            const FedBlocks found = fed(type, weights.rows(0, 17), factor);
            EXPECT_EQ(found.blocks, fed(type, weights.rows(0, 17), factor, cpu::Isa::kScalar).blocks)
                << tensor::format_of(type).name << " " << odd;
            const FedBlocks others = fed(type, weights.rows(4, 13), factor);
            const std::size_t from = tensor::format_of(type).row_bytes(4 * kFedCols);
            EXPECT_TRUE(std::equal(others.blocks.begin(), others.blocks.end(), found.blocks.begin() + static_cast<std::ptrdiff_t>(from)));
        }
    }
}

}  // namespace
}  // namespace rafter::backend
