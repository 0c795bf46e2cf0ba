// What comes out of a request, from the engine's thread to whoever asked. Readers either wait at the stream, as at a mailbox, or give a
// callback with the request. The engine waits for neither: a slow reader finds everything since its last look joined.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/sampling/logprobs.h"
#include "engine/waker.h"

namespace rafter::engine {

class Sequence;

enum class FinishReason {
    kStop,       // an end token or a stop string
    kLength,     // max_tokens, or the context is full
    kCancelled,  // by the reader
    kTimeout,    // its deadline passed
    kError,
};
[[nodiscard]] const char* to_string(FinishReason reason);  // "stop", "length", "cancelled", "timeout", "error"

struct RequestTimes {
    std::uint32_t n_prompt = 0;
    std::uint32_t n_reused = 0;           // prompt tokens whose keys and values were in the cache already
    std::uint32_t n_generated = 0;        // the end token included
    std::uint32_t n_preemptions = 0;      // how often it had to give its room to others
    std::uint32_t n_draft_tokens = 0;     // that steps checked for it
    std::uint32_t n_accepted_drafts = 0;  // of them, right
    double queue_seconds = 0.0;           // from submit() to its first step
    double prefill_seconds = 0.0;         // from the first step to the first token
    double decode_seconds = 0.0;          // from the first token to the last
};

// An optional error that many finishes share: a copy allocates nothing, so that a failed engine can tell every stream.
class SharedError {
  public:
    SharedError() = default;
    SharedError(Error error) : error_(std::make_shared<const Error>(std::move(error))) {}   // NOLINT(google-explicit-constructor)
    SharedError(std::shared_ptr<const Error> error) noexcept : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
    [[nodiscard]] bool has_value() const { return error_ != nullptr; }
    explicit operator bool() const { return has_value(); }
    const Error& operator*() const { return *error_; }
    const Error* operator->() const { return error_.get(); }

  private:
    std::shared_ptr<const Error> error_;
};

struct Finish {
    FinishReason reason = FinishReason::kStop;
    bool context_full = false;             // why the length was reached
    std::optional<std::size_t> stop = {};  // of kStop: which of the request's stop strings ended it; none: an end token or a mask
    SharedError error;                     // of kError
    RequestTimes times;                    // zeros where the engine itself has failed
};

struct GeneratedToken {
    TokenId id = 0;
    std::optional<TokenLogprobs> logprobs;
};

struct StreamUpdate {
    std::vector<GeneratedToken> tokens;
    std::string text;  // whole characters; lags behind the tokens where a character or a stop string may be going on
    std::vector<TokenLogprobs> prompt_scores;  // in order of position, as score_prompt_from asks
    std::vector<float> embedding;              // [d_model], with the finish, for requests of hidden states
    std::optional<Finish> finish;              // the last update has it, and whoever asks again gets it again

    [[nodiscard]] bool empty() const { return tokens.empty() && text.empty() && prompt_scores.empty() && embedding.empty() && !finish; }
    void clear() {
        tokens.clear();
        text.clear();
        prompt_scores.clear();
        embedding.clear();
        finish.reset();
    }
};

// Called with each update on the thread that steps the engine, outside all locks; the last one has the finish. It may take what the update
// holds, submit and cancel requests, and hand work to other threads. It must not wait, and must not step, stop or destroy the engine: every
// request waits for it. One that throws ends its request, with kError in one last call; what that call throws is ignored.
using OnUpdate = std::function<void(StreamUpdate&& update)>;

class TokenStream;

// The streams that readers cancelled since the engine looked last: the engine need not look at every stream in every step.
class Cancellations {
  public:
    void add(std::shared_ptr<TokenStream> stream) noexcept;
    // Calls visit(TokenStream&) for each; they are then forgotten.
    template <typename Visit>
    void take_all(Visit visit);
    // The engine is gone: nobody looks any more.
    void close() noexcept;

  private:
    [[nodiscard]] std::shared_ptr<TokenStream> take_first() noexcept;

    std::mutex mutex_;
    std::shared_ptr<TokenStream> first_;  // a list linked by next_cancelled_
    std::atomic<bool> some_ = false;
    bool closed_ = false;
};

// Both sides hold a shared_ptr; each function may be called from any thread.
class TokenStream : public std::enable_shared_from_this<TokenStream> {
  public:
    // n_vocab: of the model that fills it. on_update: may be empty; then updates wait here. cancellations: where cancel() is announced; may
    // be null.
    explicit TokenStream(std::size_t n_vocab = 0, OnUpdate on_update = {}, std::shared_ptr<Cancellations> cancellations = {});

    // Everything since the last call, perhaps nothing; does not wait. With a callback only the finish comes here.
    [[nodiscard]] StreamUpdate take();
    // The same in place of what is in `update`, whose memory the stream goes on with: a reader that keeps one allocates nothing.
    void take(StreamUpdate& update);
    // The same, but waits until there is something. Only for readers in another thread than the engine's.
    [[nodiscard]] StreamUpdate wait();
    // At most so long, then perhaps nothing.
    [[nodiscard]] StreamUpdate wait_for(double seconds);
    // Asks the engine to end the request before its next step.
    void cancel() noexcept;

    // The answer goes on with these tokens from the engine's next step on, behind what is being forced already (Request::forced). Nothing
    // happens where it has ended by then. Fails on tokens that the model does not have.
    [[nodiscard]] Result<void> force(std::span<const text::TokenId> tokens);

    // The engine's side.
    // What was forced since the last call; mostly nothing, at the cost of a look.
    [[nodiscard]] std::vector<text::TokenId> take_forced();
    // Who sleeps while the request has no step to wait for; before anybody may cancel.
    void wake_on_cancel(std::shared_ptr<Waker> waker) { waker_ = std::move(waker); }
    // To the callback or into the mailbox; leaves `update` empty, with the memory of what was taken before. Nothing comes after a finish.
    // Where memory or the callback fails, this stream ends with kError and asks the engine to end its request.
    void publish(StreamUpdate&& update) noexcept;
    [[nodiscard]] bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
    // Whose stream it is, while the scheduler has it; null before and after. For the engine's thread only.
    Sequence* sequence = nullptr;

  private:
    friend class Cancellations;
    friend class Outbox;
    void take_pending(StreamUpdate& update);  // with the lock held
    [[nodiscard]] bool note_finish(const StreamUpdate& update) noexcept;
    void append(StreamUpdate& update);
    void fail(const std::exception* thrown) noexcept;

    const OnUpdate on_update_;
    const std::shared_ptr<Cancellations> cancellations_;
    std::mutex mutex_;
    std::condition_variable published_;
    StreamUpdate pending_;
    std::atomic<bool> cancelled_ = false;
    std::atomic<bool> has_forced_ = false;
    std::vector<text::TokenId> forced_;
    const std::size_t n_vocab_;
    std::shared_ptr<Waker> waker_;                                 // null: a step comes anyway
    std::shared_ptr<TokenStream> next_cancelled_;                  // Cancellations': with its lock held
    std::list<std::shared_ptr<TokenStream>>::iterator open_at_{};  // Outbox's: with its lock held
};

template <typename Visit>
void Cancellations::take_all(Visit visit) {
    if (!some_.load(std::memory_order_acquire)) return;
    while (const std::shared_ptr<TokenStream> stream = take_first()) visit(*stream);
}

}  // namespace rafter::engine
