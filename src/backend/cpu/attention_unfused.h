// Attention as three ops of a step, over the threads: all scores to memory, the softmax of each row of them, the weighted sum of values.
// What flash attention (attention_step.h) is measured against. As there, the split follows the step's shape and the number of threads, and
// the result does not: a score is one sum, a softmax one row, and values are summed in order of position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/cpu/attention_step.h"

namespace rafter::backend::cpu {

// Elements [first_element, first_element + n_elements) of the sums of some queries, over all that they see.
struct ValuesItem {
    AttentionItem queries;
    std::uint32_t first_element = 0;
    std::uint32_t n_elements = 0;
};

// The items of the three ops of all layers with one window: made once a step.
struct UnfusedPlan {
    AttentionPlan scores;  // items only: pieces are not merged
    std::vector<ValuesItem> values;
    std::uint32_t heads_per_softmax = 1;  // rows of scores, of one token, that a thread takes at once
};
// Overwrites plan, whose memory is used again.
void plan_unfused_attention(const Batch& batch, const model::AttentionOptions& options, unsigned n_threads, UnfusedPlan& plan);

struct UnfusedCall {
    const Batch& batch;
    const model::AttentionOptions& options;
    const KvLayer& layer;
    const AttentionKernels& kernels;
    float* scores;  // [n_tokens, row_stride], of a token [n_heads, head_stride]; then the probabilities
    std::size_t row_stride;
    std::size_t head_stride;

    [[nodiscard]] float* scores_of(std::size_t row, std::size_t head) const { return scores + row * row_stride + head * head_stride; }
};

// Each is called by every thread; threads take items until none is left. progress: reset before, once an op.
void run_scores(const UnfusedCall& call, const UnfusedPlan& plan, const float* q, std::size_t q_stride, const AttentionScratch& scratch,
                unsigned thread, AttentionProgress& progress);
void run_softmax(const UnfusedCall& call, const UnfusedPlan& plan, const float* sinks, AttentionProgress& progress);
void run_values(const UnfusedCall& call, const UnfusedPlan& plan, float* y, std::size_t y_stride, const AttentionScratch& scratch,
                unsigned thread, AttentionProgress& progress);

}  // namespace rafter::backend::cpu
