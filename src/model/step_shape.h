// The shape of one step: how many tokens of how many sequences, and how far each has come. All that a price needs; a batch adds ids and
// tables.
#pragma once

#include <cstdint>
#include <vector>

namespace rafter::model {

struct SequenceStep {
    std::uint32_t n_new = 0;      // tokens computed in this step: prompt, sampled, draft
    std::uint32_t n_past = 0;     // tokens whose keys and values are in the cache already
    std::uint32_t n_outputs = 0;  // of the new tokens, how many need logits
    // Of the past, from its beginning: what an earlier sequence of the step reads too, from the same blocks of the cache.
    std::uint32_t n_shared = 0;
    std::uint32_t n_hidden = 0;  // of the new tokens, how many more need their last hidden state, without logits
};

struct StepShape {
    std::vector<SequenceStep> sequences;

    [[nodiscard]] std::uint32_t n_tokens() const {
        std::uint32_t n = 0;
        for (const SequenceStep& s : sequences) n += s.n_new;
        return n;
    }
    [[nodiscard]] std::uint32_t n_outputs() const {
        std::uint32_t n = 0;
        for (const SequenceStep& s : sequences) n += s.n_outputs;
        return n;
    }
    [[nodiscard]] std::uint32_t n_hidden() const {
        std::uint32_t n = 0;
        for (const SequenceStep& s : sequences) n += s.n_hidden;
        return n;
    }
};

}  // namespace rafter::model
