// One mailbox: updates that nobody has taken yet are joined.
#include "engine/token_stream.h"

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
    return std::exchange(pending_, {});
}

StreamUpdate TokenStream::wait() {
    std::unique_lock lock(mutex_);
    published_.wait(lock, [this] { return has_news(); });
    return std::exchange(pending_, {});
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
