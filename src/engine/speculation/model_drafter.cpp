// The draft model's keys and values stay in its own cache; rejected draft tokens are truncated when the sequence is next drafted for.
#include "engine/speculation/model_drafter.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "engine/sampling/noise.h"

namespace rafter::engine {

struct ModelDrafter::State : DraftState {
    State(kv::BlockCache& of, std::string_view its_salt) : cache(of), salt(its_salt) {}
    void end() override {
        const std::uint32_t n = std::min(n_computed, n_confirmed);
        cache.release(blocks, key(n), n);
    }

    // Only the sequence's tokens stay what they are.
    [[nodiscard]] kv::PrefixKey key(std::size_t n) { return hashes.key(std::span(tokens).first(n), salt, cache.options().block_size); }

    kv::BlockCache& cache;
    std::string salt;
    kv::BlockHashes hashes;
    kv::SequenceBlocks blocks;
    std::vector<TokenId> tokens;      // the draft model's: the sequence's, then draft tokens
    std::uint32_t n_confirmed = 0;    // of them, that are the sequence's
    std::uint32_t n_computed = 0;     // of them, whose keys and values are in the draft model's cache
    bool has_unmapped_token = false;  // the sequence has a token that the draft model does not know
};

ModelDrafter::ModelDrafter(backend::DeviceModel& model, VocabularyMap map, ModelDrafterOptions options)
    : model_(model),
      map_(std::move(map)),
      options_(std::move(options)),
      cache_({.block_size = options_.block_size, .n_blocks = options_.n_blocks, .windows = options_.windows, .recompute_seconds = {}}),
      scratch_(model.sampling_kernels()) {}

ModelDrafter::State& ModelDrafter::state_of(const DraftSequence& sequence) { return static_cast<State&>(**sequence.state); }

DraftOffer ModelDrafter::offer(DraftSequence& sequence, std::uint32_t n_most) {
    const auto n_tokens = static_cast<std::uint32_t>(sequence.tokens.size());
    if (n_tokens >= options_.context) return {};
    const std::uint32_t n = std::min(n_most, options_.context - n_tokens);
    std::uint32_t n_held = 0;
    if (*sequence.state) {
        const State& state = state_of(sequence);
        if (state.has_unmapped_token) return {};
        n_held = state.blocks.n_blocks();
    }
    const std::uint32_t n_needed = cache_.blocks_for(n_tokens + n);
    if (n_needed - std::min(n_needed, n_held) > cache_.n_available()) return {};
    return {.n_tokens = n, .trust = 0};
}

double ModelDrafter::round_seconds(std::uint32_t n_sequences, std::uint32_t n_past) const {
    StepCost::Sum sum;
    options_.cost.add(sum, {.n_new = 1, .n_past = n_past, .n_outputs = 1});
    sum.n_tokens = sum.n_outputs = n_sequences;
    sum.attention_seconds *= n_sequences;
    return options_.cost.seconds(sum);
}

void ModelDrafter::draft(std::span<DraftRequest> requests) {
    for (DraftRequest& request : requests) catch_up(request);
    while (run_round(requests)) {}
    for (DraftRequest& request : requests) request.sequence.sampler->rollback(request.drafts.size());
}

void ModelDrafter::catch_up(DraftRequest& request) {
    DraftSequence& sequence = request.sequence;
    const bool is_new = *sequence.state == nullptr;
    if (is_new) *sequence.state = std::make_unique<State>(cache_, sequence.cache_salt);
    State& state = state_of(sequence);
    for (; state.n_confirmed < sequence.tokens.size(); ++state.n_confirmed) {
        const TokenId token = map_.to_draft(sequence.tokens[state.n_confirmed]);
        state.has_unmapped_token = state.has_unmapped_token || token == VocabularyMap::kNone;
        if (state.n_confirmed < state.tokens.size() && state.tokens[state.n_confirmed] == token) continue;
        state.tokens.resize(state.n_confirmed);
        state.tokens.push_back(token);
        state.n_computed = std::min(state.n_computed, state.n_confirmed);
    }
    state.tokens.resize(state.n_confirmed);
    state.n_computed = std::min(state.n_computed, state.n_confirmed - 1);  // the last one's logits are wanted
    if (is_new) {
        const std::size_t n_wanted = state.has_unmapped_token ? 0 : state.tokens.size() - 1;
        state.n_computed = cache_.attach(state.blocks, state.key(state.n_confirmed).first(n_wanted), copies_).n_tokens;
    } else {
        cache_.publish(state.blocks, state.key(state.n_confirmed), state.n_computed);
        cache_.truncate(state.blocks, state.n_computed);
    }
    if (state.has_unmapped_token || !cache_.grow(state.blocks, state.n_confirmed + request.n_wanted)) request.n_wanted = 0;
}

bool ModelDrafter::run_round(std::span<DraftRequest> requests) {
    batch_.copies = std::exchange(copies_, {});
    batch_.sequences.clear();
    batch_.tokens.clear();
    batch_.positions.clear();
    batch_.output_rows.clear();
    std::vector<DraftRequest*> choosing;
    for (DraftRequest& request : requests) {
        if (request.drafts.size() >= request.n_wanted) continue;
        State& state = state_of(request.sequence);
        const auto n_pending = static_cast<std::uint32_t>(state.tokens.size()) - state.n_computed;
        const auto n_left = options_.limits.n_tokens - static_cast<std::uint32_t>(batch_.tokens.size());
        const std::uint32_t n_new = std::min(n_pending, n_left);
        if (n_new == 0 || choosing.size() == options_.limits.n_outputs) continue;
        const bool chooses = n_new == n_pending;
        const auto first_row = static_cast<std::uint32_t>(batch_.tokens.size());
        const auto tables = state.blocks.tables();
        batch_.sequences.push_back({.step = {.n_new = n_new, .n_past = state.n_computed, .n_outputs = chooses ? 1U : 0U},
                                    .first_row = first_row,
                                    .block_tables = {tables.begin(), tables.end()}});
        for (std::uint32_t i = 0; i < n_new; ++i) {
            batch_.tokens.push_back(state.tokens[state.n_computed + i]);
            batch_.positions.push_back(state.n_computed + i);
        }
        state.n_computed += n_new;
        if (!chooses) continue;
        batch_.output_rows.push_back(first_row + n_new - 1);
        choosing.push_back(&request);
    }
    if (batch_.tokens.empty()) return false;
    const auto start = std::chrono::steady_clock::now();
    const backend::StepOutput out = model_.forward(batch_);
    for (std::size_t i = 0; i < choosing.size(); ++i) {
        DraftRequest& request = *choosing[i];
        const auto token = choose(request, out.logits_of(i));
        if (!token) {
            request.n_wanted = static_cast<std::uint32_t>(request.drafts.size());
            continue;
        }
        request.drafts.push_back(*token);
        request.sequence.sampler->accept(*token);
        state_of(request.sequence).tokens.push_back(map_.to_draft(*token));
        if (map_.to_draft(*token) == VocabularyMap::kNone) request.n_wanted = static_cast<std::uint32_t>(request.drafts.size());
    }
    options_.cost.learn(batch_.shape(), std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return true;
}

std::optional<TokenId> ModelDrafter::choose(const DraftRequest& request, std::span<const float> logits) {
    const DraftSequence& sequence = request.sequence;
    const auto position = static_cast<std::uint32_t>(sequence.tokens.size() + request.drafts.size());
    if (options_.forced_acceptance && position - sequence.n_prompt < sequence.forced.size()) {
        const TokenId right = sequence.forced[position - sequence.n_prompt];
        return uniform(~std::uint64_t{0}, position) < *options_.forced_acceptance ? right : right > 0 ? right - 1 : right + 1;
    }
    if (map_.is_identity()) return sequence.sampler->sample(logits, position, scratch_);
    map_.to_target_logits(logits, logits_);
    return sequence.sampler->sample(logits_, position, scratch_);
}

}  // namespace rafter::engine
