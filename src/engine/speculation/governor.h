// Chooses how many draft tokens to check for each decoding sequence: the number that gives the most tokens a second, by the acceptance seen
// so far and the predicted time of the step. It chooses none where none pays. docs/speculation.md has the measurements.
//
//   estimate   the share of draft tokens accepted lately, for this sequence and trust level, with the share of all sequences as the prior;
//              when the latest results contradict the estimate, older results are forgotten
//   choose     the best total number of draft tokens, the likeliest ones first; a gain below 1% is not taken
//   explore    0.5% of the time is saved in an account. A draft token that is not expected to pay is checked when the account covers its
//              cost, and a step without draft tokens is taken when the account covers the loss, so that both prices stay known. Accepted
//              draft tokens pay their worth back, so that a sequence that becomes predictable is drafted for again soon.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "engine/measure/step_cost.h"
#include "engine/speculation/drafter.h"
#include "model/step_shape.h"

namespace rafter::engine {

// How often draft tokens of one sequence were accepted lately.
class AcceptanceHistory {
  public:
    // n_checked draft tokens of this trust level were checked and the first n_accepted of them accepted. Those after the first rejected one
    // carry no information.
    void add(std::uint32_t trust, std::uint32_t n_checked, std::uint32_t n_accepted);

  private:
    friend class Governor;
    struct Level {
        double tried = 0.0;  // decayed counts
        double right = 0.0;
        std::int32_t run = 0;          // length of the current run of accepted draft tokens; negative: of rejected ones
        std::uint64_t learned_at = 0;  // the governor's step
    };
    std::array<Level, kTrustLevels> levels_{};
};

struct GovernorRow {
    const AcceptanceHistory* history;
    DraftOffer offer;
    std::uint32_t n_past = 0;  // tokens before the one that the step computes for this row anyway
};

struct GovernorChoice {
    std::vector<std::uint32_t> n_drafts;   // [n_rows]
    double expected_tokens = 0.0;          // of all rows, accepted draft tokens included
    double seconds = 0.0;                  // of the step, predicted, drafting included
    double plain_tokens_per_second = 0.0;  // without draft tokens
    bool explores = false;                 // true: not the best known choice, but one to learn from
    [[nodiscard]] double tokens_per_second() const { return seconds > 0.0 ? expected_tokens / seconds : 0.0; }
};

// One thread, the engine's. A choice takes about 1 µs for one row of 8 drafts and some 40 µs for 32.
class Governor {
  public:
    // Drafter::round_seconds.
    using RoundSeconds = std::function<double(std::uint32_t n_sequences, std::uint32_t n_past)>;

    // Called once for each step. rows: decoding sequences, one pending token each. base: the rest of the step; a prompt token counts as
    // much as a decoded one, so beside a prompt a draft token must be worth the time of a prompt token. n_most_tokens, n_most_outputs: what
    // the step has left for draft tokens. Without prices (cost.known() is false) there are none.
    [[nodiscard]] GovernorChoice choose(std::span<const GovernorRow> rows, const StepCost& cost, const StepCost::Sum& base,
                                        const RoundSeconds& round_seconds, std::uint32_t n_most_tokens, std::uint32_t n_most_outputs);
    // The outcome of the last choice for one sequence. Updates the sequence's history and the prior of new sequences. n_checked = 0 (the
    // drafter found none) moves the sequence to the end of the order of exploration.
    void learn(AcceptanceHistory& history, std::uint32_t trust, std::uint32_t n_checked, std::uint32_t n_accepted);
    // Probability that a draft token of this trust level is accepted, given that those before it were.
    [[nodiscard]] double acceptance(const AcceptanceHistory& history, std::uint32_t trust) const;

  private:
    struct Step;  // what choose() was asked
    struct Price {
        double tokens = 0.0;  // of the rows, expected
        double seconds = 0.0;
    };
    struct Candidate {
        double worth = 0.0;  // expected tokens, less the tokens lost to its attention time; falls with depth
        double tokens = 0.0;
        double attention_seconds = 0.0;
        std::uint32_t row = 0;
        std::uint32_t depth = 0;  // 1 for the row's first draft token
    };
    struct Total {
        double tokens_per_second = 0.0;
        std::uint32_t depth = 0;  // the largest of any row
    };

    [[nodiscard]] Price price(const Step& step, std::span<const std::uint32_t> n_drafts) const;
    void choose_best(const Step& step, std::vector<std::uint32_t>& n_drafts);
    [[nodiscard]] bool could_pay(const Step& step, std::span<const std::uint32_t> n_drafts, double tokens_per_second);
    [[nodiscard]] bool explore(const Step& step, std::vector<std::uint32_t>& n_drafts);

    AcceptanceHistory all_;
    std::uint64_t n_steps_ = 0;
    std::uint64_t n_since_plain_ = 0;                 // steps
    bool plain_is_next_ = true;                       // explore a step without draft tokens before draft tokens that do not seem to pay
    double account_ = 0.0;                            // saved for exploring; unit: steps without draft tokens
    double plain_row_share_ = 0.0;                    // worth of one token in that unit
    std::vector<const AcceptanceHistory*> explored_;  // rows explored in the last step; compared, never dereferenced

    // Scratch of one step, kept to reuse its memory.
    std::vector<double> acceptance_;                // [n_rows]
    std::vector<double> rounds_;                    // [n_rows + 1]: seconds of a drafting round for n sequences
    std::vector<Candidate> candidates_;             // in order
    std::vector<Total> totals_;                     // [n_candidates + 1], by the number of draft tokens
    std::vector<std::uint32_t> counts_;             // by depth
    std::vector<std::pair<double, double>> fixed_;  // [n_candidates + 1]: seconds without attention, and the factor on attention seconds
    std::vector<std::uint32_t> order_;              // of rows to explore
    std::vector<std::uint32_t> optimistic_;         // [n_rows]
};

}  // namespace rafter::engine
