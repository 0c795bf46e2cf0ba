// When a request that comes now will have its first and its last token: the steps until then, played through by the scheduler's own rules
// with the price of a step as the clock. Stretches of steps in which every sequence decodes and nobody comes or goes are one step of it.
//
// Who comes later is expected as before (ComingRequests). What it does not know: how long an answer gets before it ends by itself
// (AnswerLengths says what to expect), which blocks the cache evicts, and preemptions.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/measure/answer_lengths.h"
#include "engine/measure/coming_requests.h"
#include "engine/measure/recent_prompts.h"
#include "engine/outlook.h"
#include "engine/scheduler.h"

namespace rafter::engine {

// A sequence that the outlook does not have: no step has begun with it.
struct WaitingSequence {
    RecentPrompts::Prompt prompt = {};  // number 0: nobody waits for its prompt
    std::uint32_t n_prompt = 0;
    std::uint32_t max_tokens = 0;
    double since = 0.0;  // steps that begin from then on may take it; by the scheduler's clock
    bool asked = false;  // the forecast is about it
};

// Of the sequences that it is about, in seconds from now.
struct Forecast {
    double first_token_seconds = 0.0;  // of the first one that has a token (or its prompt's scores)
    double last_token_seconds = 0.0;   // of the last one, when each has max_tokens
    // What the time until the first token consists of: waiting for a step that takes it; and in those steps, what reading weights and cache
    // takes, and what computing takes beyond that.
    double queue_seconds = 0.0;
    double memory_seconds = 0.0;
    double compute_seconds = 0.0;
    std::uint32_t n_steps = 0;  // that were played through, a stretch as one
    // "queue", "compute" or "memory", whichever takes longest.
    [[nodiscard]] std::string_view bound() const;
};

// One thread. Keeps its memory from one forecast to the next.
class Forecaster {
  public:
    // options: the scheduler's.
    explicit Forecaster(const SchedulerOptions& options);

    struct Question {
        const SchedulerOutlook& outlook;  // its cost is known
        // In the order in which they get their turns, behind those that the outlook has. One at least is asked about.
        std::span<const WaitingSequence> line;
        const RecentPrompts& prompts;  // has those of the outlook
        const AnswerLengths& answers;
        const ComingRequests& coming;
        double now = 0.0;  // by the scheduler's clock
    };
    [[nodiscard]] Forecast forecast(const Question& question);

  private:
    struct Item {
        std::uint64_t number = 0;
        std::uint32_t n_known = 0;      // tokens to compute before it has its next one
        std::uint32_t n_computed = 0;   // of them
        std::uint32_t n_left = 0;       // of its answer, expected
        std::uint32_t n_positions = 0;  // that the scheduler reserves for it
        std::uint32_t n_blocks = 0;     // the same in blocks that no other has
        ExpectedPrefix prefix = {};
        std::size_t provider = 0;  // of it, among the items; itself: none
        double since = 0.0;
        double started = -1.0;  // below 0: not yet
        bool asked = false;
        bool ended = false;
    };
    struct Ending {
        double clock = 0.0;  // tokens of a decoding sequence
        std::size_t item = 0;
        bool operator>(const Ending& other) const { return clock > other.clock; }
    };

    void begin(const Question& question);
    void add_running(const Question& question, const SequenceOutlook& sequence);
    void add_waiting(Item item, std::uint32_t max_tokens, std::uint32_t n_generated, const Question& question);
    void find_providers();
    void admit();
    void let_come(double seconds);
    [[nodiscard]] double coming_per_second() const;
    [[nodiscard]] bool waits_for_prefix(const Item& item) const;
    void take_step(Forecast& forecast);
    void take_stretch(Forecast& forecast);
    [[nodiscard]] double steps_until_change() const;
    [[nodiscard]] StepCost::Sum decoding() const;
    [[nodiscard]] double seconds_of(const StepCost::Sum& sum) const;
    [[nodiscard]] std::uint32_t chunk_of(const Item& item, const StepCost::Sum& sum, std::uint32_t n_of_prompts) const;
    void advance(double seconds, double n_steps, Forecast& forecast);
    void finish_prompt(std::size_t i, Forecast& forecast);
    void end_decoded(Forecast& forecast);
    void end(std::size_t i, Forecast& forecast);
    [[nodiscard]] std::uint32_t blocks_for(std::uint32_t n_positions) const { return (n_positions + block_size_ - 1) / block_size_; }

    backend::StepLimits limits_;
    std::uint32_t context_;
    std::uint32_t block_size_;
    std::uint32_t n_sequences_;
    double target_itl_seconds_;

    // The price of a step is correction * (of its tokens + of its outputs + attention): its parts for each number, below 0 where nobody
    // asked yet.
    struct OfTokens {
        double seconds = -1.0;  // corrected
        double correction = 1.0;
    };
    mutable std::vector<OfTokens> of_tokens_;  // [limits.n_tokens + 1]
    mutable std::vector<double> of_outputs_;   // [limits.n_outputs + 1]

    // Of the forecast that is made.
    const Question* question_ = nullptr;
    ComingRequests::Expected coming_;
    double n_coming_ = 0.0;   // requests, of which parts come too
    std::size_t n_here_ = 0;  // items that have not ended
    const StepCost* cost_ = nullptr;
    double host_seconds_ = 0.0;
    double drafts_ = 0.0, tokens_a_step_ = 1.0;  // of a decoding sequence
    double answer_tokens_ = 0.0;
    double now_ = 0.0;   // of the question
    double time_ = 0.0;  // of the steps that are played through
    double clock_ = 0.0;
    double n_past_ = 0.0;  // of the decoding sequences together
    std::int64_t n_free_blocks_ = 0;
    std::size_t n_asked_left_ = 0;
    bool has_first_ = false;
    std::size_t first_asked_ = 0;  // that was admitted
    bool has_started_ = false;
    std::vector<Item> items_;  // in order: running ones, then those that wait
    std::vector<std::size_t> waiting_, prompts_;
    std::vector<Ending> decoding_;  // a heap: who ends first is first
    std::vector<std::pair<std::uint64_t, std::size_t>> by_number_;
};

}  // namespace rafter::engine
