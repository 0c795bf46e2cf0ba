// Draft tokens are granted when a step is planned and made just before it runs, when it is known who takes part.
#include "engine/speculation/speculator.h"

#include <algorithm>
#include <chrono>

#include "engine/plan.h"

namespace rafter::engine {
namespace {

DraftSequence seen_by_drafter(Sequence& sequence) {
    return {.tokens = sequence.tokens,
            .sampler = &sequence.sampler,
            .forced = sequence.sampler.forced().from_start(),
            .n_prompt = sequence.n_prompt,
            .cache_salt = sequence.request.cache_salt,
            .state = &sequence.draft_state};
}

void count(std::vector<std::uint64_t>& counts, std::size_t i) {
    if (counts.size() <= i) counts.resize(i + 1);
    ++counts[i];
}

}  // namespace

template <typename Operation>
SpeculationCounters& SpeculationCounters::combine(const SpeculationCounters& other, Operation operation) {
    const auto each = [&](std::vector<std::uint64_t>& to, const std::vector<std::uint64_t>& from) {
        to.resize(std::max(to.size(), from.size()));
        for (std::size_t i = 0; i < from.size(); ++i) to[i] = operation(to[i], from[i]);
    };
    n_drafts = operation(n_drafts, other.n_drafts);
    n_draft_tokens = operation(n_draft_tokens, other.n_draft_tokens);
    n_accepted_tokens = operation(n_accepted_tokens, other.n_accepted_tokens);
    each(drafted_per_position, other.drafted_per_position);
    each(accepted_per_position, other.accepted_per_position);
    each(chosen, other.chosen);
    draft_seconds = operation(draft_seconds, other.draft_seconds);
    return *this;
}

SpeculationCounters& SpeculationCounters::operator+=(const SpeculationCounters& other) { return combine(other, std::plus<>()); }
SpeculationCounters& SpeculationCounters::operator-=(const SpeculationCounters& other) { return combine(other, std::minus<>()); }

void Speculator::grant(std::span<PlannedSequence> decoding, const StepCost& cost, const StepCost::Sum& base, const Room& room) {
    if (decoding.empty() || (!options_.fixed && !cost.known())) return;
    rows_.clear();
    for (const PlannedSequence& planned : decoding) {
        Sequence& sequence = *planned.sequence;
        DraftSequence seen = seen_by_drafter(sequence);
        const std::uint32_t most = std::min({options_.fixed.value_or(options_.most_drafts), options_.most_drafts, room.most(sequence)});
        const DraftOffer offer = most > 0 ? options_.drafter->offer(seen, most) : DraftOffer{};
        rows_.push_back({.history = &sequence.acceptance, .offer = offer, .n_past = sequence.n_computed});
    }
    if (options_.fixed) {
        choice_ = {};
        std::uint32_t left = std::min(room.n_tokens, room.n_outputs);
        for (const GovernorRow& row : rows_) {
            choice_.n_drafts.push_back(std::min(row.offer.n_tokens, left));
            left -= choice_.n_drafts.back();
        }
    } else {
        const auto round_seconds = [&](std::uint32_t n_sequences, std::uint32_t n_past) {
            return options_.drafter->round_seconds(n_sequences, n_past);
        };
        choice_ = governor_.choose(rows_, cost, base, round_seconds, room.n_tokens, room.n_outputs);
    }
    if (options_.log) {
        acceptance_.clear();
        for (const GovernorRow& row : rows_) acceptance_.push_back(governor_.acceptance(*row.history, row.offer.trust));
        options_.log({.choice = choice_, .rows = rows_, .acceptance = acceptance_, .n_prompt_tokens = base.n_tokens});
    }
    for (std::size_t i = 0; i < decoding.size(); ++i) {
        decoding[i].grant = {.n = choice_.n_drafts[i], .trust = rows_[i].offer.trust};
        count(counters_.chosen, choice_.n_drafts[i]);
    }
}

void Speculator::draft(std::span<PlannedSequence> plan) {
    requests_.clear();
    for (const PlannedSequence& planned : plan) {
        if (planned.grant.n > 0)
            requests_.push_back({.sequence = seen_by_drafter(*planned.sequence), .n_wanted = planned.grant.n, .drafts = {}});
    }
    if (requests_.empty()) return;
    const auto start = std::chrono::steady_clock::now();
    options_.drafter->draft(requests_);
    counters_.draft_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    auto request = requests_.begin();
    for (PlannedSequence& planned : plan) {
        if (planned.grant.n == 0) continue;
        planned.drafts = std::move((request++)->drafts);
        planned.drafts.resize(planned.sequence->sampler.n_acceptable(planned.drafts));
    }
}

void Speculator::learn(const PlannedSequence& planned, std::uint32_t n_accepted) {
    const auto n_drafted = static_cast<std::uint32_t>(planned.drafts.size());
    if (planned.grant.n == 0) return;
    if (!options_.fixed) governor_.learn(planned.sequence->acceptance, planned.grant.trust, n_drafted, n_accepted);
    if (n_drafted == 0) return;
    planned.sequence->n_draft_tokens += n_drafted;
    planned.sequence->n_accepted_drafts += n_accepted;
    ++counters_.n_drafts;
    counters_.n_draft_tokens += n_drafted;
    counters_.n_accepted_tokens += n_accepted;
    for (std::uint32_t i = 0; i < n_drafted; ++i) count(counters_.drafted_per_position, i);
    for (std::uint32_t i = 0; i < n_accepted; ++i) count(counters_.accepted_per_position, i);
}

}  // namespace rafter::engine
