// The public header's TokenStream: the engine's, held by the one who reads.
#include <iterator>

#include "library/convert.h"

namespace rafter {

TokenStream::TokenStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
TokenStream::TokenStream(TokenStream&&) noexcept = default;

TokenStream& TokenStream::operator=(TokenStream&& other) noexcept {
    if (this == &other) return *this;
    if (state_) cancel();
    state_ = std::move(other.state_);
    return *this;
}

TokenStream::~TokenStream() {
    if (state_) cancel();
}

Update TokenStream::take() { return state_->parted(state_->stream->take()); }

Update TokenStream::wait() { return state_->parted(state_->stream->wait()); }

Update TokenStream::wait_for(double seconds) { return state_->parted(state_->stream->wait_for(seconds)); }

Update TokenStream::wait_for_finish() {
    Update all = wait();
    while (!all.finish) {
        Update more = wait();
        std::move(more.tokens.begin(), more.tokens.end(), std::back_inserter(all.tokens));
        std::move(more.prompt_scores.begin(), more.prompt_scores.end(), std::back_inserter(all.prompt_scores));
        all.text += more.text;
        std::move(more.parts.begin(), more.parts.end(), std::back_inserter(all.parts));
        all.finish = std::move(more.finish);
    }
    return all;
}

void TokenStream::cancel() { state_->stream->cancel(); }

std::string_view to_string(FinishReason reason) { return engine::to_string(static_cast<engine::FinishReason>(reason)); }

}  // namespace rafter
