// One mailbox: updates that nobody has taken yet are joined.
#include "engine/token_stream.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace rafter::engine {

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
    const std::lock_guard lock(mutex_);
    return take_pending();
}

StreamUpdate TokenStream::wait() {
    std::unique_lock lock(mutex_);
    published_.wait(lock, [this] { return has_news(); });
    return take_pending();
}

StreamUpdate TokenStream::wait_for(double seconds) {
    constexpr double kLongest = 1e9;  // beyond it, nanoseconds of a clock overflow
    const std::chrono::duration<double> longest(seconds > 0.0 ? std::min(seconds, kLongest) : 0.0);
    std::unique_lock lock(mutex_);
    published_.wait_for(lock, longest, [this] { return has_news(); });
    return take_pending();
}

StreamUpdate TokenStream::take_pending() {
    StreamUpdate update = std::exchange(pending_, {});
    pending_.finish = update.finish;
    return update;
}

bool TokenStream::has_news() const {
    return !pending_.tokens.empty() || !pending_.text.empty() || !pending_.prompt_scores.empty() || pending_.finish.has_value();
}

void TokenStream::publish(StreamUpdate&& update) {
    const std::lock_guard lock(mutex_);
    std::move(update.tokens.begin(), update.tokens.end(), std::back_inserter(pending_.tokens));
    std::move(update.prompt_scores.begin(), update.prompt_scores.end(), std::back_inserter(pending_.prompt_scores));
    pending_.text += update.text;
    if (update.finish) pending_.finish = std::move(update.finish);
    published_.notify_all();
}

}  // namespace rafter::engine
