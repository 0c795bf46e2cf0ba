// Who of the waiting sequences may run, asked in each step for one after another:
//
//   waits_for_prefix   not yet: a running sequence is computing the beginning of its prompt, and one block of it at least is still to come
//   fits               what it and the running ones are expected to need is there
//
// The work of a step grows with the sequences that run, are admitted or stop waiting for another one; each of the others is looked
// at for an instant, however long its prompt is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/sequence.h"
#include "kv/block_cache.h"

namespace rafter::engine {

// Tokens that a sequence is expected to have at its end: n_tokens, of them n_generated of its answer, and what is to come when its answer
// is a little longer than recent ones, of answer_tokens on average (0: nothing is known), and within max_tokens and the context.
[[nodiscard]] std::uint32_t expected_positions(std::uint32_t n_tokens, std::uint32_t n_generated, std::uint32_t max_tokens,
                                               double answer_tokens, std::uint32_t context);

struct AdmissionOptions {
    std::uint32_t context = 0;      // tokens a sequence may have
    std::uint32_t step_tokens = 0;  // that one step computes at most
};

// Sums since the start, for tests: what takes more than an instant.
struct AdmissionWork {
    std::uint64_t prompts_compared = 0;  // pairs of a waiting and a running one
    std::uint64_t prefixes_found = 0;    // walks through the cache, block by block
};

// One thread. Hashes must be equal for equal beginnings; where unequal ones have equal hashes, a request waits for a prompt that is not its
// own, and shares nothing of it.
class Admission {
  public:
    // cache outlives this.
    Admission(const kv::BlockCache& cache, const AdmissionOptions& options) : cache_(cache), options_(options) {}

    // A step begins. running: each holds blocks. answer_tokens: of recent answers, on average; 0: nothing is known.
    void begin(std::span<const std::unique_ptr<Sequence>> running, double answer_tokens);
    [[nodiscard]] bool waits_for_prefix(Sequence& waiting);
    [[nodiscard]] bool fits(Sequence& waiting) const;
    // It runs from now on, with what attach() found.
    void admit(Sequence& sequence);

    // Its tokens when its answer is as long as recent ones, as of the last begin().
    [[nodiscard]] std::uint32_t expected_positions(const Sequence& sequence) const;

    [[nodiscard]] const AdmissionWork& work() const { return work_; }

  private:
    // A running sequence whose prompt is being computed.
    struct Computing {
        std::uint64_t admission = 0;
        std::uint32_t n_computed = 0;
        kv::PrefixKey prompt;
    };
    // The latest walk through the cache, for all who share as many whole blocks with the same running sequence: the cache does not change
    // before the next admission.
    struct Seen {
        std::uint64_t admission = 0;
        std::uint32_t n_blocks = 0;
        std::uint32_t n_found = 0;  // tokens
    };

    [[nodiscard]] const Computing* computing(std::uint64_t admission) const;
    [[nodiscard]] bool has_more(const Computing& other, Sequence& waiting, std::uint32_t n_alike, std::optional<std::uint32_t>& n_found);
    void add(Sequence& running);
    [[nodiscard]] std::uint32_t blocks_needed(std::size_t group, std::uint32_t n_positions) const;

    const kv::BlockCache& cache_;
    AdmissionOptions options_;
    std::uint64_t n_admissions_ = 0;
    double answer_tokens_ = 0.0;
    std::size_t n_running_ = 0;
    std::vector<std::uint64_t> still_needed_;  // [n_groups]: blocks that the running ones are expected to take
    std::vector<Computing> computing_;         // by admission
    Seen seen_;
    mutable AdmissionWork work_;
};

}  // namespace rafter::engine
