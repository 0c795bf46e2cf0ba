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

// 0 where there are none.
std::uint32_t middle_of(std::vector<std::uint32_t> values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// Of the tokens from `at` on, how many are alike, where most of them are.
std::size_t alike_behind(std::span<const TokenId> tokens, std::size_t at, std::span<const std::uint64_t> others_marks) {
    const std::span<const TokenId> rest = tokens.subspan(at);
    const double part = part_alike(marks_of(rest), others_marks);
    return part < kAlike ? 0 : static_cast<std::size_t>(part * static_cast<double>(rest.size()));
}

}  // namespace

void PrefixWatch::arrived(std::string_view salt, const WatchedPrompt& prompt, double now_seconds) noexcept {
    try {
        add(salt, prompt, now_seconds);
    } catch (const std::exception&) {  // no memory: no prompt depends on this
    }
}

void PrefixWatch::add(std::string_view salt, const WatchedPrompt& prompt, double now_seconds) {
    const std::span<const TokenId> seen = prompt.tokens.first(std::min(prompt.tokens.size(), kMaxTokens));
    Finding finding;
    if (seen.size() >= kMinTokens) {
        Prompt added{.salt = std::string(salt), .tokens = {seen.begin(), seen.end()}, .n_system = prompt.n_system, .marks = marks_of(seen)};
        finding = compare(added);
        if (recent_.size() < kMaxPrompts) {
            recent_.push_back(std::move(added));
        } else {
            recent_[next_] = std::move(added);
            next_ = (next_ + 1) % kMaxPrompts;
        }
    }
    finding.seconds = now_seconds;
    finding.n_tokens = static_cast<std::uint32_t>(std::min<std::size_t>(prompt.tokens.size(), std::numeric_limits<std::uint32_t>::max()));
    if (finding.in_system) n_changed_system_tokens_ += finding.n_changed_tokens;
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
    if (most_alike == nullptr) return finding;
    // Prompts of one system prompt share it: one whose cached beginning ends within it has a line there that no earlier one has.
    if (same_salt < std::min(n, prompt.n_system)) {
        const std::size_t n_alike = alike_behind(prompt.tokens, same_salt, most_alike->marks);
        if (n_alike >= kMinTokens / 2) {
            finding.in_system = true;
            finding.changed_at = static_cast<std::uint32_t>(same_salt);
            finding.n_changed_tokens = static_cast<std::uint32_t>(n_alike);
            return finding;
        }
    }
    if (alike < kAlike || static_cast<double>(same_salt) > kEarly * static_cast<double>(n)) return finding;
    const std::size_t at = common_prefix(prompt.tokens, most_alike->tokens);
    finding.changed_at = static_cast<std::uint32_t>(at);
    // What is alike at all, less the beginning that is shared anyway.
    const double shared = alike * static_cast<double>(n) - static_cast<double>(same_salt);
    finding.n_changed_tokens = shared >= static_cast<double>(kMinTokens) / 2 ? static_cast<std::uint32_t>(shared) : 0;
    return finding;
}

PrefixFindings PrefixWatch::last_minute(double now_seconds) const {
    PrefixFindings found;
    std::vector<std::uint32_t> changed_at, changed_system_at;
    for (const Finding& one : findings_) {
        if (one.seconds < now_seconds - kWatchedMinute) continue;
        ++found.n_prompts;
        found.n_tokens += one.n_tokens;
        if (one.in_system) {
            ++found.n_changed_system;
            found.n_changed_system_tokens += one.n_changed_tokens;
            changed_system_at.push_back(one.changed_at);
        } else if (one.n_changed_tokens > 0) {
            ++found.n_changed_early;
            found.n_changed_tokens += one.n_changed_tokens;
            changed_at.push_back(one.changed_at);
        }
        found.n_other_salt += one.n_other_salt_tokens > 0;
        found.n_other_salt_tokens += one.n_other_salt_tokens;
    }
    found.changed_at = middle_of(std::move(changed_at));
    found.changed_system_at = middle_of(std::move(changed_system_at));
    return found;
}

}  // namespace rafter::server
