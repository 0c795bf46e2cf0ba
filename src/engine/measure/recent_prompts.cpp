// A block's hash covers all before it, so one look-up a block finds a prefix.
#include "engine/measure/recent_prompts.h"

#include <algorithm>

namespace rafter::engine {

ExpectedPrefix RecentPrompts::expect(const kv::PrefixKey& wanted) const {
    ExpectedPrefix expected;
    const std::size_t n = std::min(wanted.hashes.size(), wanted.tokens.size() / block_size_);
    for (std::size_t i = 0; i < n; ++i) {
        const auto block = blocks_.find(wanted.hashes[i]);
        if (block == blocks_.end()) break;
        expected = {.n_tokens = static_cast<std::uint32_t>((i + 1) * block_size_), .provider = block->second.provider};
    }
    return expected;
}

// From the last block to the first, so that a prompt's first blocks are used later than those that need them.
void RecentPrompts::add(const TokenStream* id, const ExpectedPrefix& expected, std::span<const std::uint64_t> hashes) {
    ++last_number_;
    for (std::size_t i = std::min<std::size_t>(hashes.size(), n_blocks_); i-- > 0;) add_block(hashes[i]);
    under_way_[id] = {.number = last_number_, .expected = expected};
}

void RecentPrompts::add_block(std::uint64_t hash) {
    const auto [block, is_new] = blocks_.try_emplace(hash, Block{last_number_, by_use_.end()});
    if (!is_new) {
        by_use_.splice(by_use_.begin(), by_use_, block->second.place);
        return;
    }
    try {
        by_use_.push_front(hash);
    } catch (...) {
        blocks_.erase(block);
        throw;
    }
    block->second.place = by_use_.begin();
    if (blocks_.size() <= n_blocks_) return;
    blocks_.erase(by_use_.back());
    by_use_.pop_back();
}

void RecentPrompts::forget(const TokenStream* id, std::span<const std::uint64_t> hashes) {
    const Prompt* const prompt = find(id);
    if (prompt == nullptr) return;
    for (const std::uint64_t hash : hashes) {
        const auto block = blocks_.find(hash);
        if (block == blocks_.end() || block->second.provider != prompt->number) continue;
        by_use_.erase(block->second.place);
        blocks_.erase(block);
    }
    end(id);
}

const RecentPrompts::Prompt* RecentPrompts::find(const TokenStream* id) const {
    const auto at = under_way_.find(id);
    return at == under_way_.end() ? nullptr : &at->second;
}

}  // namespace rafter::engine
