// The matcher sees only tokens that it allows; what comes after an end token, or after a forced token against the mask, is only counted, so
// that it can be taken back.
#include "engine/sampling/mask.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "engine/waker.h"

namespace rafter::engine {

void PendingMask::set_ready(std::shared_ptr<const CompiledMask> mask) {
    RAFTER_CHECK(mask != nullptr, "a mask that is ready and is none");
    decide(std::move(mask));
}

void PendingMask::set_failed(Error error) { decide(std::move(error)); }

void PendingMask::decide(Outcome outcome) {
    std::vector<std::weak_ptr<Waker>> wakers;
    {
        const std::lock_guard lock(mutex_);
        if (outcome_) return;
        outcome_.emplace(std::move(outcome));
        wakers.swap(wakers_);
    }
    for (const auto& each : wakers) {
        if (const auto waker = each.lock()) waker->wake();
    }
}

bool PendingMask::decided() const {
    const std::lock_guard lock(mutex_);
    return outcome_.has_value();
}

Result<std::shared_ptr<const CompiledMask>> PendingMask::mask() const {
    const std::lock_guard lock(mutex_);
    RAFTER_CHECK(outcome_.has_value(), "a mask that is not decided yet");
    return *outcome_;
}

void PendingMask::wake_when_decided(const std::shared_ptr<Waker>& waker) {
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(wakers_, [&](const auto& other) { return other.expired() || other.lock() == waker; });
        if (!outcome_) {
            wakers_.push_back(waker);
            return;
        }
    }
    waker->wake();
}

MaskStage::MaskStage(std::shared_ptr<const CompiledMask> mask, std::vector<TokenId> end_tokens)
    : mask_(std::move(mask)), end_tokens_(std::move(end_tokens)), matcher_(mask_->make_matcher()) {
    RAFTER_CHECK(matcher_ != nullptr, "a mask without a matcher");
}

bool MaskStage::is_end(TokenId token) const { return std::ranges::find(end_tokens_, token) != end_tokens_.end(); }

// False, and the end of the sequence, when the matcher throws.
template <typename Call>
bool MaskStage::guarded(Call&& call) const {
    try {
        if (!threw_) call();
    } catch (...) {
        threw_ = true;
    }
    return !threw_;
}

// words: all 0.
void MaskStage::allow(std::size_t n_logits, std::span<std::uint32_t> words) const {
    const std::size_t n_known = std::min(mask_->n_vocab(), n_logits);
    matcher_->fill(words.first(n_mask_words(mask_->n_vocab())));
    if (n_known % 32 != 0) words[n_known / 32] &= (1U << n_known % 32) - 1;
    const bool may_end = matcher_->may_end();
    for (const TokenId token : end_tokens_) {
        const auto i = static_cast<std::size_t>(token);
        if (i >= n_logits) continue;
        const std::uint32_t bit = 1U << i % 32;
        words[i / 32] = may_end ? words[i / 32] | bit : words[i / 32] & ~bit;
    }
}

void MaskStage::apply(std::span<float> logits, std::vector<std::uint32_t>& words) const {
    if (n_after_ > 0 && !threw_) return;
    constexpr float kForbidden = -std::numeric_limits<float>::infinity();
    const std::size_t n_words = n_mask_words(std::max(mask_->n_vocab(), logits.size()));
    std::span<const std::uint32_t> allowed;
    if (!threw_ && ahead_.n_logits == logits.size() && ahead_.at < ahead_.n_rows) {
        allowed = std::span(ahead_.words).subspan(ahead_.at * n_words, n_words);
    } else {
        words.assign(n_words, 0);
        if (!guarded([&] { allow(logits.size(), words); })) {
            std::ranges::fill(logits, kForbidden);
            return;
        }
        allowed = words;
    }
    for (std::size_t w = 0; w * 32 < logits.size(); ++w) {
        if (allowed[w] == ~0U) continue;
        const std::size_t end = std::min(logits.size(), w * 32 + 32);
        for (std::size_t i = w * 32; i < end; ++i) {
            if ((allowed[w] >> i % 32 & 1) == 0) logits[i] = kForbidden;
        }
    }
}

void MaskStage::look_ahead(std::span<const TokenId> drafts, std::size_t n_logits) noexcept {
    ahead_.n_rows = ahead_.at = 0;
    if (n_after_ > 0 || threw_) return;
    const std::size_t n_words = n_mask_words(std::max(mask_->n_vocab(), n_logits));
    try {
        ahead_.tokens.assign(drafts.begin(), drafts.end());
        ahead_.words.assign((drafts.size() + 1) * n_words, 0);
    } catch (...) {
        return;
    }
    std::size_t n_rows = 0, n_accepted = 0;
    const bool done = guarded([&] {
        for (;;) {
            allow(n_logits, std::span(ahead_.words).subspan(n_rows * n_words, n_words));
            ++n_rows;
            if (n_accepted == drafts.size() || is_end(drafts[n_accepted]) || !matcher_->accept(drafts[n_accepted])) break;
            ++n_accepted;
        }
        if (n_accepted > 0) matcher_->rollback(n_accepted);
    });
    if (!done) return;
    ahead_.n_logits = n_logits;
    ahead_.n_rows = n_rows;
}

void MaskStage::accept(TokenId token) {
    if (ahead_.at < ahead_.tokens.size() && ahead_.tokens[ahead_.at] == token) {
        ++ahead_.at;
    } else {
        ahead_.n_rows = 0;
    }
    const bool ends = is_end(token);
    bool taken = false;
    if (n_after_ == 0 && !ends) guarded([&] { taken = matcher_->accept(token); });
    if (taken || threw_) return;
    if (n_after_++ == 0) ended_ = ends;
}

void MaskStage::rollback(std::size_t n) {
    if (n <= ahead_.at) {
        ahead_.at -= n;
    } else {
        ahead_.n_rows = 0;
    }
    const std::size_t n_unknown = std::min(n, n_after_);
    n_after_ -= n_unknown;
    if (n > n_unknown) guarded([&] { matcher_->rollback(n - n_unknown); });
}

const char* MaskStage::failure() const {
    if (threw_) return "the mask's matcher has failed";
    return n_after_ > 0 && !ended_ ? "the answer has a token that its mask forbids" : nullptr;
}

std::size_t MaskStage::n_acceptable(std::span<const TokenId> tokens) {
    if (n_after_ > 0) return tokens.size();
    std::size_t n = 0;
    bool ends = false;
    const bool done = guarded([&] {
        while (n < tokens.size() && !is_end(tokens[n]) && matcher_->accept(tokens[n])) ++n;
        ends = n < tokens.size() && is_end(tokens[n]) && matcher_->may_end();
        if (n > 0) matcher_->rollback(n);
    });
    if (!done) return 0;
    return ends ? n + 1 : n;
}

}  // namespace rafter::engine
