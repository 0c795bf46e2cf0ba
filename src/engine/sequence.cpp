// Tokens become text here and nowhere else: token bytes, then whole characters, then what no stop string claims.
#include "engine/sequence.h"

#include <algorithm>
#include <cmath>

namespace rafter::engine {
namespace {

// Answers are valid UTF-8, so a stop string that is not could only match, and cut, within a character.
std::vector<std::string> as_characters(const std::vector<std::string>& texts) {
    std::vector<std::string> result;
    for (const std::string& text : texts) result.push_back(text::valid_utf8(text));
    return result;
}

}  // namespace

AnswerText::AnswerText(const text::Tokenizer& tokenizer, const Request& request)
    : tokenizer_(tokenizer),
      end_tokens_(request.end_tokens),
      shown_tokens_(request.shown_tokens),
      min_tokens_(request.min_tokens),
      stops_(as_characters(request.stop)) {}

StopMatcher::WhenComplete AnswerText::when_complete() const {
    return n_tokens_ > min_tokens_ ? StopMatcher::WhenComplete::kStop : StopMatcher::WhenComplete::kGoOn;
}

StopMatcher::Pushed AnswerText::push(TokenId token) {
    ++n_tokens_;
    // Only an ignored end token comes here.
    if (std::find(end_tokens_.begin(), end_tokens_.end(), token) != end_tokens_.end()) return {{}, false};
    const bool is_shown = std::find(shown_tokens_.begin(), shown_tokens_.end(), token) != shown_tokens_.end();
    const std::string_view piece = tokenizer_.piece(token, is_shown ? text::SpecialTokens::kParse : text::SpecialTokens::kAsText);
    auto pushed = stops_.push(characters_.push(piece), when_complete());
    stopped_ = pushed.stopped;
    return pushed;
}

std::string AnswerText::finish() {
    if (stopped_) return {};
    auto last = stops_.push(characters_.finish(), when_complete());
    return last.stopped ? last.text : last.text + stops_.finish();
}

Sequence::Sequence(Request wanted, std::shared_ptr<TokenStream> to, const text::Tokenizer& tokenizer)
    : request(std::move(wanted)),
      stream(std::move(to)),
      sampler(request, &tokenizer),
      text(tokenizer, request),
      tokens(std::move(request.prompt)),
      n_prompt(static_cast<std::uint32_t>(tokens.size())) {}

std::uint32_t Sequence::n_outputs(std::uint32_t n_new) const {
    const std::uint32_t until = std::min(n_computed + n_new, outputs_until());
    return until > first_output() ? until - first_output() : 0;
}

void Sequence::mark_started(double now) {
    if (!started_) started_ = now;
}

void Sequence::mark_token(double now) {
    last_token_ = now;
    if (!first_token_) first_token_ = last_token_;
}

std::optional<double> Sequence::deadline() const {
    if (!request.timeout_seconds || std::isnan(*request.timeout_seconds)) return std::nullopt;
    return arrived_ + *request.timeout_seconds;
}

RequestTimes Sequence::times(double now) const {
    RequestTimes times{.n_prompt = n_prompt,
                       .n_reused = n_reused,
                       .n_generated = n_generated(),
                       .n_preemptions = n_preemptions,
                       .n_draft_tokens = n_draft_tokens,
                       .n_accepted_drafts = n_accepted_drafts};
    times.queue_seconds = started_.value_or(now) - arrived_;
    if (!started_) return times;
    times.prefill_seconds = first_token_.value_or(now) - *started_;
    if (first_token_) times.decode_seconds = *last_token_ - *first_token_;
    return times;
}

}  // namespace rafter::engine
