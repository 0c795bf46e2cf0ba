// Where the answer stands in the forced tokens changes only with a forced token, so that only those are remembered for a rollback.
#include "engine/sampling/forced_tokens.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace rafter::engine {

ForcedAnswer::ForcedAnswer(std::vector<ForcedTokens> runs) {
    std::stable_sort(runs.begin(), runs.end(), [](const ForcedTokens& a, const ForcedTokens& b) { return a.after < b.after; });
    for (ForcedTokens& run : runs) {
        if (!run.tokens.empty()) runs_.push_back({.forced = std::move(run)});
    }
}

// The same place, or that of the first later run that is not due yet or not needless.
ForcedAnswer::Place ForcedAnswer::skip_needless(Place place) const {
    while (place.run < runs_.size() && place.offset == 0 && n_answer_ >= runs_[place.run].forced.after && runs_[place.run].unless_at) {
        ++place.run;
    }
    return place;
}

std::optional<TokenId> ForcedAnswer::next() const {
    const Place place = skip_needless(place_);
    if (place.run == runs_.size() || n_answer_ < runs_[place.run].forced.after) return std::nullopt;
    return runs_[place.run].forced.tokens[place.offset];
}

// Another token than the forced one counts as it, as a draft token's that will be taken back.
void ForcedAnswer::accept(TokenId token) {
    if (runs_.empty()) {
        ++n_answer_;
        return;
    }
    if (next()) {
        Place place = skip_needless(place_);
        changes_.push_back({.n_answer = n_answer_, .before = place_});
        if (++place.offset == runs_[place.run].forced.tokens.size()) place = {.run = place.run + 1};
        place_ = place;
    }
    for (Run& run : runs_) {
        if (run.forced.unless == token && !run.unless_at) run.unless_at = n_answer_;
    }
    ++n_answer_;
}

void ForcedAnswer::rollback(std::size_t n) {
    RAFTER_CHECK(n <= n_answer_, "rollback of {} tokens after {}", n, n_answer_);
    n_answer_ -= static_cast<std::uint32_t>(n);
    while (!changes_.empty() && changes_.back().n_answer >= n_answer_) {
        place_ = changes_.back().before;
        changes_.pop_back();
    }
    for (Run& run : runs_) {
        if (run.unless_at && *run.unless_at >= n_answer_) run.unless_at.reset();
    }
}

void ForcedAnswer::add(std::vector<TokenId> tokens) {
    if (tokens.empty()) return;
    const auto from = runs_.begin() + place_.run;
    const auto behind = std::find_if(from, runs_.end(), [this](const Run& run) { return run.forced.after > n_answer_; });
    runs_.insert(behind, {.forced = {.after = n_answer_, .tokens = std::move(tokens), .unless = {}}});
}

}  // namespace rafter::engine
