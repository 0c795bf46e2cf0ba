// A waiting sequence remembers whom it waits for and the hash of a block that has to be in the cache before it may go on: as long as no
// block has this hash, nothing else needs to be looked at.
#include "engine/admission.h"

#include <algorithm>

namespace rafter::engine {
namespace {

constexpr double kAnswerReserve = 1.25;  // of the average length of answers is what an answer is expected to need

// How many tokens both begin with. Each hash covers all blocks up to its own, so that equal ones come before unequal ones.
std::uint32_t count_alike(const kv::PrefixKey& a, const kv::PrefixKey& b, std::uint32_t block_size) {
    std::size_t n_equal = 0;
    std::size_t n_most = std::min(a.tokens.size(), b.tokens.size()) / block_size;
    while (n_equal < n_most) {
        const std::size_t middle = n_equal + (n_most - n_equal + 1) / 2;
        if (a.hashes[middle - 1] == b.hashes[middle - 1]) {
            n_equal = middle;
        } else {
            n_most = middle - 1;
        }
    }
    const auto rest = a.tokens.subspan(n_equal * block_size);
    const auto n_rest = std::ranges::mismatch(rest, b.tokens.subspan(n_equal * block_size)).in1 - rest.begin();
    return static_cast<std::uint32_t>(n_equal * block_size + static_cast<std::size_t>(n_rest));
}

}  // namespace

std::uint32_t expected_positions(std::uint32_t n_tokens, std::uint32_t n_generated, std::uint32_t max_tokens, double answer_tokens,
                                 std::uint32_t context) {
    double more = max_tokens - std::min(max_tokens, n_generated);
    if (answer_tokens > 0.0) more = std::min(more, std::max(1.0, kAnswerReserve * answer_tokens - n_generated));
    const auto n = static_cast<std::uint64_t>(n_tokens) + static_cast<std::uint64_t>(more);
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, context));
}

void Admission::begin(std::span<const std::unique_ptr<Sequence>> running, double answer_tokens) {
    answer_tokens_ = answer_tokens;
    n_running_ = 0;
    still_needed_.assign(cache_.pools().size(), 0);
    computing_.clear();
    seen_ = {};
    for (const auto& sequence : running) add(*sequence);
    std::ranges::sort(computing_, {}, &Computing::admission);
}

void Admission::admit(Sequence& sequence) {
    sequence.admission = ++n_admissions_;
    sequence.waits_for = {};
    seen_ = {};
    add(sequence);
}

void Admission::add(Sequence& running) {
    ++n_running_;
    for (std::size_t group = 0; group < still_needed_.size(); ++group) {
        const std::uint64_t wanted = blocks_needed(group, expected_positions(running));
        const std::uint64_t held = running.blocks->n_blocks() - running.blocks->first_held(group);
        still_needed_[group] += wanted - std::min(wanted, held);
    }
    if (!cache_.options().share || running.n_computed >= running.n_prompt || running.n_prompt < cache_.options().block_size) return;
    computing_.push_back({.admission = running.admission,
                          .n_computed = running.n_computed,
                          .prompt = running.cache_key(cache_.options().block_size).first(running.n_prompt)});
}

const Admission::Computing* Admission::computing(std::uint64_t admission) const {
    const auto at = std::ranges::lower_bound(computing_, admission, {}, &Computing::admission);
    return at != computing_.end() && at->admission == admission ? &*at : nullptr;
}

bool Admission::waits_for_prefix(Sequence& waiting) {
    if (computing_.empty()) return false;
    WaitsFor& known = waiting.waits_for;
    if (known.admission > 0 && known.block_hash) {
        const Computing* const other = computing(known.admission);
        if (other != nullptr && known.n_alike > other->n_computed && !cache_.may_hold(*known.block_hash)) return true;
    }
    const std::uint32_t block_size = cache_.options().block_size;
    const kv::PrefixKey wanted = waiting.wanted_key(block_size);
    if (wanted.tokens.size() < block_size) return false;
    std::optional<std::uint32_t> n_found;
    for (const Computing& other : computing_) {
        if (other.prompt.hashes[0] != wanted.hashes[0] || other.prompt.salt != wanted.salt) continue;
        std::uint32_t n_alike = known.n_alike;
        if (known.admission != other.admission) {
            ++work_.prompts_compared;
            n_alike = count_alike(wanted, other.prompt, block_size);
        }
        if (n_alike < block_size || n_alike <= other.n_computed || !has_more(other, waiting, n_alike, n_found)) continue;
        known = {.admission = other.admission, .n_alike = n_alike, .block_hash = std::nullopt};
        if (n_alike >= 2 * block_size) known.block_hash = wanted.hashes[n_alike / block_size - 2];
        return true;
    }
    return false;
}

// Of the n_alike tokens that both begin with, one block at least is not in the cache. With n whole blocks among them, less than a block is
// missing only if the first n - 1 are found.
bool Admission::has_more(const Computing& other, Sequence& waiting, std::uint32_t n_alike, std::optional<std::uint32_t>& n_found) {
    const std::uint32_t block_size = cache_.options().block_size;
    const std::uint32_t n_blocks = n_alike / block_size;
    const kv::PrefixKey wanted = waiting.wanted_key(block_size);
    if (n_blocks >= 2 && !cache_.may_hold(wanted.hashes[n_blocks - 2])) return true;
    if (seen_.admission == other.admission && seen_.n_blocks == n_blocks) return n_alike >= seen_.n_found + block_size;
    if (!n_found) {
        ++work_.prefixes_found;
        n_found = cache_.find(wanted);
    }
    // Where not all n blocks are found, what is found lies within them and is the same for all who share them; where they are, nobody
    // waits. With a window, it depends on the tokens after them as well.
    const bool same_for_all = std::ranges::all_of(cache_.options().windows, [](std::uint32_t window) { return window == 0; });
    if (same_for_all) seen_ = {.admission = other.admission, .n_blocks = n_blocks, .n_found = *n_found};
    return n_alike >= *n_found + block_size;
}

bool Admission::fits(Sequence& waiting) const {
    const std::size_t n_groups = cache_.pools().size();
    if (n_running_ == 0) {
        for (std::size_t group = 0; group < n_groups; ++group) {
            if (blocks_needed(group, static_cast<std::uint32_t>(waiting.tokens.size())) > cache_.pools()[group].n_blocks()) return false;
        }
        return true;
    }
    ++work_.prefixes_found;
    const std::uint32_t n_found = cache_.n_in_use(waiting.wanted_key(cache_.options().block_size));
    for (std::size_t group = 0; group < n_groups; ++group) {
        // Found blocks that nobody uses are available now and will not be then, so they count as needed; shared ones cost nothing.
        std::uint64_t needed = blocks_needed(group, expected_positions(waiting));
        if (cache_.options().windows[group] == 0) needed -= std::min<std::uint64_t>(needed, n_found);
        if (needed + still_needed_[group] > cache_.n_available(group)) return false;
    }
    return true;
}

std::uint32_t Admission::expected_positions(const Sequence& sequence) const {
    return engine::expected_positions(static_cast<std::uint32_t>(sequence.tokens.size()), sequence.n_generated(),
                                      sequence.request.max_tokens, answer_tokens_, options_.context);
}

// A window's group holds no more than what the window and one step see.
std::uint32_t Admission::blocks_needed(std::size_t group, std::uint32_t n_positions) const {
    const std::uint32_t window = cache_.options().windows[group];
    const std::uint32_t n = cache_.blocks_for(n_positions);
    return window == 0 ? n : std::min(n, cache_.blocks_for(window) + cache_.blocks_for(options_.step_tokens) + 2);
}

}  // namespace rafter::engine
