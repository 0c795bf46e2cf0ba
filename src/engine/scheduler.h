// Decides which tokens of which sequences the next step computes, and takes in what came out of it. One rule: each step grants tokens until
// all of a sequence's are computed, so prefill, its chunks and decode are one thing. First come, first served; running sequences decode
// together.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "engine/sequence.h"
#include "kv/block_pool.h"

namespace rafter::engine {

struct PlannedSequence {
    Sequence* sequence;
    std::uint32_t n_new;      // its next tokens
    std::uint32_t n_outputs;  // how many of them need logits
};
using Plan = std::vector<PlannedSequence>;

// What a step's logits gave one planned sequence.
struct Accepted {
    std::vector<TokenLogprobs> prompt_scores;
    std::optional<GeneratedToken> token;  // when all its tokens are computed and another is wanted
    std::optional<Error> error;           // it ends here, alone
};

struct SchedulerOptions {
    backend::StepLimits limits;
    std::uint32_t context = 0;  // tokens a sequence may have, prompt and answer
    std::uint32_t block_size = 16;
    std::vector<std::uint32_t> n_blocks;  // [n_cache_groups]
};

class Scheduler {
  public:
    explicit Scheduler(const SchedulerOptions& options);

    void add(std::unique_ptr<Sequence> sequence);
    // Valid until commit(). Sequences that were cancelled, or that can get no block, end here.
    [[nodiscard]] Plan schedule();
    // accepted: [plan.size()]. Tokens and endings go to the sequences' streams.
    void commit(const Plan& plan, std::span<Accepted> accepted);

    [[nodiscard]] bool has_work() const { return !running_.empty() || !waiting_.empty(); }
    [[nodiscard]] std::span<const kv::BlockPool> pools() const { return pools_; }
    // Gives up what is kept for reuse: the pools are then empty when no sequence runs.
    void forget_finished();

  private:
    // A finished sequence whose blocks stay until somebody else needs them: the next turn of a conversation begins with its tokens.
    struct Finished {
        std::vector<TokenId> tokens;  // those in the cache
        kv::SequenceBlocks blocks;
    };

    void drop_cancelled();
    void admit_waiting();
    void reuse_prefix(Sequence& sequence);
    [[nodiscard]] bool grow(Sequence& sequence, std::uint32_t n_positions);
    void take_token(Sequence& sequence, GeneratedToken token, StreamUpdate& update);
    void end(Sequence& sequence, StreamUpdate update, Finish finish);
    void remove_ended();

    SchedulerOptions options_;
    std::vector<kv::BlockPool> pools_;  // [n_cache_groups]
    std::deque<std::unique_ptr<Sequence>> waiting_;
    std::vector<std::unique_ptr<Sequence>> running_;  // in order of arrival
    std::optional<Finished> finished_;
};

}  // namespace rafter::engine
