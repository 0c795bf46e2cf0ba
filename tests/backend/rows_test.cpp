// Row kernels against float64 and libm, at sizes around whole vectors, with memory beyond the row watched.
#include "backend/cpu/rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "backend/cpu/kv_store.h"
#include "tensor/half.h"
#include "tests/isa_under_test.h"
#include "tests/support/kv_rounding.h"

namespace rafter::backend::cpu {
namespace {

const std::vector<std::size_t> kSizes = {1, 2, 15, 16, 17, 31, 32, 33, 100, 576};

std::vector<float> random_row(std::size_t n, std::uint32_t seed, float scale = 1.0F) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, scale);
    std::vector<float> values(n);
    for (float& v : values) v = normal(random);
    return values;
}

// How many steps between neighbouring floats lie between `found` and `expected`; fractional.
double ulps(float found, double expected) {
    const auto nearest = static_cast<float>(expected);
    if (std::isnan(expected)) return std::isnan(found) ? 0 : INFINITY;
    if (std::isinf(nearest) || std::isinf(found)) return found == nearest ? 0 : INFINITY;
    const float magnitude = std::max(std::abs(nearest), std::numeric_limits<float>::min());
    const double step =
        static_cast<double>(std::nextafter(magnitude, std::numeric_limits<float>::infinity())) - static_cast<double>(magnitude);
    return std::abs(static_cast<double>(found) - expected) / step;
}

class Rows : public testing::TestWithParam<Isa> {
  protected:
    [[nodiscard]] const RowKernels& rows() const { return row_kernels(GetParam()); }
    // Runs a kernel on a row with a guard behind it and gives the row.
    static std::vector<float> guarded(std::size_t n, const std::function<void(float*)>& kernel) {
        std::vector<float> y(n + 16, 12345.0F);
        kernel(y.data());
        for (std::size_t i = n; i < y.size(); ++i) EXPECT_EQ(y[i], 12345.0F) << "written beyond a row of " << n;
        y.resize(n);
        return y;
    }
    using Function = void (*)(const float*, std::size_t, float*);
    static double worst_ulps(Function function, double (*truth)(double), const std::vector<float>& x) {
        std::vector<float> y(x.size());
        function(x.data(), x.size(), y.data());
        double worst = 0;
        for (std::size_t i = 0; i < x.size(); ++i) worst = std::max(worst, ulps(y[i], truth(static_cast<double>(x[i]))));
        return worst;
    }
};

// Every 1009th float between two: all magnitudes.
std::vector<float> floats_between(float low, float high) {
    std::vector<float> values;
    const auto add = [&](float from, float to, float sign) {
        for (auto bits = __builtin_bit_cast(std::uint32_t, from); bits <= __builtin_bit_cast(std::uint32_t, to); bits += 1009) {
            values.push_back(sign * __builtin_bit_cast(float, bits));
        }
    };
    add(0.0F, high, 1.0F);
    add(0.0F, -low, -1.0F);
    return values;
}

TEST_P(Rows, ExpIsWithinTwoUlps) {
    EXPECT_LT(worst_ulps(rows().exp, std::exp, floats_between(-104.0F, 88.7F)), 2.0);
    const float x[] = {0.0F, -INFINITY, INFINITY, NAN, -1000.0F, 1000.0F, 88.72F, 88.73F, -103.97F, -104.5F};
    float y[std::size(x)];
    rows().exp(x, std::size(x), y);
    EXPECT_EQ(y[0], 1.0F);
    for (std::size_t i = 0; i < std::size(x); ++i) EXPECT_LT(ulps(y[i], std::exp(static_cast<double>(x[i]))), 2.0) << x[i];
}

TEST_P(Rows, TanhIsWithinTwoUlps) {
    EXPECT_LT(worst_ulps(rows().tanh, std::tanh, floats_between(-20.0F, 20.0F)), 2.0);
    const float x[] = {0.0F, -0.0F, INFINITY, -INFINITY, NAN, 1e30F, -1e30F, 1e-40F};
    float y[std::size(x)];
    rows().tanh(x, std::size(x), y);
    for (std::size_t i = 0; i < std::size(x); ++i) EXPECT_LT(ulps(y[i], std::tanh(static_cast<double>(x[i]))), 2.0) << x[i];
    EXPECT_TRUE(std::signbit(y[1]));
}

TEST_P(Rows, RmsNormIsThatOfFloat64WholeAndByHeads) {
    for (const std::size_t group : kSizes) {
        for (const std::size_t n_groups : {1U, 3U}) {
            const std::size_t n = group * n_groups;
            const std::vector<float> x = random_row(n, 1, 3.0F);
            const std::vector<float> gain = random_row(group, 2);
            const auto y = guarded(n, [&](float* out) { rows().rms_norm(x.data(), gain.data(), n, group, 1e-5F, out); });
            for (std::size_t g = 0; g < n_groups; ++g) {
                double squares = 0;
                for (std::size_t i = 0; i < group; ++i) squares += std::pow(static_cast<double>(x[g * group + i]), 2);
                const double factor = 1 / std::sqrt(squares / static_cast<double>(group) + static_cast<double>(1e-5F));
                for (std::size_t i = 0; i < group; ++i) {
                    const double expected = static_cast<double>(x[g * group + i]) * factor * static_cast<double>(gain[i]);
                    // The sum is of at most 36 rounded additions a lane and 4 more; the root halves its error; 4 roundings follow.
                    EXPECT_LT(ulps(y[g * group + i], expected), 20.0);
                }
            }
        }
    }
}

TEST_P(Rows, ElementwiseKernelsAreExactAndStayInTheirRow) {
    for (const std::size_t n : kSizes) {
        const std::vector<float> a = random_row(n, 3);
        const std::vector<float> b = random_row(n, 4);
        const auto sum = guarded(n, [&](float* y) { rows().add(a.data(), b.data(), n, y); });
        const auto scaled = guarded(n, [&](float* y) { rows().scale(a.data(), 3.3F, n, y); });
        for (std::size_t i = 0; i < n; ++i) {
            EXPECT_EQ(sum[i], a[i] + b[i]);
            EXPECT_EQ(scaled[i], a[i] * 3.3F);
        }
    }
}

double gated(model::Activation activation, double gate, double up) {
    switch (activation) {
        case model::Activation::kSilu:
            return gate / (1 + std::exp(-gate)) * up;
        case model::Activation::kGeluTanh:
            // 1 + tanh(z) as 2 / (1 + e^-2z): the same, and right where the first cancels
            return gate / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (gate + 0.044715 * gate * gate * gate))) * up;
        case model::Activation::kSwigluClamped: {
            const double g = std::min(gate, 7.0);
            return (std::clamp(up, -7.0, 7.0) + 1) * g / (1 + std::exp(-1.702 * g));
        }
    }
    return 0;
}

TEST_P(Rows, ActivationsAreThoseOfFloat64) {
    for (const auto activation : {model::Activation::kSilu, model::Activation::kGeluTanh, model::Activation::kSwigluClamped}) {
        for (const std::size_t n : {std::size_t{7}, std::size_t{5000}}) {
            const std::vector<float> gate = random_row(n, 5, 4.0F);
            const std::vector<float> up = random_row(n, 6, 5.0F);
            const auto y = guarded(n, [&](float* out) { rows().gate(activation, gate.data(), up.data(), n, out); });
            for (std::size_t i = 0; i < n; ++i) {
                const double expected = gated(activation, static_cast<double>(gate[i]), static_cast<double>(up[i]));
                // The exponent's own rounding is worth |exponent| / 2 ulps: up to about 30 for the cubic at |gate| = 4.5, more beyond,
                // where the result is next to nothing.
                EXPECT_NEAR(y[i], expected,
                            1e-12 + std::abs(expected) * 6e-8 * (8 + 2 * std::abs(std::pow(static_cast<double>(gate[i]), 3))));
            }
        }
    }
    const float gate[] = {-1000.0F, 1000.0F, 0.0F};
    const float up[] = {2.0F, 2.0F, 2.0F};
    float y[3];
    rows().gate(model::Activation::kSilu, gate, up, 3, y);
    EXPECT_EQ(y[0], 0.0F);
    EXPECT_EQ(y[1], 2000.0F);
    rows().gate(model::Activation::kGeluTanh, gate, up, 3, y);
    EXPECT_EQ(y[0], 0.0F);
    EXPECT_EQ(y[1], 2000.0F);
    rows().gate(model::Activation::kSwigluClamped, gate, up, 3, y);
    EXPECT_EQ(y[2], 0.0F);
    EXPECT_NEAR(y[1], 21.0F, 1e-3);
}

TEST_P(Rows, SoftcapIsThatOfFloat64) {
    const std::vector<float> x = random_row(100, 7, 40.0F);
    const auto y = guarded(100, [&](float* out) { rows().softcap(x.data(), 30.0F, 100, out); });
    for (std::size_t i = 0; i < 100; ++i) EXPECT_LT(ulps(y[i], 30 * std::tanh(static_cast<double>(x[i]) / 30)), 5.0);
}

TEST_P(Rows, RopeTurnsPairsOfBothKindsAndLeavesTheRest) {
    for (const auto pairing : {model::RopePairing::kHalves, model::RopePairing::kInterleaved}) {
        for (const std::size_t n_dims : {2U, 16U, 20U, 64U}) {
            const std::size_t head_dim = n_dims == 64 ? 96 : n_dims;
            const std::size_t n = 3 * head_dim;
            const std::size_t half = n_dims / 2;
            const std::vector<float> x = random_row(n, 8);
            std::vector<float> cos_sin(n_dims);
            for (std::size_t i = 0; i < half; ++i) {
                cos_sin[i] = std::cos(static_cast<float>(i));
                cos_sin[half + i] = std::sin(static_cast<float>(i));
            }
            const auto y = guarded(n, [&](float* out) { rows().rope(pairing, x.data(), cos_sin.data(), n_dims, head_dim, 3, out); });
            for (std::size_t h = 0; h < 3; ++h) {
                const float* in = x.data() + h * head_dim;
                const float* out = y.data() + h * head_dim;
                for (std::size_t i = 0; i < half; ++i) {
                    const bool halves = pairing == model::RopePairing::kHalves;
                    const std::size_t a = halves ? i : 2 * i;
                    const std::size_t b = halves ? i + half : 2 * i + 1;
                    EXPECT_EQ(out[a], in[a] * cos_sin[i] - in[b] * cos_sin[half + i]);
                    EXPECT_EQ(out[b], in[a] * cos_sin[half + i] + in[b] * cos_sin[i]);
                }
                for (std::size_t i = n_dims; i < head_dim; ++i) EXPECT_EQ(out[i], in[i]);
            }
        }
    }
}

TEST_P(Rows, CombineAddsInOrderOfRank) {
    for (const std::size_t n : kSizes) {
        const std::size_t stride = n + 3;
        const std::vector<float> x = random_row(4 * stride, 9);
        const std::vector<float> weight = random_row(4, 10);
        const auto y = guarded(n, [&](float* out) { rows().combine(x.data(), stride, weight.data(), 4, n, out); });
        for (std::size_t i = 0; i < n; ++i) {
            float expected = 0.0F;
            for (std::size_t r = 0; r < 4; ++r) expected = std::fmaf(weight[r], x[r * stride + i], expected);
            EXPECT_EQ(y[i], expected);
        }
    }
}

TEST_P(Rows, KeysAndValuesAreRoundedIntoTheirPlaceAndNowhereElse) {
    for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16}) {
        for (const std::size_t head_dim : {1U, 16U, 20U, 64U}) {
            const std::size_t size = kv_row_bytes(type, 1);
            const std::vector<float> x = random_row(head_dim, 11, 100.0F);
            std::vector<std::byte> keys(head_dim * 16 * size, std::byte{0xee});
            std::vector<std::byte> values(padded_to_16(head_dim) * 16 * size, std::byte{0xee});
            constexpr std::size_t kLane = 5;
            rows().store_key(x.data(), head_dim, type, kLane, keys.data());
            rows().store_value(x.data(), head_dim, type, kLane, values.data());
            const auto expected_bits = [&](std::size_t d) -> std::uint32_t {
                const float v = d < head_dim ? x[d] : 0.0F;
                if (type == KvType::kF32) return __builtin_bit_cast(std::uint32_t, v);
                return type == KvType::kF16 ? tensor::f32_to_f16(v) : tensor::f32_to_bf16(v);
            };
            for (std::size_t i = 0; i < keys.size() / size; ++i) {
                std::uint32_t bits = 0;
                std::memcpy(&bits, keys.data() + i * size, size);
                EXPECT_EQ(bits, i % 16 == kLane ? expected_bits(i / 16) : 0xeeeeeeeeU >> (32 - 8 * size));
            }
            for (std::size_t i = 0; i < values.size() / size; ++i) {
                std::uint32_t bits = 0;
                std::memcpy(&bits, values.data() + i * size, size);
                EXPECT_EQ(bits, i / 16 % 16 == kLane ? expected_bits(i / 256 * 16 + i % 16) : 0xeeeeeeeeU >> (32 - 8 * size));
            }
        }
    }
}

// Reads element d of the key or value at `lane` by the layout that kv_store.h states.
float read_quantized(const std::vector<std::byte>& tile, bool is_key, std::size_t d, std::size_t lane, KvType type) {
    const bool q8 = type == KvType::kQ8;
    const std::size_t group = d / 32 * (q8 ? 32 + 32 * 16 : 64 + 16 * 16);
    const auto f16_at = [&](std::size_t at) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, tile.data() + at, 2);
        return tensor::f16_to_f32(bits);
    };
    const float scale = f16_at(group + lane * 2);
    const std::size_t i = d % 32;
    if (q8) {
        const std::size_t at = group + 32 + (is_key ? i * 16 + lane : i / 16 * 256 + lane * 16 + i % 16);
        return scale * static_cast<float>(static_cast<std::int8_t>(tile[at]));
    }
    const std::size_t at = group + 64 + (is_key ? i / 2 * 16 + lane : i / 16 * 128 + lane * 8 + i % 8);
    const bool is_high = is_key ? i % 2 == 1 : i % 16 >= 8;
    const int q = is_high ? std::to_integer<int>(tile[at]) >> 4 : std::to_integer<int>(tile[at]) & 15;
    return std::fma(static_cast<float>(q), scale, f16_at(group + 32 + lane * 2));
}

std::vector<std::vector<float>> rows_to_quantize(std::size_t n) {
    std::vector<std::vector<float>> rows;
    for (const float sigma : {1.0F, 1e-3F, 1e-6F, 1e-20F, 1e-40F, 300.0F, 1e4F}) rows.push_back(random_row(n, 21, sigma));
    const auto changed = [&](const auto& change) {
        std::vector<float> row = random_row(n, 22);
        for (std::size_t i = 0; i < n; ++i) row[i] = change(i, row[i]);
        rows.push_back(row);
    };
    changed([](std::size_t, float) { return 0.0F; });
    changed([](std::size_t, float) { return -0.0F; });
    changed([](std::size_t, float) { return -7.25F; });
    changed([](std::size_t, float) { return 1e-30F; });
    changed([](std::size_t i, float x) { return i % 37 == 5 ? 5000.0F * x : x; });
    changed([](std::size_t i, float x) { return i % 32 == 0 ? 60000.0F : x; });
    changed([](std::size_t i, float x) { return i % 32 == 31 ? -60000.0F : 1e-7F * x; });
    changed([](std::size_t, float x) { return 100.0F + 0.1F * x; });
    changed([](std::size_t, float x) { return -3.0F - std::abs(x); });
    changed([](std::size_t i, float x) { return std::ldexp(x, static_cast<int>(i % 50) - 40); });
    changed([](std::size_t i, float) { return i % 2 == 0 ? 65504.0F : -65504.0F; });
    changed([](std::size_t i, float) { return static_cast<float>(i % 16) * 0.5F; });
    changed([](std::size_t i, float x) { return i == 0 ? std::numeric_limits<float>::denorm_min() : 0.0F * x; });
    return rows;
}

TEST_P(Rows, QuantisedKeysAndValuesAreInTheirBoundsAndTouchNothingElse) {
    for (const KvType type : {KvType::kQ8, KvType::kQ4}) {
        for (const std::size_t head_dim : {1U, 15U, 16U, 20U, 32U, 33U, 64U, 80U, 128U}) {
            for (const std::vector<float>& x : rows_to_quantize(head_dim)) {
                const std::vector<float> expected = backend::rounded_row(x, type);
                const std::vector<double> bounds = backend::rounding_bounds(x, type);
                for (const bool is_key : {true, false}) {
                    const std::size_t n_stored = is_key ? head_dim : padded_to_16(head_dim);
                    std::vector<std::byte> tile(16 * kv_row_bytes(type, n_stored), std::byte{0xee});
                    const auto store = [&](const std::vector<float>& row, std::size_t lane) {
                        (is_key ? rows().store_key : rows().store_value)(row.data(), head_dim, type, lane, tile.data());
                    };
                    constexpr std::size_t kLane = 5;
                    store(x, kLane);
                    for (std::size_t d = 0; d < head_dim; ++d) {
                        const float found = read_quantized(tile, is_key, d, kLane, type);
                        EXPECT_EQ(found, expected[d]) << x[d];
                        EXPECT_LE(std::abs(static_cast<double>(found) - static_cast<double>(x[d])), bounds[d]) << x[d];
                    }
                    const auto n_touched = std::ranges::count_if(tile, [](std::byte b) { return b != std::byte{0xee}; });
                    EXPECT_LE(static_cast<std::size_t>(n_touched), kv_row_bytes(type, n_stored));
                    // Rows of all other positions come later and change nothing of this one.
                    for (std::size_t lane = 0; lane < 16; ++lane) {
                        if (lane != kLane) store(random_row(head_dim, static_cast<std::uint32_t>(lane), 10.0F), lane);
                    }
                    for (std::size_t d = 0; d < head_dim; ++d) EXPECT_EQ(read_quantized(tile, is_key, d, kLane, type), expected[d]);
                }
            }
        }
    }
}

TEST_P(Rows, AGroupThatCannotBeQuantisedIsNanAndItsNeighboursAreNot) {
    for (const KvType type : {KvType::kQ8, KvType::kQ4}) {
        for (const float bad : {std::nanf(""), INFINITY, -INFINITY, -1e7F, 3e38F}) {
            std::vector<float> x = random_row(96, 23);
            x[40] = bad;
            for (const bool is_key : {true, false}) {
                std::vector<std::byte> tile(16 * kv_row_bytes(type, 96));
                (is_key ? rows().store_key : rows().store_value)(x.data(), 96, type, 3, tile.data());
                for (std::size_t d = 0; d < 96; ++d) {
                    const float found = read_quantized(tile, is_key, d, 3, type);
                    EXPECT_EQ(std::isnan(found), d / 32 == 1) << bad << " at " << d;
                }
            }
        }
    }
}

TEST_P(Rows, QuantiseAsTheScalarReferenceDoes) {
    for (const KvType type : {KvType::kQ8, KvType::kQ4}) {
        for (const std::size_t head_dim : {20U, 64U, 80U}) {
            auto all = rows_to_quantize(head_dim);
            all.emplace_back(head_dim, std::nanf(""));
            for (const std::vector<float>& x : all) {
                std::vector<std::byte> found(16 * kv_row_bytes(type, padded_to_16(head_dim)));
                std::vector<std::byte> expected = found;
                rows().store_key(x.data(), head_dim, type, 9, found.data());
                row_kernels(Isa::kScalar).store_key(x.data(), head_dim, type, 9, expected.data());
                EXPECT_EQ(found, expected);
                rows().store_value(x.data(), head_dim, type, 15, found.data());
                row_kernels(Isa::kScalar).store_value(x.data(), head_dim, type, 15, expected.data());
                EXPECT_EQ(found, expected);
            }
        }
    }
}

TEST_P(Rows, GiveTheBitsOfTheScalarReference) {
    const RowKernels& scalar = row_kernels(Isa::kScalar);
    const std::vector<float> x = random_row(1003, 12, 5.0F);
    const std::vector<float> z = random_row(1003, 13, 5.0F);
    std::vector<float> a(1003);
    std::vector<float> b(1003);
    const auto expect_same = [&] { EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0); };
    rows().rms_norm(x.data(), z.data(), 1003, 1003, 1e-6F, a.data());
    scalar.rms_norm(x.data(), z.data(), 1003, 1003, 1e-6F, b.data());
    expect_same();
    for (const auto activation : {model::Activation::kSilu, model::Activation::kGeluTanh, model::Activation::kSwigluClamped}) {
        rows().gate(activation, x.data(), z.data(), 1003, a.data());
        scalar.gate(activation, x.data(), z.data(), 1003, b.data());
        expect_same();
    }
    rows().tanh(x.data(), 1003, a.data());
    scalar.tanh(x.data(), 1003, b.data());
    expect_same();
    rows().rope(model::RopePairing::kInterleaved, x.data(), z.data(), 1002, 1003, 1, a.data());
    scalar.rope(model::RopePairing::kInterleaved, x.data(), z.data(), 1002, 1003, 1, b.data());
    expect_same();
}

INSTANTIATE_TEST_SUITE_P(EachIsa, Rows, testing::ValuesIn(tests::isas_under_test(available_isas())),
                         [](const auto& instance) { return std::string(to_string(instance.param)); });

}  // namespace
}  // namespace rafter::backend::cpu
