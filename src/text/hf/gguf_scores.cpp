// Checks that merges are those of scores; see the header.
#include "text/hf/gguf_scores.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

#include "base/quote.h"

namespace rafter::text::hf {
namespace {

// Every place in every token is looked at, so a longer one would take quadratic time. The longest in use have some hundred bytes.
constexpr std::size_t kMaxTokenBytes = 4096;

using Pair = std::pair<TokenId, TokenId>;

class MergeCheck {
  public:
    explicit MergeCheck(const TokenizerJson& json) : json_(json), merges_(json.merges) {
        std::ranges::sort(merges_);
        for (std::size_t i = 0; i < json.tokens.size(); ++i) {
            if (may_come_from_text(json.types[i])) ids_.emplace(json.tokens[i], static_cast<TokenId>(i));
        }
    }
    // Two tokens that make this one without a merge.
    [[nodiscard]] std::optional<Pair> missing(std::size_t id) const {
        const std::string_view text = json_.tokens[id];
        for (std::size_t cut = 1; cut < text.size(); ++cut) {
            const auto left = ids_.find(text.substr(0, cut));
            if (left == ids_.end()) continue;
            const auto right = ids_.find(text.substr(cut));
            if (right == ids_.end()) continue;
            const Pair pair(left->second, right->second);
            if (!std::ranges::binary_search(merges_, pair)) return pair;
        }
        return std::nullopt;
    }

  private:
    const TokenizerJson& json_;
    std::vector<Pair> merges_;                              // sorted
    std::map<std::string_view, TokenId, std::less<>> ids_;  // of what text may become
};

}  // namespace

Result<std::vector<double>> gguf_scores(const TokenizerJson& json) {
    std::vector<std::optional<std::size_t>> first_ranks(json.tokens.size());
    for (std::size_t rank = 0; rank < json.merges.size(); ++rank) {
        const auto id = static_cast<std::size_t>(json.merged[rank]);
        const bool follows = rank > 0 && json.merged[rank - 1] == json.merged[rank];
        if (first_ranks[id] && !follows) {
            return bad_input("model: merges: {} is given by entries {} and {}, with others between: GGUF's scores cannot say that",
                             quote(json.tokens[id]), *first_ranks[id], rank);
        }
        if (!first_ranks[id]) first_ranks[id] = rank;
    }
    const MergeCheck check(json);
    std::vector<double> scores;
    for (std::size_t i = 0; i < json.tokens.size(); ++i) {
        if (json.tokens[i].size() > kMaxTokenBytes)
            return bad_input("model: token {}: expected at most {} bytes, found {}", i, kMaxTokenBytes, json.tokens[i].size());
        if (may_come_from_text(json.types[i])) {
            if (const auto pair = check.missing(i)) {
                return bad_input("model: merges: {} and {} make {} without a merge: GGUF's scores cannot say that",
                                 quote(json.tokens[static_cast<std::size_t>(pair->first)]),
                                 quote(json.tokens[static_cast<std::size_t>(pair->second)]), quote(json.tokens[i]));
            }
        }
        scores.push_back(first_ranks[i] ? -static_cast<double>(*first_ranks[i]) : -static_cast<double>(json.merges.size()));
    }
    return scores;
}

}  // namespace rafter::text::hf
