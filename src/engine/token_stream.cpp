// One mailbox: updates that nobody has taken yet are joined.
#include "engine/token_stream.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace rafter::engine {
namespace {

template <typename T>
void append(std::vector<T>& to, std::vector<T>& from) {
    if (to.empty()) {
        to.swap(from);
    } else {
        std::move(from.begin(), from.end(), std::back_inserter(to));
        from.clear();
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
    published_.wait(lock, [this] { return has_news(); });
    take_pending(update);
    return update;
}

StreamUpdate TokenStream::wait_for(double seconds) {
    constexpr double kLongest = 1e9;  // beyond it, nanoseconds of a clock overflow
    const std::chrono::duration<double> longest(seconds > 0.0 ? std::min(seconds, kLongest) : 0.0);
    StreamUpdate update;
    std::unique_lock lock(mutex_);
    published_.wait_for(lock, longest, [this] { return has_news(); });
    take_pending(update);
    return update;
}

void TokenStream::cancel() {
    cancelled_.store(true, std::memory_order_relaxed);
    if (waker_) waker_->wake();
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

bool TokenStream::has_news() const {
    return !pending_.tokens.empty() || !pending_.text.empty() || !pending_.prompt_scores.empty() || pending_.finish.has_value();
}

void TokenStream::publish(StreamUpdate&& update) {
    const std::lock_guard lock(mutex_);
    append(pending_.tokens, update.tokens);
    append(pending_.prompt_scores, update.prompt_scores);
    append(pending_.embedding, update.embedding);
    pending_.text += update.text;
    if (update.finish) pending_.finish = std::move(update.finish);
    update.clear();
    published_.notify_all();
}

}  // namespace rafter::engine
