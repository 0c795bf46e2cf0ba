// A mask for tests: an automaton over tokens, whose languages can be written down by hand.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/check.h"
#include "engine/sampling/mask.h"

namespace rafter::engine::tests {

class AutomatonMask : public CompiledMask {
  public:
    using Edges = std::map<TokenId, std::size_t>;
    // edges: [n_states], from each state by token; complete: where an answer may end.
    AutomatonMask(std::vector<Edges> edges, std::set<std::size_t> complete, std::size_t n_vocab)
        : edges_(std::move(edges)), complete_(std::move(complete)), n_vocab_(n_vocab) {}

    [[nodiscard]] std::size_t n_vocab() const override { return n_vocab_; }
    [[nodiscard]] std::unique_ptr<MaskMatcher> make_matcher() const override {
        ++n_matchers;
        return std::make_unique<Matcher>(*this);
    }

    // By the definition: the state after these tokens; none where they are against the mask.
    [[nodiscard]] std::optional<std::size_t> state_after(std::span<const TokenId> tokens) const {
        std::size_t state = 0;
        for (const TokenId token : tokens) {
            const auto edge = edges_[state].find(token);
            if (edge == edges_[state].end()) return std::nullopt;
            state = edge->second;
        }
        return state;
    }
    [[nodiscard]] bool allows(std::size_t state, TokenId token) const {
        return edges_[state].contains(token) && static_cast<std::size_t>(token) < n_vocab_;
    }
    [[nodiscard]] bool is_complete(std::size_t state) const { return complete_.contains(state); }
    [[nodiscard]] bool is_last(std::size_t state) const { return is_complete(state) && edges_[state].empty(); }

    mutable std::atomic<int> n_matchers = 0;  // made
    mutable std::atomic<int> n_fills = 0;
    bool tells_when_finished = false;
    int throw_after = -1;  // tokens; then accept() throws

  private:
    class Matcher : public MaskMatcher {
      public:
        explicit Matcher(const AutomatonMask& mask) : mask_(mask), states_{0} {}
        void fill(std::span<std::uint32_t> allowed) override {
            RAFTER_CHECK(allowed.size() == n_mask_words(mask_.n_vocab_));
            ++mask_.n_fills;
            std::ranges::fill(allowed, 0U);
            for (const auto& [token, to] : mask_.edges_[states_.back()]) {
                if (static_cast<std::size_t>(token) < mask_.n_vocab_) allowed[token / 32] |= 1U << token % 32;
            }
        }
        bool accept(TokenId token) override {
            if (mask_.throw_after >= 0 && states_.size() > static_cast<std::size_t>(mask_.throw_after)) throw std::bad_alloc();
            if (!mask_.allows(states_.back(), token)) return false;
            states_.push_back(mask_.edges_[states_.back()].at(token));
            return true;
        }
        void rollback(std::size_t n) override {
            RAFTER_CHECK(n < states_.size(), "rollback of {} tokens after {}", n, states_.size() - 1);
            states_.resize(states_.size() - n);
        }
        [[nodiscard]] bool may_end() const override { return mask_.is_complete(states_.back()); }
        [[nodiscard]] bool is_finished() const override { return mask_.tells_when_finished && mask_.is_last(states_.back()); }

      private:
        const AutomatonMask& mask_;
        std::vector<std::size_t> states_;  // before and after each token
    };

    std::vector<Edges> edges_;
    std::set<std::size_t> complete_;
    std::size_t n_vocab_;
};

}  // namespace rafter::engine::tests
