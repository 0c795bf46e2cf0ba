// A block's hash covers all before it, so one look-up a block finds a prefix.
#include "engine/measure/recent_prompts.h"

#include <algorithm>

namespace rafter::engine {

ExpectedPrefix RecentPrompts::expect(const kv::PrefixKey& wanted) const {
    ExpectedPrefix expected;
    const Block* last = nullptr;
    const std::size_t n = std::min(wanted.hashes.size(), wanted.tokens.size() / block_size_);
    for (std::size_t i = 0; i < n; ++i) {
        const auto block = blocks_.find(wanted.hashes[i]);
        if (block == blocks_.end()) break;
        last = &block->second;
        expected = {.n_tokens = static_cast<std::uint32_t>((i + 1) * block_size_), .provider = last->provider};
    }
    if (last == nullptr) return expected;
    const auto rest = wanted.tokens.subspan(expected.n_tokens);
    expected.n_tokens += static_cast<std::uint32_t>(std::ranges::mismatch(rest, last->next).in1 - rest.begin());
    return expected;
}

// From the last block to the first, so that a prompt's first blocks are used later than those that need them.
void RecentPrompts::add(const TokenStream* id, const ExpectedPrefix& expected, const kv::PrefixKey& prompt) {
    ++last_number_;
    const std::size_t n_full = std::min(prompt.hashes.size(), prompt.tokens.size() / block_size_);
    for (std::size_t i = std::min<std::size_t>(n_full, n_blocks_); i-- > 0;) {
        Block& block = add_block(prompt.hashes[i]);
        if (i + 1 == n_full || !block.next.empty()) continue;
        const auto next = prompt.tokens.subspan((i + 1) * block_size_, block_size_);
        block.next.assign(next.begin(), next.end());
    }
    under_way_[id] = {.number = last_number_, .expected = expected};
}

void RecentPrompts::add_computed(std::uint64_t previous, std::span<const kv::Token> tokens) {
    ++last_number_;  // of nobody who is under way
    for (; n_blocks_ > 0 && tokens.size() >= block_size_; tokens = tokens.subspan(block_size_)) {
        const auto block = tokens.first(block_size_);
        const auto before = blocks_.find(previous);
        if (before != blocks_.end() && before->second.next.empty()) before->second.next.assign(block.begin(), block.end());
        previous = kv::block_hash(previous, block);
        add_block(previous);
    }
}

RecentPrompts::Block& RecentPrompts::add_block(std::uint64_t hash) {
    const auto [block, is_new] = blocks_.try_emplace(hash, Block{.provider = last_number_, .place = by_use_.end(), .next = {}});
    if (!is_new) {
        by_use_.splice(by_use_.begin(), by_use_, block->second.place);
        return block->second;
    }
    try {
        by_use_.push_front(hash);
    } catch (...) {
        blocks_.erase(block);
        throw;
    }
    block->second.place = by_use_.begin();
    if (blocks_.size() > n_blocks_) {
        blocks_.erase(by_use_.back());
        by_use_.pop_back();
    }
    return block->second;
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
