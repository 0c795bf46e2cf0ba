// One step's input: new tokens of several sequences, their positions, and where each sequence's keys and values live. Built by the engine,
// read by a backend. Rows of one sequence are neighbours, in order of position; sequences come in any order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv/block_pool.h"
#include "model/step_shape.h"

namespace rafter::backend {

using kv::BlockCopy;
using kv::BlockId;

struct BatchSequence {
    model::SequenceStep step;
    std::uint32_t first_row = 0;  // its tokens are rows [first_row, first_row + step.n_new)
    // [n_cache_groups]: the blocks of its positions 0, block_size, 2 * block_size, ...; covers n_past + n_new positions. Entries that a
    // sliding window has left behind may hold any id: they are not read.
    std::vector<std::vector<BlockId>> block_tables;
};

struct Batch {
    std::vector<BlockCopy> copies;  // executed in order, before anything is computed; also where there are no tokens
    std::vector<BatchSequence> sequences;
    std::vector<std::int32_t> tokens;        // [n_tokens]
    std::vector<std::uint32_t> positions;    // [n_tokens]; n_past .. n_past + n_new - 1 within a sequence
    std::vector<std::uint32_t> output_rows;  // [n_outputs], ascending: rows whose logits are wanted
    std::vector<std::uint32_t> hidden_rows;  // [n_hidden], ascending: other rows, whose last hidden state is wanted without logits

    [[nodiscard]] model::StepShape shape() const {
        model::StepShape shape;
        for (const BatchSequence& s : sequences) shape.sequences.push_back(s.step);
        return shape;
    }
};

// Views into the backend, valid until its next forward().
struct StepOutput {
    std::span<const float> logits;  // [n_outputs, n_vocab]
    // [n_outputs + n_hidden, d_model], after the last norm: what the head multiplies, then the rows without logits.
    std::span<const float> hidden;
    std::uint32_t n_vocab = 0;
    std::uint32_t d_model = 0;

    [[nodiscard]] std::span<const float> logits_of(std::size_t output) const { return logits.subspan(output * n_vocab, n_vocab); }
    [[nodiscard]] std::span<const float> hidden_of(std::size_t row) const { return hidden.subspan(row * d_model, d_model); }
};

}  // namespace rafter::backend
