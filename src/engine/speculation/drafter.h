// A drafter proposes a sequence's next tokens, and the model checks them in the step that it computes anyway. A draft token can only cost
// time: it is accepted only where it equals the token that the model itself chooses, so the text is the same with any drafter and with
// none.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/request.h"

namespace rafter::engine {

class Sampler;
class StepCost;

// What a drafter keeps for one sequence. Destroyed when the sequence ends or is preempted.
class DraftState {
  public:
    DraftState() = default;
    // Frees its own memory and touches nothing that is shared: after a failure that may be broken.
    virtual ~DraftState() = default;
    // Before the destructor, where nothing has failed: gives back what it holds, and leaves what it knows to others. May throw.
    virtual void end() {}
    DraftState(const DraftState&) = delete;
    DraftState& operator=(const DraftState&) = delete;
};

// A decoding sequence as a drafter sees it.
struct DraftSequence {
    std::span<const TokenId> tokens;     // prompt and answer so far
    Sampler* sampler;                    // chooses the sequence's tokens; a call may change its history but restores it to `tokens`
    std::span<const TokenId> forced;     // the forced answer from position n_prompt on; empty: the answer is free
    std::uint32_t n_prompt = 0;          // prompt tokens among `tokens`
    std::string_view cache_salt;         // only sequences with the same salt may learn from each other
    std::unique_ptr<DraftState>* state;  // null until the drafter first sees the sequence
};

// How many draft tokens the drafter has for a sequence. The governor estimates acceptance for each trust level separately; a higher level
// stands for draft tokens that are accepted more often.
struct DraftOffer {
    std::uint32_t n_tokens = 0;
    std::uint32_t trust = 0;  // below kTrustLevels
};
inline constexpr std::uint32_t kTrustLevels = 8;

struct DraftRequest {
    DraftSequence sequence;
    std::uint32_t n_wanted = 0;   // no more than was offered
    std::vector<TokenId> drafts;  // the drafter's answer; fewer than wanted where it finds no more
};

// One thread, the engine's.
class Drafter {
  public:
    virtual ~Drafter() = default;
    [[nodiscard]] virtual std::string_view name() const = 0;
    // Reads the sequence's new tokens. n_most: the step can use no more draft tokens than this.
    [[nodiscard]] virtual DraftOffer offer(DraftSequence& sequence, std::uint32_t n_most) = 0;
    // Seconds that drafting one more token takes for n_sequences together with n_past tokens each. 0: negligible.
    [[nodiscard]] virtual double round_seconds(std::uint32_t n_sequences, std::uint32_t n_past) const = 0;
    virtual void draft(std::span<DraftRequest> requests) = 0;
};

}  // namespace rafter::engine
