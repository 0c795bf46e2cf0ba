// Speculation as the scheduler uses it: how many draft tokens each decoding sequence gets in a step, the draft tokens, and what became of
// them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/measure/step_cost.h"
#include "engine/speculation/drafter.h"
#include "engine/speculation/governor.h"

namespace rafter::engine {

class Sequence;
struct PlannedSequence;

// What was chosen for a step, and from what.
struct SpeculationLogLine {
    const GovernorChoice& choice;
    std::span<const GovernorRow> rows;   // decoding sequences
    std::span<const double> acceptance;  // [n_rows]: chance that the first draft token is right
    std::uint32_t n_prompt_tokens = 0;   // that were expected in the step too
};

struct SpeculationOptions {
    Drafter* drafter = nullptr;          // outlives the scheduler; none: no draft tokens
    std::uint32_t most_drafts = 8;       // a sequence and step
    std::optional<std::uint32_t> fixed;  // always so many, where they can be had, whatever they cost; none: the governor chooses
    // Called for each step with decoding sequences, unless the governor has no prices to choose by; may be empty.
    std::function<void(const SpeculationLogLine&)> log;
};

// Draft tokens that a sequence may have in a step.
struct DraftGrant {
    std::uint32_t n = 0;
    std::uint32_t trust = 0;  // of the drafter in them
};

// Sums since the start.
struct SpeculationCounters {
    std::uint64_t n_drafts = 0;           // how often a sequence had draft tokens in a step
    std::uint64_t n_draft_tokens = 0;     // draft tokens
    std::uint64_t n_accepted_tokens = 0;  // of them, that were right
    std::vector<std::uint64_t> drafted_per_position;
    std::vector<std::uint64_t> accepted_per_position;  // [i]: how often the i-th draft token after a known token was right
    std::vector<std::uint64_t> chosen;                 // [k]: how often a sequence in a step got k draft tokens
    double draft_seconds = 0.0;                        // that drafting took

    SpeculationCounters& operator+=(const SpeculationCounters& other);
    SpeculationCounters& operator-=(const SpeculationCounters& other);

  private:
    template <typename Operation>
    SpeculationCounters& combine(const SpeculationCounters& other, Operation operation);
};

class Speculator {
  public:
    explicit Speculator(const SpeculationOptions& options) : options_(options) {}
    [[nodiscard]] bool on() const { return options_.drafter != nullptr && options_.most_drafts > 0; }

    // What the step has left for draft tokens.
    struct Room {
        std::uint32_t n_tokens = 0;
        std::uint32_t n_outputs = 0;
        std::function<std::uint32_t(const Sequence&)> most;  // that one sequence can use
    };
    // decoding: one pending token each; base: what else will be in the step. Fills in the grants; the governor gives none without prices.
    void grant(std::span<PlannedSequence> decoding, const StepCost& cost, const StepCost::Sum& base, const Room& room);
    // Fills in the draft tokens.
    void draft(std::span<PlannedSequence> plan);
    // The first n_accepted draft tokens of this sequence were right.
    void learn(const PlannedSequence& planned, std::uint32_t n_accepted);

    [[nodiscard]] const SpeculationCounters& counters() const { return counters_; }
    // Why: of the last step that had decoding sequences.
    [[nodiscard]] const GovernorChoice& last_choice() const { return choice_; }

  private:
    SpeculationOptions options_;
    Governor governor_;
    GovernorChoice choice_;
    std::vector<GovernorRow> rows_;  // kept for their memory
    std::vector<double> acceptance_;
    std::vector<DraftRequest> requests_;
    SpeculationCounters counters_;
};

}  // namespace rafter::engine
