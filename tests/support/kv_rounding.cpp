// Rounding by the definition in backend.h, and its bound from the magnitudes alone.
#include "tests/support/kv_rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/half.h"

namespace rafter::backend {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kMaxF16 = 65504.0;

// The F16 nearest to x that is not on the wrong side of it; found by trying the nearest one and its neighbours.
float f16_beside(float x, bool above) {
    const std::uint16_t nearest = tensor::f32_to_f16(x);
    float found = above ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
    for (int step = -2; step <= 2; ++step) {
        const float candidate = tensor::f16_to_f32(static_cast<std::uint16_t>(nearest + step));
        if (above && candidate >= x) found = std::min(found, candidate);
        if (!above && candidate <= x) found = std::max(found, candidate);
    }
    return found;
}

void round_group(std::span<const float> x, KvType type, float* out) {
    std::fill_n(out, x.size(), kNan);
    if (!std::ranges::all_of(x, [](float v) { return std::isfinite(v); })) return;
    const auto [least, most] = std::ranges::minmax(x);
    const float minimum = type == KvType::kQ4 ? f16_beside(least, false) : 0.0F;
    const float reach = type == KvType::kQ4 ? (most - minimum) / 15.0F : std::max(std::abs(least), std::abs(most)) / 127.0F;
    const float scale = f16_beside(reach, true);
    if (!std::isfinite(minimum) || !std::isfinite(scale)) return;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const float q = scale == 0.0F ? 0.0F : std::nearbyint((x[i] - minimum) / scale);
        out[i] = std::fma(q, scale, minimum);
    }
}

}  // namespace

std::vector<float> rounded_row(std::span<const float> row, KvType type) {
    std::vector<float> rounded(row.begin(), row.end());
    if (type == KvType::kF16)
        std::ranges::transform(row, rounded.begin(), [](float x) { return tensor::f16_to_f32(tensor::f32_to_f16(x)); });
    if (type == KvType::kBF16) {
        std::ranges::transform(row, rounded.begin(), [](float x) { return tensor::bf16_to_f32(tensor::f32_to_bf16(x)); });
    }
    if (type != KvType::kQ8 && type != KvType::kQ4) return rounded;
    for (std::size_t i = 0; i < row.size(); i += kKvGroup) {
        round_group(row.subspan(i, std::min(kKvGroup, row.size() - i)), type, rounded.data() + i);
    }
    return rounded;
}

// F16 rounds by 2^-11 of a number, or by 2^-25 where it is subnormal; a scale or minimum that is rounded to one side, by twice that. BF16
// rounds by 2^-8 and needs no more near 0 than floats do.
std::vector<double> rounding_bounds(std::span<const float> row, KvType type) {
    std::vector<double> bounds(row.size(), 0.0);
    const auto up = [](double x) { return x > kMaxF16 ? INFINITY : x * (1 + 0x1p-10) + 0x1p-24; };
    for (std::size_t first = 0; first < row.size(); first += kKvGroup) {
        const auto group = row.subspan(first, std::min(kKvGroup, row.size() - first));
        const auto least = static_cast<double>(std::ranges::min(group));
        const auto most = static_cast<double>(std::ranges::max(group));
        for (std::size_t i = 0; i < group.size(); ++i) {
            const double x = std::abs(static_cast<double>(group[i]));
            double& bound = bounds[first + i];
            if (type == KvType::kF16) bound = x >= 65520 ? INFINITY : std::max(x * 0x1p-11, 0x1p-25);
            if (type == KvType::kBF16) bound = std::max(x * 0x1p-8, 0x1p-134);
            if (type == KvType::kQ8) bound = up(std::max(-least, most) / 127) / 2;
            if (type == KvType::kQ4) {
                const double below = std::abs(least) * 0x1p-10 + 0x1p-24;
                bound = least < -kMaxF16 || least > kMaxF16 ? INFINITY : up((most - least + below) / 15) / 2;
            }
            // What remains: the division and the sum are of floats.
            if (type == KvType::kQ8 || type == KvType::kQ4)
                bound = bound * (1 + 0x1p-18) + std::max(std::abs(least), std::abs(most)) * 0x1p-23;
        }
    }
    return bounds;
}

}  // namespace rafter::backend
