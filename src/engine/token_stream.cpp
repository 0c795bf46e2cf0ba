// One mailbox: updates that nobody has taken yet are joined.
#include "engine/token_stream.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace rafter::engine {
namespace {

template <typename T>
void append_to(std::vector<T>& to, std::vector<T>& from) {
    if (to.empty()) {
        to.swap(from);
    } else {
        std::move(from.begin(), from.end(), std::back_inserter(to));
        from.clear();
    }
}

// For when there is no memory to say more. Made with the first stream.
const SharedError& out_of_memory() {
    static const SharedError error(Error{"out of memory for the answer", ErrorKind::kOutOfMemory});
    return error;
}

SharedError shared_error_of(const std::exception* thrown) noexcept {
    try {
        return thrown != nullptr ? error_of(*thrown) : Error{"an exception of unknown type", ErrorKind::kInternal};
    } catch (const std::exception&) {
        return out_of_memory();
    }
}

}  // namespace

const char* to_string(FinishReason reason) {
    switch (reason) {
        case FinishReason::kStop:
            return "stop";
        case FinishReason::kLength:
            return "length";
        case FinishReason::kCancelled:
            return "cancelled";
        case FinishReason::kTimeout:
            return "timeout";
        case FinishReason::kError:
            return "error";
    }
    return "";
}

void Cancellations::add(std::shared_ptr<TokenStream> stream) noexcept {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    stream->next_cancelled_ = std::move(first_);
    first_ = std::move(stream);
    some_.store(true, std::memory_order_release);
}

std::shared_ptr<TokenStream> Cancellations::take_first() noexcept {
    const std::lock_guard lock(mutex_);
    if (!first_) return nullptr;
    std::shared_ptr<TokenStream> stream = std::move(first_);
    first_ = std::move(stream->next_cancelled_);
    some_.store(first_ != nullptr, std::memory_order_release);
    return stream;
}

void Cancellations::close() noexcept {
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    while (take_first()) {}
}

TokenStream::TokenStream(std::size_t n_vocab, OnUpdate on_update, std::shared_ptr<Cancellations> cancellations)
    : on_update_(std::move(on_update)), cancellations_(std::move(cancellations)), n_vocab_(n_vocab) {
    (void)out_of_memory();
}

StreamUpdate TokenStream::take() {
    StreamUpdate update;
    take(update);
    return update;
}

void TokenStream::take(StreamUpdate& update) {
    const std::lock_guard lock(mutex_);
    take_pending(update);
}

StreamUpdate TokenStream::wait() {
    StreamUpdate update;
    std::unique_lock lock(mutex_);
    published_.wait(lock, [this] { return !pending_.empty(); });
    take_pending(update);
    return update;
}

StreamUpdate TokenStream::wait_for(double seconds) {
    constexpr double kLongest = 1e9;  // beyond it, nanoseconds of a clock overflow
    const std::chrono::duration<double> longest(seconds > 0.0 ? std::min(seconds, kLongest) : 0.0);
    StreamUpdate update;
    std::unique_lock lock(mutex_);
    published_.wait_for(lock, longest, [this] { return !pending_.empty(); });
    take_pending(update);
    return update;
}

Result<void> TokenStream::force(std::span<const text::TokenId> tokens) {
    for (const text::TokenId token : tokens) {
        if (token < 0 || static_cast<std::size_t>(token) >= n_vocab_) {
            return bad_input("the forced tokens hold token {}: expected one below {}", token, n_vocab_);
        }
    }
    const std::lock_guard lock(mutex_);
    forced_.insert(forced_.end(), tokens.begin(), tokens.end());
    has_forced_.store(!forced_.empty(), std::memory_order_release);
    return {};
}

std::vector<text::TokenId> TokenStream::take_forced() {
    if (!has_forced_.load(std::memory_order_acquire)) return {};
    const std::lock_guard lock(mutex_);
    has_forced_.store(false, std::memory_order_relaxed);
    return std::exchange(forced_, {});
}

void TokenStream::take_pending(StreamUpdate& update) {
    update.clear();
    update.tokens.swap(pending_.tokens);
    update.text.swap(pending_.text);
    update.prompt_scores.swap(pending_.prompt_scores);
    update.embedding.swap(pending_.embedding);
    update.finish = pending_.finish;
}

void TokenStream::cancel() noexcept {
    if (cancelled_.exchange(true, std::memory_order_relaxed)) return;
    // A stream on a stack has no shared_ptr to give, and no engine.
    if (auto self = weak_from_this().lock(); self && cancellations_) cancellations_->add(std::move(self));
    if (waker_) waker_->wake();
}

void TokenStream::publish(StreamUpdate&& update) noexcept {
    try {
        if (!on_update_) {
            append(update);
        } else if (note_finish(update)) {
            on_update_(std::move(update));
        }
    } catch (const std::exception& thrown) {
        fail(&thrown);
    } catch (...) {
        fail(nullptr);
    }
    update.clear();
}

void TokenStream::append(StreamUpdate& update) {
    const std::lock_guard lock(mutex_);
    if (pending_.finish) return;
    append_to(pending_.tokens, update.tokens);
    append_to(pending_.prompt_scores, update.prompt_scores);
    append_to(pending_.embedding, update.embedding);
    pending_.text += update.text;
    pending_.finish = std::move(update.finish);
    published_.notify_all();
}

// Before the callback has it, so that it has no second one. False: it has had its finish.
bool TokenStream::note_finish(const StreamUpdate& update) noexcept {
    const std::lock_guard lock(mutex_);
    if (pending_.finish) return false;
    pending_.finish = update.finish;
    if (update.finish) published_.notify_all();
    return true;
}

void TokenStream::fail(const std::exception* thrown) noexcept {
    StreamUpdate last;
    last.finish = Finish{.reason = FinishReason::kError, .error = shared_error_of(thrown)};
    cancel();
    if (!note_finish(last) || !on_update_) return;
    try {
        on_update_(std::move(last));
    } catch (...) {  // its own matter: the request has ended
    }
}

}  // namespace rafter::engine
