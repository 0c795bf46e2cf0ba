// Decides which tokens of which sequences the next step computes, and takes in what came out of it. One rule: each step grants tokens until
// all of a sequence's are computed, so prefill, its chunks, decode and coming back after a pause are one thing.
//
//   order       higher priorities first, then who came first; a step of priority is worth half a minute of waiting, so nobody starves
//   admission   when what it and the running ones are expected to need fits: no request is admitted only to be preempted again
//   chunks      prompts beside decoding sequences get as many tokens as keep the predicted step within the target
//   preemption  when a sequence finds no block, of those behind it the one that is computed again soonest per block makes room. What it
//               computed stays in the cache while it can, and the first in order is never preempted, so there is always progress
//   restoring   blocks that the cache evicted to a file are restored before a prompt is computed, where that is faster
//               (engine/offload/kv_disk.h)
//   sharing     a request whose prompt begins like one that is being computed waits for that instead of computing it twice
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "engine/admission.h"
#include "engine/measure/step_cost.h"
#include "engine/outbox.h"
#include "engine/outlook.h"
#include "engine/plan.h"
#include "engine/sequence.h"
#include "engine/speculation/speculator.h"
#include "kv/block_cache.h"

namespace rafter::engine {

class KvDisk;

struct SchedulerOptions {
    backend::StepLimits limits;
    std::uint32_t context = 0;  // tokens a sequence may have, prompt and answer
    std::uint32_t block_size = 16;
    std::vector<std::uint32_t> n_blocks;  // [n_cache_groups]
    std::vector<std::uint32_t> windows;   // [n_cache_groups]: 0: every position is kept
    bool prefix_cache = true;
    KvDisk* kv_disk = nullptr;  // receives evicted blocks and restores them; outlives the scheduler; null: evicted blocks are lost
    StepCost cost;
    std::uint32_t n_sequences = 0;    // that run together at most; 0: as many as limits.n_outputs
    double target_itl_seconds = 0.0;  // between two tokens of a decoding sequence; 0: steps are as large as they may be
    SpeculationOptions speculation;
    std::function<double()> clock;  // seconds; empty: a steady clock. Asked from any thread that submits
};

// Sums since the start.
struct SchedulerCounters {
    std::uint64_t preemptions = 0;
    double recomputed_seconds = 0.0;      // predicted for what preempted sequences have to compute again
    std::uint64_t waited_for_prefix = 0;  // times that a request waited for another to compute what both begin with
    std::uint64_t waiting_looked_at = 0;  // times that a step looked at a waiting request: for its admission, or to end it
};

// How full the cache is, of the group that sees everything (or the first).
struct CacheUse {
    std::uint32_t n_blocks = 0;
    std::uint32_t n_used = 0;             // by running sequences
    std::uint32_t n_kept = 0;             // by nobody: for prompts to come
    std::uint32_t n_sequences = 0;        // running
    std::uint64_t tokens = 0;             // of running sequences
    std::uint64_t wasted_positions = 0;   // reserved for them beyond their tokens
    std::uint64_t contiguous_wasted = 0;  // what reserving the whole context for each would waste
};

class Scheduler {
  public:
    explicit Scheduler(SchedulerOptions options);
    ~Scheduler() { cancellations_->close(); }
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    // From any thread: seconds of its clock, by which sequences say when they arrived; and where their streams say that they are cancelled.
    [[nodiscard]] double now() const;
    [[nodiscard]] const std::shared_ptr<Cancellations>& cancellations() const { return cancellations_; }

    void add(std::unique_ptr<Sequence> sequence);
    // Valid until commit(). Sequences that were cancelled, that are out of time, or that can get no block, end here.
    [[nodiscard]] Plan schedule();
    // Fills in the draft tokens that the plan grants; without it there are none.
    void draft(Plan& plan);
    // accepted: one for each planned sequence; its lists are left empty, with memory to use again. Returns updates().
    std::span<Delivery> commit(const Plan& plan, std::span<Accepted> accepted);
    // Every sequence ends, with what it has. Returns updates().
    std::span<Delivery> end_all(const Finish& finish);
    // What schedule(), commit() and end_all() have for streams since the last schedule() or end_all(); valid until the next.
    [[nodiscard]] std::span<Delivery> updates() { return updates_.all(); }
    // What the committed step took.
    void learn(const model::StepShape& shape, double seconds) { options_.cost.learn(shape, seconds); }

    [[nodiscard]] bool has_work() const { return !running_.empty() || !waiting_.empty(); }  // that a step can do now
    [[nodiscard]] std::size_t n_running() const { return running_.size(); }
    [[nodiscard]] std::size_t n_waiting() const { return waiting_.size() + not_ready_.size(); }
    [[nodiscard]] std::size_t n_not_ready() const { return not_ready_.size(); }  // of those that wait: their masks are not decided
    // Until the first of those is out of time; below 0 where one is already.
    [[nodiscard]] std::optional<double> seconds_to_deadline() const;
    [[nodiscard]] const kv::BlockCache& cache() const { return cache_; }
    [[nodiscard]] const Admission& admission() const { return admission_; }
    [[nodiscard]] const StepCost& cost() const { return options_.cost; }
    [[nodiscard]] const SchedulerCounters& counters() const { return counters_; }
    [[nodiscard]] const Speculator& speculator() const { return speculator_; }
    [[nodiscard]] CacheUse cache_use() const;
    // Predicted for what running and waiting requests have left: prompts, and answers of the length to expect. 0 without prices.
    [[nodiscard]] double queued_seconds() const;
    // In place of what is in it, whose memory is kept; what steps take beside the model and drafting are left as they are.
    void describe(SchedulerOutlook& outlook) const;
    // Gives up what is kept for reuse: the pools are then empty when no sequence runs.
    void forget_unused() { cache_.forget_unused(); }
    // Stops the program when the cache's bookkeeping contradicts itself. Slow.
    void check() const;

  private:
    void mark_shared(Plan& plan);
    // A step while it is planned.
    struct Step {
        Plan plan;
        std::uint32_t n_tokens = 0;   // that it has left
        std::uint32_t n_outputs = 0;  // the same of rows with logits
        double start = 0.0;
        StepCost::Sum cost = {};         // of what the plan holds
        double restore_seconds = 0.0;    // reading from a file
        bool keeps_target = false;       // between two tokens, for prompts beside decoding sequences
        std::uint32_t n_of_prompts = 0;  // tokens
    };

    void end_overdue(double now);
    void line_up_decided();
    [[nodiscard]] static Result<void> start_mask(Sequence& sequence);
    void end_one(Sequence& sequence, FinishReason reason);
    void admit_waiting();
    [[nodiscard]] static bool is_active(const Sequence& sequence) { return !sequence.ended && sequence.blocks.has_value(); }
    void plan_decoding(Step& step);
    void plan_prompts(Step& step);
    std::uint32_t plan_one(Sequence& sequence, Step& step);
    [[nodiscard]] std::uint32_t largest_chunk(const Sequence& sequence, const Step& step) const;
    [[nodiscard]] bool restore(Sequence& sequence, Step& step);
    [[nodiscard]] bool make_room(Sequence& sequence, std::uint32_t n_positions, Step& step);
    [[nodiscard]] Sequence* choose_victim(const Sequence& asker) const;
    void preempt(Sequence& sequence, Step& step);
    void give_back(const Sequence& sequence, Step& step) const;
    void insert_waiting(std::unique_ptr<Sequence> sequence);
    void grant_drafts(Step& step);
    void commit_one(const PlannedSequence& planned, Accepted& result, double now);
    void take_token(Sequence& sequence, TokenId id, double now, StreamUpdate& update) const;
    void end(Sequence& sequence, Finish finish);
    void end(Sequence& sequence, Finish finish, StreamUpdate& update);
    void release(Sequence& sequence);
    void remove_ended();
    [[nodiscard]] std::unique_ptr<Sequence> take_waiting(std::size_t i);
    [[nodiscard]] std::size_t main_group() const;
    [[nodiscard]] QueuedWork work_of(const Sequence& sequence) const;

    SchedulerOptions options_;
    kv::BlockCache cache_;
    Admission admission_;  // of cache_
    Speculator speculator_;
    std::vector<std::pair<kv::BlockId, std::size_t>> by_first_block_;  // scratch of mark_shared()
    std::vector<kv::BlockCopy> copies_;                                // of admitted sequences, until a step does them
    std::deque<std::unique_ptr<Sequence>> waiting_;                    // in order
    std::vector<std::unique_ptr<Sequence>> not_ready_;                 // whose masks are not decided
    std::vector<std::unique_ptr<Sequence>> running_;                   // in order
    bool some_left_ = false;                                           // running_: ended or preempted
    bool some_waiting_ended_ = false;                                  // waiting_
    std::set<std::pair<double, Sequence*>> deadlines_;                 // of those that have one
    std::shared_ptr<Cancellations> cancellations_ = std::make_shared<Cancellations>();
    std::vector<Sequence*> cancelled_early_;  // since the last step, before cancellations_ could say whose streams they are
    StepUpdates updates_;
    QueuedWork waiting_work_;     // of all in waiting_
    double answer_tokens_ = 0.0;  // of the answers that ended lately, on average; 0: none has
    SchedulerCounters counters_;
};

}  // namespace rafter::engine
