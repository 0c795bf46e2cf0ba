// How long answers were lately: what one that has so many tokens already is expected to have in all.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace rafter::engine {

// One thread.
class AnswerLengths {
  public:
    // An answer ended by itself after so many tokens; or it was cut there, and might have gone on.
    void add(std::uint32_t n_tokens, bool cut) {
        lengths_[n_added_ % kMaxKnown] = {n_tokens, cut};
        ++n_added_;
        is_sorted_ = false;
    }
    // In all, n_generated of them there already, max_tokens at most; `quantile` (0 to 1) of such answers are shorter. Where nothing is
    // known of answers that long, max_tokens. By the product-limit estimate, in which cut answers count for as long as they were (Kaplan
    // and Meier, "Nonparametric estimation from incomplete observations", JASA 53, 1958). Takes some 100 ns.
    [[nodiscard]] std::uint32_t expect(std::uint32_t n_generated, std::uint32_t max_tokens, double quantile) const {
        sort();
        double longer = 1.0;  // share of answers
        for (auto at = std::ranges::upper_bound(sorted_, n_generated, {}, &Length::first); at != sorted_.end(); ++at) {
            if (at->first >= max_tokens) break;
            if (at->second) continue;
            longer *= 1.0 - 1.0 / static_cast<double>(sorted_.end() - at);
            if (longer <= 1.0 - quantile) return at->first;
        }
        return max_tokens;
    }

  private:
    static constexpr std::size_t kMaxKnown = 128;
    using Length = std::pair<std::uint32_t, bool>;  // tokens; cut
    void sort() const {
        if (is_sorted_) return;
        sorted_.assign(lengths_.begin(), lengths_.begin() + static_cast<std::ptrdiff_t>(std::min(n_added_, kMaxKnown)));
        std::ranges::sort(sorted_);
        is_sorted_ = true;
    }
    std::array<Length, kMaxKnown> lengths_{};
    std::size_t n_added_ = 0;
    mutable std::vector<Length> sorted_;  // those that are known, when is_sorted_
    mutable bool is_sorted_ = true;
};

}  // namespace rafter::engine
