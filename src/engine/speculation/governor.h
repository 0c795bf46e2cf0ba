// How many draft tokens to check for each decoding sequence: as many as give the most tokens a second, by the acceptance seen so far and
// the predicted time of the step with them. None, where none pays. docs/speculation.md has what it gives.
//
//   estimate   draft tokens that were right among those checked lately, of this sequence at this trust, with what all sequences saw as its
//              prior; where the latest ones contradict it, the older ones are forgotten
//   choose     the best of all totals of drafts, the likeliest drafts first; what gives less than 1% goes without
//   explore    0.5% of the time goes into an account. A draft token that is not expected to pay is checked when the account holds what it
//              costs; a step without drafts is taken when it holds the loss, so that both prices stay known. Draft tokens that turn out
//              right pay their worth back, so a sequence that becomes predictable is soon followed.
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

// How often draft tokens of one sequence were right lately.
class AcceptanceHistory {
  public:
    // Draft tokens of this trust were checked; the first n_accepted were right. Draft tokens after the first wrong one say nothing.
    void add(std::uint32_t trust, std::uint32_t n_checked, std::uint32_t n_accepted);

  private:
    friend class Governor;
    struct Level {
        double tried = 0.0;  // decayed counts
        double right = 0.0;
        std::int32_t run = 0;          // of right draft tokens up to now; negative: of wrong ones
        std::uint64_t learned_at = 0;  // the governor's step
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
    double expected_tokens = 0.0;          // of the rows, drafts included
    double seconds = 0.0;                  // of the step, predicted, drafting included
    double plain_tokens_per_second = 0.0;  // without drafts
    bool explores = false;                 // this is not the best known choice, but one to learn from
    [[nodiscard]] double tokens_per_second() const { return seconds > 0.0 ? expected_tokens / seconds : 0.0; }
};

// One thread, the engine's. A choice takes about 1 µs for one row of 8 drafts and some 40 µs for 32.
class Governor {
  public:
    // Seconds of drafting one more token for each of n_sequences together, as Drafter's.
    using RoundSeconds = std::function<double(std::uint32_t n_sequences, std::uint32_t n_past)>;

    // Once for each step. rows: decoding sequences, one pending token each. base: what else is in the step; its tokens count as much as
    // any, so that beside a prompt a draft has to be worth the time of a prompt's token. n_most_tokens, n_most_outputs: what the step has
    // left for drafts. Without prices (cost.known()) there are no drafts.
    [[nodiscard]] GovernorChoice choose(std::span<const GovernorRow> rows, const StepCost& cost, const StepCost::Sum& base,
                                        const RoundSeconds& round_seconds, std::uint32_t n_most_tokens, std::uint32_t n_most_outputs);
    // What became of the draft tokens that the last choice asked for; goes into the sequence's history and into what new sequences start
    // from. n_checked = 0, where the drafter found none, puts off asking again.
    void learn(AcceptanceHistory& history, std::uint32_t trust, std::uint32_t n_checked, std::uint32_t n_accepted);
    // Chance that a draft token of this trust is right, given that those before it were.
    [[nodiscard]] double acceptance(const AcceptanceHistory& history, std::uint32_t trust) const;

  private:
    struct Step;  // what choose() was asked
    struct Price {
        double tokens = 0.0;  // of the rows, expected
        double seconds = 0.0;
    };
    struct Candidate {
        double worth = 0.0;  // tokens, less those that looking back for it takes; falls with depth
        double tokens = 0.0;
        double attention_seconds = 0.0;
        std::uint32_t row = 0;
        std::uint32_t depth = 0;  // the row's first draft: 1
    };
    struct Total {
        double tokens_per_second = 0.0;
        std::uint32_t depth = 0;  // the most of any row
    };

    [[nodiscard]] Price price(const Step& step, std::span<const std::uint32_t> n_drafts) const;
    void choose_best(const Step& step, std::vector<std::uint32_t>& n_drafts);
    [[nodiscard]] bool could_pay(const Step& step, std::span<const std::uint32_t> n_drafts, double tokens_per_second);
    [[nodiscard]] bool explore(const Step& step, std::vector<std::uint32_t>& n_drafts);

    AcceptanceHistory all_;
    std::uint64_t n_steps_ = 0;
    std::uint64_t n_since_plain_ = 0;                 // steps
    bool plain_is_next_ = true;                       // to be explored, before draft tokens that do not seem to pay
    double account_ = 0.0;                            // for exploring, in steps without drafts
    double plain_row_share_ = 0.0;                    // what a token is worth in them
    std::vector<const AcceptanceHistory*> explored_;  // in the last step; compared only

    // Of the step, kept for their memory.
    std::vector<double> acceptance_;                // [n_rows]
    std::vector<double> rounds_;                    // [n_rows + 1]: seconds of a round by its sequences
    std::vector<Candidate> candidates_;             // in order
    std::vector<Total> totals_;                     // [n_candidates + 1], by the number of drafts
    std::vector<std::uint32_t> counts_;             // by depth
    std::vector<std::pair<double, double>> fixed_;  // [n_candidates + 1]: seconds without looking back, and the factor on looking back
    std::vector<std::uint32_t> order_;              // of rows to explore
    std::vector<std::uint32_t> optimistic_;         // [n_rows]
};

}  // namespace rafter::engine
