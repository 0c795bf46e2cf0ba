// Drafts with a smaller model of the same vocabulary. It samples with the target's noise (same seed, same position), so that both choose
// the same token as often as two such distributions can.
#pragma once

#include <optional>
#include <vector>

#include "backend/backend.h"
#include "backend/batch.h"
#include "engine/measure/step_cost.h"
#include "engine/sampling/sampler.h"
#include "engine/speculation/drafter.h"
#include "engine/speculation/vocabulary_map.h"
#include "kv/block_cache.h"

namespace rafter::engine {

struct ModelDrafterOptions {
    backend::StepLimits limits;
    std::uint32_t context = 0;  // tokens a sequence of the draft model may have
    std::uint32_t block_size = 16;
    std::vector<std::uint32_t> n_blocks;  // [n_cache_groups], of its own KV cache
    std::vector<std::uint32_t> windows;   // [n_cache_groups]
    StepCost cost;
    // For measurements: where the answer is forced, the draft token is the forced one with this probability and a wrong one otherwise. The
    // model runs all the same.
    std::optional<double> forced_acceptance;
};

class ModelDrafter : public Drafter {
  public:
    // model outlives this; this outlives all DraftStates that it makes.
    ModelDrafter(backend::DeviceModel& model, VocabularyMap map, ModelDrafterOptions options);

    [[nodiscard]] std::string_view name() const override { return "draft"; }
    [[nodiscard]] DraftOffer offer(DraftSequence& sequence, std::uint32_t n_most) override;
    [[nodiscard]] double round_seconds(std::uint32_t n_sequences, std::uint32_t n_past) const override;
    void draft(std::span<DraftRequest> requests) override;

    [[nodiscard]] const kv::BlockCache& cache() const { return cache_; }
    void forget_unused() { cache_.forget_unused(); }

  private:
    struct State;
    [[nodiscard]] static State& state_of(const DraftSequence& sequence);
    void catch_up(DraftRequest& request);
    // One step of the model over the pending tokens of all sequences that want another draft token. False when none does.
    bool run_round(std::span<DraftRequest> requests);
    [[nodiscard]] std::optional<TokenId> choose(const DraftRequest& request, std::span<const float> logits);

    backend::DeviceModel& model_;
    VocabularyMap map_;
    ModelDrafterOptions options_;
    kv::BlockCache cache_;
    std::vector<kv::BlockCopy> copies_;
    backend::Batch batch_;
    std::vector<float> logits_;
    SamplerScratch scratch_;
};

}  // namespace rafter::engine
