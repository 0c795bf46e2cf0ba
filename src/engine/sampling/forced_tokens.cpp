// Where the answer stands in the forced tokens changes only with a forced token, so that only those are remembered for a rollback.
#include "engine/sampling/forced_tokens.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace rafter::engine {
namespace {

// Knuth, Morris and Pratt 1977, "Fast pattern matching in strings", https://doi.org/10.1137/0206024
std::uint32_t next_match(std::string_view text, const std::vector<std::uint32_t>& shorter, std::uint32_t n_matched, char byte) {
    if (n_matched == text.size()) n_matched = shorter[n_matched];
    while (n_matched > 0 && text[n_matched] != byte) n_matched = shorter[n_matched];
    return text[n_matched] == byte ? n_matched + 1 : 0;
}

std::vector<std::uint32_t> shorter_beginnings(std::string_view text) {
    std::vector<std::uint32_t> shorter(2, 0);
    for (std::size_t n = 1; n < text.size(); ++n) shorter.push_back(next_match(text, shorter, shorter[n], text[n]));
    return shorter;
}

// Of UTF-8: what the last character still needs behind this byte.
std::uint32_t missing_after(std::uint32_t n_missing, char byte) {
    const auto value = static_cast<unsigned char>(byte);
    if (value >= 0xC0) return value >= 0xF0 ? 3 : value >= 0xE0 ? 2 : 1;
    return value >= 0x80 && n_missing > 0 ? n_missing - 1 : 0;
}
constexpr std::uint32_t kMaxMissingBytes = 3;

}  // namespace

ForcedAnswer::ForcedAnswer(std::vector<ForcedTokens> runs, const text::Tokenizer* tokenizer) : tokenizer_(tokenizer) {
    std::stable_sort(runs.begin(), runs.end(), [](const ForcedTokens& a, const ForcedTokens& b) { return a.after < b.after; });
    for (ForcedTokens& run : runs) {
        if (run.tokens.empty()) continue;
        RAFTER_CHECK(run.unless_text.empty() || tokenizer != nullptr, "no tokenizer to look for {}", run.unless_text);
        std::vector<std::uint32_t> shorter = shorter_beginnings(run.unless_text);
        runs_.push_back({.forced = std::move(run), .shorter = std::move(shorter)});
    }
}

bool ForcedAnswer::completes_text(Run& run, std::string_view piece) {
    const std::string_view text = run.forced.unless_text;
    bool complete = false;
    Text at = run.texts.empty() ? Text() : run.texts.back();
    for (const char byte : piece) {
        at.n_matched = next_match(text, run.shorter, at.n_matched, byte);
        at.n_missing = missing_after(at.n_missing, byte);
        complete = complete || at.n_matched == text.size();
    }
    run.texts.push_back(at);
    return complete;
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
    const Run& run = runs_[place.run];
    const bool within_character = !run.texts.empty() && run.texts.back().n_missing > 0;
    if (place.offset == 0 && within_character && n_answer_ - run.forced.after < kMaxMissingBytes) return std::nullopt;
    return run.forced.tokens[place.offset];
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
        const bool has_text = !run.forced.unless_text.empty();
        const bool complete = has_text && completes_text(run, tokenizer_->piece(token, text::SpecialTokens::kAsText));
        if ((complete || run.forced.unless == token) && !run.unless_at) run.unless_at = n_answer_;
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
        run.texts.resize(std::min<std::size_t>(run.texts.size(), n_answer_));
    }
}

void ForcedAnswer::add(std::vector<TokenId> tokens) {
    if (tokens.empty()) return;
    const auto from = runs_.begin() + place_.run;
    const auto behind = std::find_if(from, runs_.end(), [this](const Run& run) { return run.forced.after > n_answer_; });
    runs_.insert(behind, {.forced = {.after = n_answer_, .tokens = std::move(tokens), .unless = {}}});
}

}  // namespace rafter::engine
