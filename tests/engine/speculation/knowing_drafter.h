// Draft tokens that are right as often as a test wants.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "engine/sampling/sampler.h"
#include "engine/speculation/drafter.h"
#include "tests/engine/fake_model.h"

namespace rafter::engine::tests {

// Knows the model: each draft token is what the model chooses there, or another token.
class KnowingDrafter : public Drafter {
  public:
    explicit KnowingDrafter(double chance, unsigned seed = 1) : right(chance), random_(seed) {}
    const FakeModel* model = nullptr;
    double right;  // chance of each draft token
    bool sometimes_fewer = false;
    std::size_t n_states = 0;  // alive

    [[nodiscard]] std::string_view name() const override { return "knowing"; }
    [[nodiscard]] DraftOffer offer(DraftSequence& sequence, std::uint32_t n_most) override {
        EXPECT_GT(n_most, 0U);
        if (!*sequence.state) *sequence.state = std::make_unique<State>(n_states);
        return {.n_tokens = sometimes_fewer ? static_cast<std::uint32_t>(random_() % (n_most + 1)) : n_most, .trust = 0};
    }
    [[nodiscard]] double round_seconds(std::uint32_t /*n_sequences*/, std::uint32_t /*n_past*/) const override { return 0.0; }
    void draft(std::span<DraftRequest> requests) override {
        for (DraftRequest& request : requests) {
            std::vector<TokenId> tokens(request.sequence.tokens.begin(), request.sequence.tokens.end());
            const std::size_t n_known = tokens.size();
            std::uint32_t n = request.n_wanted;
            if (sometimes_fewer) n = static_cast<std::uint32_t>(random_() % (n + 1));
            while (tokens.size() < n_known + n) {
                const std::size_t i = tokens.size() - request.sequence.n_prompt;
                std::optional<TokenId> token;
                if (i < request.sequence.forced.size()) {
                    token = request.sequence.forced[i];
                } else {
                    token =
                        request.sequence.sampler->sample(model->logits_after(tokens), static_cast<std::uint32_t>(tokens.size()), scratch_);
                }
                const auto off = static_cast<TokenId>(1 + random_() % (FakeTokenizer::kTokens - 1));
                const bool is_right = std::uniform_real_distribution<double>()(random_) < right;
                tokens.push_back((token.value_or(0) + (token && is_right ? 0 : off)) % static_cast<TokenId>(FakeTokenizer::kTokens));
                request.sequence.sampler->accept(tokens.back());
            }
            request.sequence.sampler->rollback(tokens.size() - n_known);
            request.drafts.assign(tokens.begin() + static_cast<std::ptrdiff_t>(n_known), tokens.end());
        }
    }

  private:
    struct State : DraftState {
        explicit State(std::size_t& n_states) : n(n_states) { ++n; }
        ~State() override { --n; }
        State(const State&) = delete;
        State& operator=(const State&) = delete;
        std::size_t& n;
    };
    std::mt19937 random_;
    SamplerScratch scratch_;
};

}  // namespace rafter::engine::tests
