// The table of kernels by instruction set, and what they are put together to.
#include "backend/feedback.h"

#include <algorithm>
#include <cmath>

#include "backend/cpu/encode/encode.h"
#include "backend/cpu/encode/feedback_kernels.h"
#include "base/check.h"
#include "tensor/formats/formats.h"

namespace rafter::backend::cpu {

extern const FeedbackKernels kFeedbackScalar;
extern const FeedbackKernels kFeedbackAvx2;
extern const FeedbackKernels kFeedbackAvx512;

const FeedbackKernels& feedback_kernels(Isa isa) {
    switch (isa) {
        case Isa::kScalar:
            return kFeedbackScalar;
        case Isa::kAvx2:
            return kFeedbackAvx2;
        case Isa::kAvx512:
        case Isa::kAmx:
            return kFeedbackAvx512;
    }
    return kFeedbackScalar;
}

namespace {

// In the place of `moments`. False: they are not positive definite.
bool factor_in_place(std::vector<float>& moments, std::vector<float>& variance, ThreadPool& pool, const FeedbackKernels& kernels) {
    const std::size_t n_cols = variance.size();
    const std::size_t panel_stride = n_cols + 16;  // not a power of two: its rows would share few sets of a cache
    std::vector<float> panel(kFeedbackGroup * panel_stride);
    std::vector<float> triangle(kFeedbackGroup * kFeedbackGroup);
    std::vector<float> inverse_diagonal(kFeedbackGroup);
    bool is_positive = true;
    pool.run([&](unsigned thread) {
        const Share share{.thread = thread, .n_threads = pool.n_threads()};
        for (std::size_t group = n_cols / kFeedbackGroup; group-- > 0;) {
            if (thread == 0 && is_positive) {
                is_positive = kernels.factor_triangle(moments.data(), group, triangle.data(), inverse_diagonal.data());
                for (std::size_t c = 0; c < kFeedbackGroup && is_positive; ++c) {
                    const float root = triangle[c * kFeedbackGroup + c];
                    variance[group * kFeedbackGroup + c] = root * root;
                }
            }
            pool.barrier();
            if (!is_positive) return;
            kernels.solve_panel(moments.data(), group, triangle.data(), inverse_diagonal.data(), share, panel.data(), panel_stride);
            pool.barrier();
            kernels.subtract_group(moments.data(), group, share, panel.data(), panel_stride);
            pool.barrier();
        }
    });
    return is_positive && std::ranges::all_of(moments, [](float x) { return std::isfinite(x); });
}

}  // namespace

FeedbackFactor factor_moments(std::vector<float> moments, std::size_t n_cols, float damping, ThreadPool& pool, Isa isa) {
    RAFTER_CHECK(n_cols % kFeedbackGroup == 0 && moments.size() == moments_size(n_cols), "moments of {} columns: {} numbers", n_cols,
                 moments.size());
    double trace = 0.0;
    for (std::size_t c = 0; c < n_cols; ++c) trace += static_cast<double>(moments[moments_index(c, c)]);
    const double mean = n_cols > 0 ? trace / static_cast<double>(n_cols) : 0.0;
    if (!(mean > 0.0) || !std::isfinite(mean)) return {};
    constexpr int kTrials = 3;
    for (int trial = 0; trial < kTrials; ++trial, damping *= 10.0F) {
        FeedbackFactor factor{.upper = trial + 1 < kTrials ? moments : std::move(moments), .variance = std::vector<float>(n_cols)};
        // In a range where no product overflows, whatever the text's length.
        const auto scale = static_cast<float>(1.0 / mean);
        for (float& x : factor.upper) x *= scale;
        for (std::size_t c = 0; c < n_cols; ++c) factor.upper[moments_index(c, c)] += damping;
        if (factor_in_place(factor.upper, factor.variance, pool, feedback_kernels(isa))) return factor;
    }
    return {};
}

FeedbackErrors encode_with_feedback(tensor::DType to, const WeightRows& rows, const FeedbackFactor& factor, std::span<std::byte> scratch,
                                    std::byte* out, Isa isa) {
    const std::size_t block = tensor::format_of(to).block_elements;
    RAFTER_CHECK(block > 1 && rows.n_cols % block == 0 && factor.variance.size() == rows.n_cols, "{} columns as {}, a factor of {}",
                 rows.n_cols, tensor::format_of(to).name, factor.variance.size());
    const FeedbackKernels& kernels = feedback_kernels(isa);
    RAFTER_CHECK(scratch.size() >= kernels.encode_scratch_bytes(to, rows.n_cols), "scratch of {} bytes", scratch.size());
    return kernels.encode(to, rows, factor.upper.data(), factor.variance.data(), encoder(isa), scratch.data(), out);
}

}  // namespace rafter::backend::cpu

namespace rafter::backend {

FeedbackFactor factor_moments(std::vector<float> moments, std::size_t n_cols, float damping, ThreadPool& pool) {
    return cpu::factor_moments(std::move(moments), n_cols, damping, pool, cpu::best_isa());
}

FeedbackErrors encode_with_feedback(tensor::DType to, const WeightRows& rows, const FeedbackFactor& factor, std::span<std::byte> scratch,
                                    std::byte* out) {
    return cpu::encode_with_feedback(to, rows, factor, scratch, out, cpu::best_isa());
}

std::size_t feedback_scratch_bytes(tensor::DType to, std::size_t n_cols) {
    return cpu::feedback_kernels(cpu::best_isa()).encode_scratch_bytes(to, n_cols);
}

}  // namespace rafter::backend
