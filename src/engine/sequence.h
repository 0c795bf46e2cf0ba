// One request under way: its tokens so far, how many of them are in the KV cache, and what its next step needs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/request.h"
#include "engine/sampling/hidden_pool.h"
#include "engine/sampling/sampler.h"
#include "engine/sampling/stop_matcher.h"
#include "engine/speculation/governor.h"
#include "engine/token_stream.h"
#include "kv/block_cache.h"
#include "text/tokenizer.h"
#include "text/utf8_stream.h"

namespace rafter::engine {

// The tokens of an answer as text that can be shown: whole characters, and nothing of a stop string.
class AnswerText {
  public:
    // tokenizer outlives this.
    AnswerText(const text::Tokenizer& tokenizer, const Request& request);
    [[nodiscard]] StopMatcher::Pushed push(TokenId token);
    // The answer is over: what was held back, unless that was a stop string.
    [[nodiscard]] std::string finish();
    // After a push() that threw: what is held back may come after text that was lost.
    void drop_rest() { stopped_ = true; }

  private:
    [[nodiscard]] StopMatcher::WhenComplete when_complete() const;

    const text::Tokenizer& tokenizer_;
    std::vector<TokenId> end_tokens_;
    std::vector<TokenId> shown_tokens_;
    std::uint32_t min_tokens_;
    std::uint32_t n_tokens_ = 0;
    text::Utf8Stream characters_;
    StopMatcher stops_;
    bool stopped_ = false;
};

// A sequence being computed whose prompt begins as this one's does.
struct WaitsFor {
    std::uint64_t admission = 0;              // the number under which that sequence was admitted; 0: none
    std::uint32_t n_alike = 0;                // tokens that both begin with
    std::optional<std::uint64_t> block_hash;  // while no block in the cache has this hash, it waits; none: see what the cache has
};

// What requests have left to compute.
struct QueuedWork {
    double prefill_seconds = 0.0;  // predicted; answers apart
    double answer_tokens = 0.0;    // that are expected
    double pairs = 0.0;            // of those with the tokens behind them

    QueuedWork& operator+=(const QueuedWork& other) {
        prefill_seconds += other.prefill_seconds;
        answer_tokens += other.answer_tokens;
        pairs += other.pairs;
        return *this;
    }
    QueuedWork& operator-=(const QueuedWork& other) {
        prefill_seconds -= other.prefill_seconds;
        answer_tokens -= other.answer_tokens;
        pairs -= other.pairs;
        return *this;
    }
};

class Sequence {
  public:
    // The request must be valid (Engine::submit checks). tokenizer outlives this.
    Sequence(Request request, std::shared_ptr<TokenStream> stream, const text::Tokenizer& tokenizer);

    Request request;  // its prompt moved to `tokens` once `sampler` had read it
    std::shared_ptr<TokenStream> stream;
    Sampler sampler;
    AnswerText text;
    HiddenPool hidden;             // where hidden states are wanted, of the prompt's tokens so far
    std::vector<TokenId> tokens;   // prompt, then answer
    std::uint32_t n_prompt;        // of them
    std::uint32_t n_computed = 0;  // of them, whose keys and values are in the cache
    std::uint32_t n_reused = 0;    // of those, that an earlier request left there
    // Positions whose logits were consumed: computed again after a preemption, they are not sampled again.
    std::uint32_t n_sampled_through = 0;
    std::uint32_t n_preemptions = 0;                 // how often it was preempted
    kv::BlockHashes block_hashes;                    // of the tokens' full blocks
    std::optional<kv::SequenceBlocks> blocks;        // while it runs
    std::unique_ptr<DraftState> draft_state;         // while it runs and is drafted for
    AcceptanceHistory acceptance;                    // of the draft tokens
    std::uint32_t n_draft_tokens = 0;                // checked
    std::uint32_t n_accepted_drafts = 0;             // of them, right
    QueuedWork queued;                               // while it waits: as the scheduler counted it
    double order = 0.0;                              // the scheduler's: who has the lower number comes first
    std::uint64_t admission = 0;                     // the number of its latest admission, while it runs
    kv::PrefixEnd prefix_end = kv::PrefixEnd::kNew;  // why the cache did not have more of it
    bool may_restore = false;                        // some of that may be in a file
    bool waited_for_prefix = false;                  // for another one to compute what both begin with
    WaitsFor waits_for;                              // the admission's, while it waits
    bool ended = false;

    // What it is found by in the cache. Each block is hashed once: at submit() for the prompt, then as blocks fill.
    [[nodiscard]] kv::PrefixKey cache_key(std::uint32_t block_size) { return block_hashes.key(tokens, request.cache_salt, block_size); }
    // Of the tokens that the cache may answer for: positions whose logits are wanted are computed again.
    [[nodiscard]] kv::PrefixKey wanted_key(std::uint32_t block_size) { return cache_key(block_size).first(outputs_from()); }

    [[nodiscard]] std::uint32_t n_generated() const { return static_cast<std::uint32_t>(tokens.size()) - n_prompt; }
    [[nodiscard]] std::uint32_t n_pending() const { return static_cast<std::uint32_t>(tokens.size()) - n_computed; }
    // Prompt and answer, as long as the request allows.
    [[nodiscard]] std::uint64_t n_most_tokens() const { return std::uint64_t{n_prompt} + request.max_tokens; }
    // Positions from..until - 1 need an output: logits where the next token is scored and, from the prompt's last token on, chosen; or
    // their hidden states.
    [[nodiscard]] std::uint32_t outputs_from() const { return std::max(n_sampled_through, first_wanted()); }
    [[nodiscard]] std::uint32_t outputs_until() const {
        if (!needs_logits()) return n_prompt;
        return request.max_tokens > 0 ? ~0U : n_prompt - 1;
    }
    // What its outputs are: logits, or else hidden states.
    [[nodiscard]] bool needs_logits() const { return request.output == OutputKind::kTokens; }
    // Position of the next token that needs an output.
    [[nodiscard]] std::uint32_t first_output() const { return std::max(n_computed, outputs_from()); }
    // How many of the next n_new tokens need one.
    [[nodiscard]] std::uint32_t n_outputs(std::uint32_t n_new) const;

    // now: seconds of the scheduler's clock.
    void mark_arrived(double now) { arrived_ = now; }
    // It waited elsewhere until now: its place in the line is that of one that comes now, though its times count from its arrival.
    void mark_lined_up(double now) { lined_up_ = now; }
    void mark_started(double now);
    void mark_token(double now);
    [[nodiscard]] double arrived() const { return arrived_; }
    [[nodiscard]] double lined_up() const { return lined_up_.value_or(arrived_); }
    // When it is out of time.
    [[nodiscard]] std::optional<double> deadline() const;
    [[nodiscard]] RequestTimes times(double now) const;

  private:
    // Before any output was consumed.
    [[nodiscard]] std::uint32_t first_wanted() const {
        return request.output == OutputKind::kHiddenMean ? 0 : request.score_prompt_from.value_or(n_prompt - 1);
    }

    double arrived_ = 0.0;
    std::optional<double> lined_up_, started_, first_token_, last_token_;
};

}  // namespace rafter::engine
