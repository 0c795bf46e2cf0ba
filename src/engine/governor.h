// How many guesses to check for each decoding sequence: as many as give the most tokens a second, by the acceptance seen so far and the
// predicted time of the step with them. None, where none pays.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/drafter.h"
#include "engine/step_cost.h"
#include "model/step_shape.h"

namespace rafter::engine {

// How often guesses of one sequence were right lately.
class AcceptanceHistory {
  public:
    // Guesses of this trust were checked; the first n_accepted were right. Guesses after the first wrong one say nothing.
    void add(std::uint32_t trust, std::uint32_t n_checked, std::uint32_t n_accepted);

  private:
    friend class Governor;
    struct Level {
        double tried = 0.0;  // decayed counts
        double right = 0.0;
    };
    std::array<Level, kTrustLevels> levels_{};
};

struct GovernorRow {
    const AcceptanceHistory* history;
    DraftOffer offer;
    std::uint32_t n_past = 0;  // tokens behind the one that the step computes for it anyway
};

struct GovernorChoice {
    std::vector<std::uint32_t> n_drafts;   // [n_rows]
    double expected_tokens = 0.0;          // of the step, drafts included
    double seconds = 0.0;                  // predicted, drafting included
    double plain_tokens_per_second = 0.0;  // without drafts
    [[nodiscard]] double tokens_per_second() const { return seconds > 0.0 ? expected_tokens / seconds : 0.0; }
};

class Governor {
  public:
    // rows: decoding sequences, one pending token each. base: what else is in the step.
    // round_seconds: as Drafter's. n_most_tokens, n_most_outputs: what the step has left for drafts.
    [[nodiscard]] GovernorChoice choose(std::span<const GovernorRow> rows, const StepCost& cost, const StepCost::Sum& base,
                                        const std::function<double(std::uint32_t n_sequences, std::uint32_t n_past)>& round_seconds,
                                        std::uint32_t n_most_tokens, std::uint32_t n_most_outputs) const;
    // What became of a sequence's guesses; goes into its history and into what new sequences start from.
    void learn(AcceptanceHistory& history, std::uint32_t trust, std::uint32_t n_checked, std::uint32_t n_accepted);
    // Chance that a guess of this trust is right, given that those before it were.
    [[nodiscard]] double acceptance(const AcceptanceHistory& history, std::uint32_t trust) const;

  private:
    AcceptanceHistory all_;
};

}  // namespace rafter::engine
