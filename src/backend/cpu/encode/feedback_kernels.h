// What error feedback (backend/feedback.h) computes, by instruction set. All give the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cpu/isa.h"
#include "backend/feedback.h"

namespace rafter::backend::cpu {

// Rows of inputs: the t-th is at values + index(t) * stride.
struct MomentRows {
    const float* values = nullptr;
    std::size_t stride = 0;
    const std::uint32_t* index = nullptr;  // null: t itself
    std::size_t n_rows = 0;
    std::size_t n_cols = 0;  // whole groups
    float scale = 1.0F;      // of the values
};
constexpr std::size_t kMomentScratchBytes = std::size_t{32} * 1024;

struct Share {  // of the work, for one of some threads
    unsigned thread = 0;
    unsigned n_threads = 1;
};

struct FeedbackKernels {
    // Adds the rows' second moments to a thread's share of the groups. scratch: [kMomentScratchBytes], aligned to 64 bytes.
    void (*add_moments)(const MomentRows& rows, const Share& share, std::byte* scratch, float* moments);

    // The factor, group after group from the last to the first; the three steps of a group by all threads, with a barrier after each.
    // 1. By one thread: the group's triangle into `triangle`, not yet of unit diagonal, [32, 32] and its inverse diagonal, [32]. False:
    //    there is none.
    bool (*factor_triangle)(const float* moments, std::size_t group, float* triangle, float* inverse_diagonal);
    // 2. A share of the rows before the group, also transposed into `panel`, [32, panel_stride]; and the triangle, of unit diagonal.
    void (*solve_panel)(float* moments, std::size_t group, const float* triangle, const float* inverse_diagonal, const Share& share,
                        float* panel, std::size_t panel_stride);
    // 3. What the group explains is taken off a share of the groups before it.
    void (*subtract_group)(float* moments, std::size_t group, const Share& share, const float* panel, std::size_t panel_stride);

    // encode_with_feedback(). encode: of the same instruction set.
    FeedbackErrors (*encode)(tensor::DType to, const WeightRows& rows, const float* upper, const float* variance, EncodeRows encode,
                             std::byte* scratch, std::byte* out);
    std::size_t (*encode_scratch_bytes)(tensor::DType to, std::size_t n_cols);
};
[[nodiscard]] const FeedbackKernels& feedback_kernels(Isa isa);

// The functions of backend/feedback.h with an instruction set's kernels.
[[nodiscard]] FeedbackFactor factor_moments(std::vector<float> moments, std::size_t n_cols, float damping, ThreadPool& pool, Isa isa);
[[nodiscard]] FeedbackErrors encode_with_feedback(tensor::DType to, const WeightRows& rows, const FeedbackFactor& factor,
                                                  std::span<std::byte> scratch, std::byte* out, Isa isa);

}  // namespace rafter::backend::cpu
