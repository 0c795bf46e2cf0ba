// What an answer may consist of, such as a grammar's texts: compiled once, shared by requests, and followed token by token by a matcher of
// each sequence. The engine knows no grammars: it asks which tokens may come next and says which one came.
//
// These interfaces are virtual, as Backend and Drafter are: what compiles grammars is a layer (and a library) that the engine does not see,
// and a call answers for a whole vocabulary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace rafter::engine {

using text::TokenId;

class Waker;

// Tokens as bits: token t is bit t % 32 of word t / 32.
[[nodiscard]] constexpr std::size_t n_mask_words(std::size_t n_vocab) { return (n_vocab + 31) / 32; }

// Follows one sequence's answer. One thread at a time, not always the same. An exception ends its sequence alone.
class MaskMatcher {
  public:
    MaskMatcher() = default;
    virtual ~MaskMatcher() = default;
    MaskMatcher(const MaskMatcher&) = delete;
    MaskMatcher& operator=(const MaskMatcher&) = delete;

    // Sets the bits of the tokens that may come next and clears all others; allowed: [n_mask_words(n_vocab())]. End tokens are not its
    // matter: the engine allows them where may_end() says so.
    virtual void fill(std::span<std::uint32_t> allowed) = 0;
    // The token comes next. False: it may not, and nothing has changed.
    [[nodiscard]] virtual bool accept(TokenId token) = 0;
    // Takes back the last n accepted tokens. The engine takes back no more than a step's draft tokens.
    virtual void rollback(std::size_t n) = 0;
    // The answer would be complete here.
    [[nodiscard]] virtual bool may_end() const = 0;
    // It is complete and nothing may follow: the engine ends the answer without an end token. False where that is not known.
    [[nodiscard]] virtual bool is_finished() const { return false; }
};

// Immutable; any number of threads.
class CompiledMask {
  public:
    CompiledMask() = default;
    virtual ~CompiledMask() = default;
    CompiledMask(const CompiledMask&) = delete;
    CompiledMask& operator=(const CompiledMask&) = delete;

    // Tokens that it knows; the model may have more, which are never allowed.
    [[nodiscard]] virtual std::size_t n_vocab() const = 0;
    // At the beginning of an answer. May refer to this, which outlives it.
    [[nodiscard]] virtual std::unique_ptr<MaskMatcher> make_matcher() const = 0;
};

// A mask that is still being compiled, in any thread. Requests that hold it wait beside the line; it is decided once, ready or failed, and
// wakes every engine that waits for it. Each function may be called from any thread.
class PendingMask {
  public:
    PendingMask() = default;
    explicit PendingMask(std::shared_ptr<const CompiledMask> mask) { set_ready(std::move(mask)); }

    // The first of these two calls decides; later ones change nothing.
    void set_ready(std::shared_ptr<const CompiledMask> mask);
    void set_failed(Error error);

    [[nodiscard]] bool decided() const;
    // Once decided: the mask, or why there is none.
    [[nodiscard]] Result<std::shared_ptr<const CompiledMask>> mask() const;
    // Wakes whoever sleeps in it when the mask is decided; at once if it is. Engines call it with each request.
    void wake_when_decided(const std::shared_ptr<Waker>& waker);

  private:
    using Outcome = Result<std::shared_ptr<const CompiledMask>>;
    void decide(Outcome outcome);

    mutable std::mutex mutex_;  // for what follows
    std::optional<Outcome> outcome_;
    std::vector<std::weak_ptr<Waker>> wakers_;
};

// A sequence's mask among its logits stages. Logits of tokens that may not come become -inf, before any bias, which cannot bring them back.
// An end token may come where the answer is complete; where end tokens are ignored, they are tokens as others. Once the matcher has thrown,
// no token may come, and failure() says so: only the matcher's own sequence ends.
class MaskStage {
  public:
    // mask: outlives this by being held. end_tokens: those that end the answer; none where they are ignored.
    // What make_matcher() throws comes out of here.
    MaskStage(std::shared_ptr<const CompiledMask> mask, std::vector<TokenId> end_tokens);

    // words: memory to use. What follows an end token is nobody's concern: nothing is masked.
    void apply(std::span<float> logits, std::vector<std::uint32_t>& words) const;
    // Computes the mask of n logits here and after each of these draft tokens, which apply() then takes. Throws nothing: what it cannot
    // compute, apply() does.
    void look_ahead(std::span<const TokenId> drafts, std::size_t n_logits) noexcept;
    void accept(TokenId token);
    void rollback(std::size_t n);
    // Of these tokens, one after the other, how many may come. Changes nothing.
    [[nodiscard]] std::size_t n_acceptable(std::span<const TokenId> tokens);
    // Why the answer cannot go on: a token came that may not come (by force), or the matcher threw. Null: it can.
    [[nodiscard]] const char* failure() const;
    [[nodiscard]] bool is_finished() const { return !threw_ && n_after_ == 0 && matcher_->is_finished(); }

  private:
    void allow(std::size_t n_logits, std::span<std::uint32_t> words) const;
    template <typename Call>
    bool guarded(Call&& call) const;
    [[nodiscard]] bool is_end(TokenId token) const;

    std::shared_ptr<const CompiledMask> mask_;
    std::vector<TokenId> end_tokens_;
    std::unique_ptr<MaskMatcher> matcher_;
    std::size_t n_after_ = 0;  // tokens accepted since the first that the matcher does not know, that one included
    bool ended_ = false;       // that one was an end token
    mutable bool threw_ = false;

    // What look_ahead() left: a row here, and one after each of the tokens that follow, as long as these are the tokens that come.
    struct Ahead {
        std::size_t n_logits = 0;
        std::size_t n_rows = 0;
        std::size_t at = 0;  // of its tokens, how many have come
        std::vector<TokenId> tokens;
        std::vector<std::uint32_t> words;  // [n_rows, n_mask_words]
    };
    Ahead ahead_;
};

}  // namespace rafter::engine
