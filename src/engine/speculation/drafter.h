// Draft tokens a sequence's next tokens, for the model to check in the same step as everything else. A draft token can only cost time: a
// token that the model itself would not have chosen at that place is never taken, so the text is the same with any drafter and with none.
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

// What a drafter keeps of one sequence; it goes when the sequence ends or is preempted.
class DraftState {
  public:
    DraftState() = default;
    virtual ~DraftState() = default;
    DraftState(const DraftState&) = delete;
    DraftState& operator=(const DraftState&) = delete;
};

// A decoding sequence, as a drafter sees it.
struct DraftSequence {
    std::span<const TokenId> tokens;     // prompt and answer so far
    Sampler* sampler;                    // how its tokens are chosen; its history is `tokens`, and is so again after each call
    std::span<const TokenId> forced;     // the answer from position n_prompt on, where it is forced; else empty
    std::uint32_t n_prompt = 0;          // of the tokens
    std::string_view cache_salt;         // only sequences of the same salt may learn from each other
    std::unique_ptr<DraftState>* state;  // null before the drafter sees it first
};

// What could be drafted for a sequence now. The higher the trust, the likelier the draft tokens are right: the governor keeps an estimate
// for each level.
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
    // n_most: more is not of use now. Follows the sequence's new tokens.
    [[nodiscard]] virtual DraftOffer offer(DraftSequence& sequence, std::uint32_t n_most) = 0;
    // Seconds of drafting one more token for each of n_sequences together, n_past tokens each. 0: not worth counting.
    [[nodiscard]] virtual double round_seconds(std::uint32_t n_sequences, std::uint32_t n_past) const = 0;
    virtual void draft(std::span<DraftRequest> requests) = 0;
};

}  // namespace rafter::engine
