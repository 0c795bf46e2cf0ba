// What comes out of a request, from the engine's thread to whoever asked. A slow reader finds everything since its last look in one piece,
// so the engine never waits for one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
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
    std::uint32_t n_reused = 0;       // prompt tokens whose keys and values were in the cache already
    std::uint32_t n_generated = 0;    // the end token included
    std::uint32_t n_preemptions = 0;  // how often it had to give its room to others
    double queue_seconds = 0.0;       // from its arrival to its first step
    double prefill_seconds = 0.0;     // from the first step to the first token
    double decode_seconds = 0.0;      // from the first token to the last
};

struct Finish {
    FinishReason reason = FinishReason::kStop;
    bool context_full = false;  // why the length was reached
    std::optional<Error> error;
    RequestTimes times;
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

    void clear() {
        tokens.clear();
        text.clear();
        prompt_scores.clear();
        embedding.clear();
        finish.reset();
    }
};

// Both sides hold a shared_ptr; each function may be called from any thread.
class TokenStream {
  public:
    // n_vocab: of the model that fills it.
    explicit TokenStream(std::size_t n_vocab = 0) : n_vocab_(n_vocab) {}

    // Everything since the last call, perhaps nothing; does not wait.
    [[nodiscard]] StreamUpdate take();
    // The same in place of what is in `update`, whose memory the stream goes on with: a reader that keeps one allocates nothing.
    void take(StreamUpdate& update);
    // The same, but waits until there is something. Only for readers in another thread than the engine's.
    [[nodiscard]] StreamUpdate wait();
    // At most so long, then perhaps nothing.
    [[nodiscard]] StreamUpdate wait_for(double seconds);
    // Asks the engine to end the request before its next step.
    void cancel();

    // The answer goes on with these tokens from the engine's next step on, behind what is being forced already (Request::forced). Nothing
    // happens where it has ended by then. Fails on tokens that the model does not have.
    [[nodiscard]] Result<void> force(std::span<const text::TokenId> tokens);

    // The engine's side.
    // What was forced since the last call; mostly nothing, at the cost of a look.
    [[nodiscard]] std::vector<text::TokenId> take_forced();
    // Who sleeps while the request has no step to wait for; before anybody may cancel.
    void wake_on_cancel(std::shared_ptr<Waker> waker) { waker_ = std::move(waker); }
    // Leaves it empty, with the memory of what was taken before.
    void publish(StreamUpdate&& update);
    [[nodiscard]] bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  private:
    // With the lock held.
    [[nodiscard]] bool has_news() const;
    void take_pending(StreamUpdate& update);

    std::mutex mutex_;
    std::condition_variable published_;
    StreamUpdate pending_;
    std::atomic<bool> cancelled_ = false;
    std::atomic<bool> has_forced_ = false;
    std::vector<text::TokenId> forced_;
    const std::size_t n_vocab_;
    std::shared_ptr<Waker> waker_;  // null: a step comes anyway
};

}  // namespace rafter::engine
