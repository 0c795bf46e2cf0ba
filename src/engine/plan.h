// A step on its way: what the scheduler grants each sequence, which the drafter, the runner and the sampler read, and what the sampler
// accepted, which the scheduler commits.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "engine/sequence.h"
#include "engine/token_stream.h"
#include "kv/block_cache.h"
#include "model/step_shape.h"

namespace rafter::engine {

// Draft tokens that a sequence may have in a step.
struct DraftGrant {
    std::uint32_t n = 0;
    std::uint32_t trust = 0;  // their trust level
};

struct PlannedSequence {
    Sequence* sequence;
    std::uint32_t n_new;         // its next tokens
    std::uint32_t first_output;  // position of the first of them that needs an output, as all after it do; beyond them where none does
    std::uint32_t n_outputs;     // how many of them need an output: logits, or their last hidden state (Sequence::needs_logits())
    DraftGrant grant = {};       // draft tokens that may follow them
    std::vector<TokenId> drafts = {};  // the draft tokens, once they are made; each needs logits
    std::uint32_t n_shared = 0;        // as model::SequenceStep has it

    [[nodiscard]] model::SequenceStep step() const {
        const auto n_drafts = static_cast<std::uint32_t>(drafts.size());
        const bool logits = sequence->needs_logits();
        return {.n_new = n_new + n_drafts,
                .n_past = sequence->n_computed,
                .n_outputs = logits ? n_outputs + n_drafts : 0,
                .n_shared = n_shared,
                .n_hidden = logits ? 0 : n_outputs};
    }
    // It goes on with an answer that has begun: not with its prompt, nor with what a preemption took. Until commit().
    [[nodiscard]] bool decodes() const { return n_new == 1 && sequence->n_generated() > 0; }
};

enum class StepKind {
    kNone,     // no tokens
    kPrefill,  // prompts, and what is computed again after a preemption
    kDecode,   // answers that go on
    kMixed,
};

struct Plan {
    std::vector<PlannedSequence> sequences;
    std::vector<kv::BlockCopy> copies;  // to be done first, in order

    // Until commit().
    [[nodiscard]] StepKind kind() const {
        std::size_t n_decoding = 0;
        for (const PlannedSequence& planned : sequences) n_decoding += planned.decodes() ? 1 : 0;
        if (sequences.empty()) return StepKind::kNone;
        if (n_decoding == 0) return StepKind::kPrefill;
        return n_decoding == sequences.size() ? StepKind::kDecode : StepKind::kMixed;
    }
};

// What a step's logits gave one planned sequence.
struct Accepted {
    std::vector<TokenLogprobs> prompt_scores;
    // When all its tokens are computed and more are wanted: one, and one more for each draft token that was right.
    std::vector<GeneratedToken> tokens;
    std::vector<float> embedding;  // [d_model], when all its prompt is computed and its hidden states were asked for
    std::optional<Error> error;    // it ends after these, alone

    void clear() {
        prompt_scores.clear();
        tokens.clear();
        embedding.clear();
        error.reset();
    }
};

}  // namespace rafter::engine
