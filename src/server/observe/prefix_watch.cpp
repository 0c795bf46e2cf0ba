// Runs of kRun tokens are hashed at every position and one in kOneIn of the hashes is kept, chosen by the hash itself: equal texts keep
// equal hashes wherever they stand (Schleimer, Wilkerson and Aiken, "Winnowing", SIGMOD 2003, https://doi.org/10.1145/872757.872770).
#include "server/observe/prefix_watch.h"

#include <algorithm>
#include <exception>
#include <limits>

namespace rafter::server {
namespace {

using text::TokenId;

constexpr std::size_t kMaxPrompts = 16;
constexpr std::size_t kMaxTokens = 4096;  // of a prompt that are looked at
constexpr std::size_t kMaxFindings = 2048;
constexpr std::size_t kMinTokens = 64;  // shorter prompts cost little
constexpr double kAlike = 0.5;          // of a prompt's runs that stand in the other, for it to be alike
constexpr double kEarly = 0.5;          // of a prompt, before which a difference is early
constexpr std::size_t kRun = 8;
constexpr std::uint64_t kOneIn = 8;
constexpr double kWatchedMinute = 60.0;

std::uint64_t mixed(std::uint64_t x) {
    x ^= x >> 31U;
    x *= 0x9e3779b97f4a7c15ULL;
    return x ^ (x >> 29U);
}

std::vector<std::uint64_t> marks_of(std::span<const TokenId> tokens) {
    constexpr std::uint64_t kBase = 0x100000001b3ULL;
    std::uint64_t oldest_factor = 1;
    for (std::size_t i = 1; i < kRun; ++i) oldest_factor *= kBase;
    const auto value = [](TokenId id) { return static_cast<std::uint64_t>(static_cast<std::uint32_t>(id)) + 1; };
    std::vector<std::uint64_t> marks;
    std::uint64_t hash = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (i >= kRun) hash -= value(tokens[i - kRun]) * oldest_factor;
        hash = hash * kBase + value(tokens[i]);
        const std::uint64_t mark = mixed(hash);
        if (i + 1 >= kRun && mark % kOneIn == 0) marks.push_back(mark);
    }
    std::ranges::sort(marks);
    marks.erase(std::unique(marks.begin(), marks.end()), marks.end());
    return marks;
}

std::size_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
    const std::size_t n = std::min(a.size(), b.size());
    return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n), b.begin()).first - a.begin());
}

// Of a's marks, the part that b has.
double part_alike(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
    if (a.empty()) return 0.0;
    std::size_t n = 0;
    for (std::size_t i = 0, k = 0; i < a.size() && k < b.size();) {
        n += a[i] == b[k];
        const bool a_first = a[i] <= b[k];
        k += b[k] <= a[i];
        i += a_first;
    }
    return static_cast<double>(n) / static_cast<double>(a.size());
}

}  // namespace

void PrefixWatch::arrived(std::string_view salt, std::span<const TokenId> prompt, double now_seconds) noexcept {
    try {
        add(salt, prompt, now_seconds);
    } catch (const std::exception&) {  // no memory: no prompt depends on this
    }
}

void PrefixWatch::add(std::string_view salt, std::span<const TokenId> prompt, double now_seconds) {
    const std::span<const TokenId> seen = prompt.first(std::min(prompt.size(), kMaxTokens));
    Finding finding;
    if (seen.size() >= kMinTokens) {
        Prompt added{.salt = std::string(salt), .tokens = {seen.begin(), seen.end()}, .marks = marks_of(seen)};
        finding = compare(added);
        if (recent_.size() < kMaxPrompts) {
            recent_.push_back(std::move(added));
        } else {
            recent_[next_] = std::move(added);
            next_ = (next_ + 1) % kMaxPrompts;
        }
    }
    finding.seconds = now_seconds;
    finding.n_tokens = static_cast<std::uint32_t>(std::min<std::size_t>(prompt.size(), std::numeric_limits<std::uint32_t>::max()));
    while (!findings_.empty() && (findings_.size() >= kMaxFindings || findings_.front().seconds < now_seconds - kWatchedMinute))
        findings_.pop_front();
    findings_.push_back(finding);
}

PrefixWatch::Finding PrefixWatch::compare(const Prompt& prompt) const {
    std::size_t same_salt = 0, other_salt = 0;  // the longest beginnings in common
    const Prompt* most_alike = nullptr;
    double alike = 0.0;
    for (const Prompt& earlier : recent_) {
        const std::size_t n = common_prefix(prompt.tokens, earlier.tokens);
        if (earlier.salt != prompt.salt) {
            other_salt = std::max(other_salt, n);
            continue;
        }
        same_salt = std::max(same_salt, n);
        const double part = part_alike(prompt.marks, earlier.marks);
        if (part > alike) {
            alike = part;
            most_alike = &earlier;
        }
    }
    Finding finding;
    const std::size_t n = prompt.tokens.size();
    if (other_salt >= same_salt + kMinTokens) finding.n_other_salt_tokens = static_cast<std::uint32_t>(other_salt - same_salt);
    if (most_alike == nullptr || alike < kAlike || static_cast<double>(same_salt) > kEarly * static_cast<double>(n)) return finding;
    const std::size_t at = common_prefix(prompt.tokens, most_alike->tokens);
    finding.changed_at = static_cast<std::uint32_t>(at);
    // What is alike at all, less the beginning that is shared anyway.
    const double shared = alike * static_cast<double>(n) - static_cast<double>(same_salt);
    finding.n_changed_tokens = shared >= static_cast<double>(kMinTokens) / 2 ? static_cast<std::uint32_t>(shared) : 0;
    return finding;
}

PrefixFindings PrefixWatch::last_minute(double now_seconds) const {
    PrefixFindings found;
    std::vector<std::uint32_t> changed_at;
    for (const Finding& one : findings_) {
        if (one.seconds < now_seconds - kWatchedMinute) continue;
        ++found.n_prompts;
        found.n_tokens += one.n_tokens;
        if (one.n_changed_tokens > 0) {
            ++found.n_changed_early;
            found.n_changed_tokens += one.n_changed_tokens;
            changed_at.push_back(one.changed_at);
        }
        found.n_other_salt += one.n_other_salt_tokens > 0;
        found.n_other_salt_tokens += one.n_other_salt_tokens;
    }
    if (!changed_at.empty()) {
        const auto middle = changed_at.begin() + static_cast<std::ptrdiff_t>(changed_at.size() / 2);
        std::nth_element(changed_at.begin(), middle, changed_at.end());
        found.changed_at = *middle;
    }
    return found;
}

}  // namespace rafter::server
