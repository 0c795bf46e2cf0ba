// Speculation as the scheduler uses it: grants draft tokens to decoding sequences, has them drafted, and learns which were accepted.
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

// One step's choice, and its inputs.
struct SpeculationLogLine {
    const GovernorChoice& choice;
    std::span<const GovernorRow> rows;   // decoding sequences
    std::span<const double> acceptance;  // [n_rows]: probability that the first draft token is accepted
    std::uint32_t n_prompt_tokens = 0;   // prompt tokens expected in the same step
};

struct SpeculationOptions {
    Drafter* drafter = nullptr;     // outlives the scheduler; null: no draft tokens
    std::uint32_t most_drafts = 8;  // draft tokens a sequence and step
    std::optional<std::uint32_t>
        fixed;  // draft tokens always granted where the drafter has them, whatever they cost; none: the governor chooses
    // Called for each step with decoding sequences, unless the governor has no prices. May be empty.
    std::function<void(const SpeculationLogLine&)> log;
};

// Sums since the start.
struct SpeculationCounters {
    std::uint64_t n_drafts = 0;        // times that a sequence had draft tokens in a step
    std::uint64_t n_draft_tokens = 0;  // checked
    std::uint64_t n_accepted_tokens = 0;
    std::vector<std::uint64_t> drafted_per_position;
    std::vector<std::uint64_t> accepted_per_position;  // [i]: times that the i-th draft token after a known token was accepted
    std::vector<std::uint64_t> chosen;                 // [k]: times that a sequence was granted k draft tokens
    double draft_seconds = 0.0;                        // spent drafting

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
        std::function<std::uint32_t(const Sequence&)> most;  // draft tokens that this sequence can use
    };
    // Fills in the grants. decoding: one pending token each; base: the rest of the step. Without prices the governor grants none.
    void grant(std::span<PlannedSequence> decoding, const StepCost& cost, const StepCost::Sum& base, const Room& room);
    // Fills in the draft tokens.
    void draft(std::span<PlannedSequence> plan);
    // The first n_accepted draft tokens of this sequence were accepted.
    void learn(const PlannedSequence& planned, std::uint32_t n_accepted);

    [[nodiscard]] const SpeculationCounters& counters() const { return counters_; }
    // The choice for the last step that had decoding sequences.
    [[nodiscard]] const GovernorChoice& last_choice() const { return choice_; }

  private:
    SpeculationOptions options_;
    Governor governor_;
    GovernorChoice choice_;
    std::vector<GovernorRow> rows_;  // scratch, kept to reuse its memory
    std::vector<double> acceptance_;
    std::vector<DraftRequest> requests_;
    SpeculationCounters counters_;
};

}  // namespace rafter::engine
