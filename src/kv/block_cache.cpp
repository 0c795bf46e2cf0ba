// A node's block in a group has one user for the tree itself and one for each sequence that holds it; "unused" means that only the tree is
// left. In the group that sees everything a sequence holds its whole chain, so unused nodes hang below used ones and leave leaf by leaf,
// and a node lives as long as its block there. In a window's group any unused block may go by itself.
#include "kv/block_cache.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace rafter::kv {
namespace {

// Room for n in all, and more where that grows the list, so that growing step by step copies little.
template <typename T>
void reserve(std::vector<T>& list, std::size_t n) {
    if (n > list.capacity()) list.reserve(std::max(n, 2 * list.capacity()));
}

std::uint64_t n_most_blocks(const BlockCacheOptions& options) {
    std::uint64_t most = 1;
    for (const std::uint32_t n : options.n_blocks) most = std::max<std::uint64_t>(most, n);
    return most;
}

}  // namespace

BlockCache::BlockCache(BlockCacheOptions options)
    : options_(std::move(options)),
      n_groups_(options_.n_blocks.size()),
      tree_({.block_size = options_.block_size, .n_expected = n_most_blocks(options_), .hash_mask = options_.hash_mask}) {
    RAFTER_CHECK(options_.block_size > 0 && options_.windows.size() == n_groups_, "{} windows for {} groups", options_.windows.size(),
                 n_groups_);
    for (std::size_t group = 0; group < n_groups_; ++group) {
        pools_.emplace_back(options_.n_blocks[group]);
        if (options_.windows[group] > 0) continue;
        RAFTER_CHECK(!full_group_, "two groups without a window");
        full_group_ = group;
    }
    RAFTER_CHECK(!options_.before_eviction || (n_groups_ == 1 && full_group_), "evictions are announced of one group without a window");
    unused_.resize(n_groups_);
    n_unused_.assign(n_groups_, 0);
    clocks_.assign(n_groups_, 0.0);
    evicted_.assign(4 * std::bit_ceil(n_most_blocks(options_)), 0);
}

Prefix BlockCache::attach(SequenceBlocks& sequence, const PrefixKey& key, std::vector<BlockCopy>& copies) {
    RAFTER_CHECK(sequence.n_blocks() == 0 && sequence.nodes_.empty(), "attach to a sequence with {} blocks", sequence.n_blocks());
    const Chain chain = find_chain(key);
    const std::uint32_t n_blocks = chain.n_usable;
    Prefix prefix{.n_tokens = n_blocks * options_.block_size};
    TokenTree::Tail tail;
    if (n_blocks == chain.nodes.size() && prefix.n_tokens < key.tokens.size()) {
        tail = find_tail(n_blocks == 0 ? kNoNode : chain.nodes.back(), n_blocks, key);
    }
    // All memory comes first: a failure leaves cache and sequence as they were.
    SequenceBlocks attached;
    attached.nodes_.assign(chain.nodes.begin(), chain.nodes.begin() + n_blocks);
    attached.tables_.assign(n_groups_, std::vector<BlockId>(n_blocks, 0));
    attached.first_held_.assign(n_groups_, 0);
    reserve(copies, copies.size() + n_groups_);
    sequence = std::move(attached);
    for (const NodeId node : sequence.nodes_) ++n_users_[node];
    for (std::size_t group = 0; group < n_groups_; ++group) {
        const std::uint32_t first = std::min(n_blocks, first_seen(group, prefix.n_tokens) / options_.block_size);
        sequence.first_held_[group] = first;
        for (std::uint32_t i = first; i < n_blocks; ++i) {
            use_block(group, chain.nodes[i]);
            sequence.tables_[group][i] = block(chain.nodes[i], group);
        }
    }
    if (tail.node != kNoNode && copy_tail(sequence, tail, prefix.n_tokens, copies)) prefix.n_tokens += tail.n_tokens;
    ++counters_.lookups;
    counters_.tokens_asked += key.tokens.size();
    const std::uint64_t missed = key.tokens.size() - prefix.n_tokens;
    counters_.tokens_found += prefix.n_tokens;
    if (missed == 0) {
        prefix.end = PrefixEnd::kComplete;
    } else if (n_blocks < chain.nodes.size()) {
        prefix.end = PrefixEnd::kWindow;
        counters_.missed_window += missed;
    } else {
        prefix.end = chain.evicted ? PrefixEnd::kEvicted : PrefixEnd::kNew;
        (chain.evicted ? counters_.missed_evicted : counters_.missed_new) += missed;
    }
    return prefix;
}

// False where there is no room for the copy.
bool BlockCache::copy_tail(SequenceBlocks& sequence, const TokenTree::Tail& tail, std::uint32_t n_before, std::vector<BlockCopy>& copies) {
    // In use meanwhile, so that its own copy cannot push it out.
    for (std::size_t group = 0; group < n_groups_; ++group) use_block(group, tail.node);
    const auto leave = [&] {
        for (std::size_t group = 0; group < n_groups_; ++group) leave_block(group, block(tail.node, group), tail.node, value_of(tail.node));
    };
    bool has_room = false;
    try {
        has_room = grow(sequence, n_before + tail.n_tokens);
    } catch (...) {
        leave();
        throw;
    }
    for (std::size_t group = 0; has_room && group < n_groups_; ++group) {
        copies.push_back({static_cast<std::uint32_t>(group), block(tail.node, group), sequence.tables_[group].back()});
    }
    counters_.blocks_copied += has_room;
    leave();
    return has_room;
}

std::uint32_t BlockCache::find(const PrefixKey& key) const {
    const Chain chain = find_chain(key);
    const std::uint32_t n_tokens = chain.n_usable * options_.block_size;
    if (chain.n_usable < chain.nodes.size() || n_tokens == key.tokens.size()) return n_tokens;
    const NodeId parent = chain.nodes.empty() ? kNoNode : chain.nodes.back();
    return n_tokens + find_tail(parent, chain.n_usable, key).n_tokens;
}

std::uint32_t BlockCache::n_in_use(const PrefixKey& key) const {
    const Chain chain = find_chain(key);
    std::uint32_t n = 0;
    while (n < chain.n_usable && n_users_[chain.nodes[n]] > 0) ++n;
    return n;
}

std::uint32_t BlockCache::n_held_alone(const SequenceBlocks& sequence) const {
    const std::size_t group = full_group_.value_or(0);
    std::uint32_t n = 0;
    for (std::uint32_t i = sequence.first_held_[group]; i < sequence.n_blocks(); ++i) {
        const bool in_tree = i < sequence.nodes_.size();
        n += pools_[group].n_users(sequence.tables_[group][i]) == (in_tree ? 2U : 1U);
    }
    return n;
}

bool BlockCache::grow(SequenceBlocks& sequence, std::uint32_t n_positions) {
    const std::uint32_t n = blocks_for(n_positions);
    if (n <= sequence.n_blocks()) return true;
    for (std::size_t group = 0; group < n_groups_; ++group) {
        if (n - sequence.n_blocks() > n_available(group)) return false;
    }
    // Evictions call out and lists grow: both may fail, so both come before the sequence gets anything.
    const std::uint32_t n_more = n - sequence.n_blocks();
    for (std::size_t group = 0; group < n_groups_; ++group) {
        while (pools_[group].n_free() < n_more) evict_one(group);
        reserve(sequence.tables_[group], n);
    }
    for (std::size_t group = 0; group < n_groups_; ++group) {
        for (std::uint32_t i = 0; i < n_more; ++i) sequence.tables_[group].push_back(pools_[group].allocate().value());
    }
    return true;
}

std::uint32_t BlockCache::n_available() const {
    std::uint32_t least = ~0U;
    for (std::size_t group = 0; group < n_groups_; ++group) least = std::min(least, n_available(group));
    return least;
}

void BlockCache::publish(SequenceBlocks& sequence, const PrefixKey& key, std::uint32_t n_computed) {
    RAFTER_CHECK(key.tokens.size() >= n_computed && n_computed <= sequence.n_blocks() * options_.block_size,
                 "publish of {} positions in {} blocks", n_computed, sequence.n_blocks());
    if (options_.share) {
        while (sequence.n_published() < n_computed / options_.block_size) publish_block(sequence, key, sequence.n_published());
    }
    for (std::size_t group = 0; group < n_groups_; ++group) {
        const std::uint32_t first = std::min(first_seen(group, n_computed) / options_.block_size, sequence.n_blocks());
        for (std::uint32_t& i = sequence.first_held_[group]; i < first; ++i) give_back(sequence, group, i, false);
    }
}

void BlockCache::publish_block(SequenceBlocks& sequence, const PrefixKey& key, std::uint32_t i) {
    const PrefixKey here = block_of(key, i);
    const NodeId parent = i == 0 ? kNoNode : sequence.nodes_.back();
    reserve(sequence.nodes_, i + std::size_t{1});
    NodeId node = tree_.find(parent, here.hashes[0], here.tokens, here.salt);
    if (node == kNoNode) {
        node = add_node(parent, here.hashes[0], here.tokens, here.salt);
    } else {
        ++counters_.blocks_merged;
    }
    for (std::size_t group = 0; group < n_groups_; ++group) {
        BlockId& own = sequence.tables_[group][i];
        if (block(node, group) == kNoBlock) {
            pools_[group].retain(own);
            block(node, group) = own;
        } else {
            use_block(group, node);
            pools_[group].release(own);
            own = block(node, group);
        }
    }
    ++n_users_[node];
    sequence.nodes_.push_back(node);
}

void BlockCache::restore(PrefixEnd prefix_end, std::uint32_t n) {
    counters_.tokens_restored += n;
    if (prefix_end == PrefixEnd::kNew) counters_.missed_new -= n;
    if (prefix_end == PrefixEnd::kEvicted) counters_.missed_evicted -= n;
    if (prefix_end == PrefixEnd::kWindow) counters_.missed_window -= n;
}

void BlockCache::truncate(SequenceBlocks& sequence, std::uint32_t n_positions) {
    const std::uint32_t n = blocks_for(n_positions);
    RAFTER_CHECK(n >= sequence.n_published(), "rollback to {} blocks: {} are published", n, sequence.n_published());
    for (std::size_t group = 0; group < n_groups_; ++group) {
        auto& table = sequence.tables_[group];
        while (table.size() > n) {
            RAFTER_CHECK(table.size() > sequence.first_held_[group], "rollback to before the window");
            pools_[group].release(table.back());
            table.pop_back();
        }
    }
}

void BlockCache::release(SequenceBlocks& sequence, const PrefixKey& key, std::uint32_t n_computed) {
    publish(sequence, key, n_computed);
    if (options_.share && n_computed % options_.block_size > 0)
        keep_rest(sequence, key.first(n_computed), n_computed / options_.block_size);
    for (std::size_t group = 0; group < n_groups_; ++group) {
        for (std::uint32_t i = sequence.first_held_[group]; i < sequence.n_blocks(); ++i) {
            if (sequence.tables_[group][i] != kNoBlock) give_back(sequence, group, i, true);
        }
    }
    for (const NodeId node : sequence.nodes_) --n_users_[node];
    if (!full_group_) {
        for (std::size_t i = sequence.nodes_.size(); i-- > 0;) remove_if_empty(sequence.nodes_[i]);
    }
    sequence = {};
}

// What comes after the n_before full blocks, a part of a block. It has no user: it is copied, not shared.
void BlockCache::keep_rest(SequenceBlocks& sequence, const PrefixKey& key, std::uint32_t n_before) {
    const std::span<const Token> rest = key.tokens.subspan(std::size_t{n_before} * options_.block_size);
    const NodeId parent = n_before == 0 ? kNoNode : sequence.nodes_.back();
    if (find_tail(parent, n_before, key).n_tokens == rest.size()) return;
    const NodeId node = add_node(parent, 0, rest, key.salt);
    for (std::size_t group = 0; group < n_groups_; ++group) {
        block(node, group) = sequence.tables_[group][n_before];
        pools_[group].retain(block(node, group));
        leave_block(group, block(node, group), node, value_of(node));
        sequence.tables_[group][n_before] = kNoBlock;
    }
}

void BlockCache::forget_unused() {
    for (std::size_t group = 0; group < n_groups_; ++group) {
        while (n_unused_[group] > 0) evict_one(group);
    }
}

// The i-th full block alone.
PrefixKey BlockCache::block_of(const PrefixKey& key, std::uint32_t i) const {
    return {.tokens = key.tokens.subspan(std::size_t{i} * options_.block_size, options_.block_size),
            .hashes = key.hashes.subspan(i, 1),
            .salt = key.salt};
}

BlockCache::Chain BlockCache::find_chain(const PrefixKey& key) const {
    Chain chain;
    if (!options_.share) return chain;
    NodeId parent = kNoNode;
    const std::size_t n_blocks = key.tokens.size() / options_.block_size;
    RAFTER_CHECK(key.hashes.size() >= n_blocks, "{} hashes for {} blocks", key.hashes.size(), n_blocks);
    for (std::uint32_t i = 0; i < n_blocks; ++i) {
        const PrefixKey here = block_of(key, i);
        const NodeId node = tree_.find(parent, here.hashes[0], here.tokens, here.salt);
        if (node == kNoNode) {
            chain.evicted = evicted_at(here.hashes[0]) == here.hashes[0];
            break;
        }
        chain.nodes.push_back(node);
        parent = node;
    }
    // With n blocks a window's group needs those that the next token sees.
    std::vector<std::uint32_t> present(n_groups_, 0);  // blocks in a row up to here
    for (std::uint32_t i = 0; i < chain.nodes.size(); ++i) {
        bool usable = true;
        for (std::size_t group = 0; group < n_groups_; ++group) {
            present[group] = block(chain.nodes[i], group) == kNoBlock ? 0 : present[group] + 1;
            const std::uint32_t first = first_seen(group, (i + 1) * options_.block_size) / options_.block_size;
            usable = usable && present[group] + std::min(first, i + 1) >= i + 1;
        }
        if (usable) chain.n_usable = i + 1;
    }
    return chain;
}

TokenTree::Tail BlockCache::find_tail(NodeId parent, std::uint32_t n_before, const PrefixKey& key) const {
    if (!options_.share) return {};
    const std::span<const Token> rest = key.tokens.subspan(std::size_t{n_before} * options_.block_size);
    const auto is_whole = [&](NodeId node) {
        for (std::size_t group = 0; group < n_groups_; ++group) {
            if (block(node, group) == kNoBlock) return false;
        }
        return true;
    };
    return tree_.find_tail(parent, rest, key.salt, is_whole);
}

std::uint32_t BlockCache::first_seen(std::size_t group, std::uint32_t n_computed) const {
    const std::uint32_t window = options_.windows[group];
    return window == 0 || n_computed < window ? 0 : n_computed + 1 - window;
}

// What may fail comes before the node is there.
NodeId BlockCache::add_node(NodeId parent, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt) {
    const NodeId next = tree_.next();
    if (next >= n_users_.size()) {
        for (EvictionQueue& unused : unused_) unused.reserve(next + 1);
        held_.resize((next + std::size_t{1}) * n_groups_);
        n_users_.resize(next + std::size_t{1}, 0);
    }
    const std::uint32_t depth = parent == kNoNode ? 0 : tree_.depth(parent) + 1;
    (void)value_at(depth);
    const NodeId node = tree_.add(parent, hash, tokens, salt);
    if (parent != kNoNode && full_group_) unused_[*full_group_].remove(parent);
    n_users_[node] = 0;
    for (std::size_t group = 0; group < n_groups_; ++group) held_[node * n_groups_ + group] = {};
    return node;
}

void BlockCache::remove_node(NodeId node) {
    RAFTER_CHECK(n_users_[node] == 0, "node {} is still in use", node);
    if (tree_.is_full(node)) evicted_at(tree_.hash(node)) = tree_.hash(node);
    const NodeId parent = tree_.parent(node);
    tree_.remove(node);
    if (parent != kNoNode && full_group_) list_unused(*full_group_, parent, node);
    for (std::size_t group = 0; group < n_groups_; ++group) {
        if (block(node, group) != kNoBlock) drop_block(group, node);
    }
    if (parent != kNoNode && !full_group_) remove_if_empty(parent);
}

void BlockCache::remove_if_empty(NodeId id) {
    if (!tree_.contains(id) || n_users_[id] > 0 || !tree_.is_leaf(id)) return;
    for (std::size_t group = 0; group < n_groups_; ++group) {
        if (block(id, group) != kNoBlock) return;
    }
    remove_node(id);
}

void BlockCache::use_block(std::size_t group, NodeId node) {
    BlockPool& pool = pools_[group];
    if (pool.n_users(block(node, group)) == 1) {
        unused_[group].remove(node);
        --n_unused_[group];
    }
    pool.retain(block(node, group));
}

void BlockCache::leave_block(std::size_t group, BlockId id, NodeId node, double value) {
    pools_[group].release(id);
    if (pools_[group].n_users(id) != 1) return;
    ++n_unused_[group];
    held_[node * n_groups_ + group].priority = clocks_[group] + value;
    list_unused(group, node);
}

void BlockCache::list_unused(std::size_t group, NodeId node, NodeId instead_of) {
    const Held& held = held_[node * n_groups_ + group];
    if (held.block == kNoBlock || pools_[group].n_users(held.block) != 1) return;
    if (group == full_group_ && !tree_.is_leaf(node)) return;
    unused_[group].add({.priority = held.priority, .node = node}, instead_of);
}

void BlockCache::evict_one(std::size_t group) {
    RAFTER_CHECK(!unused_[group].empty(), "group {} has {} unused blocks and none may go", group, n_unused_[group]);
    const auto [priority, node] = unused_[group].front();
    clocks_[group] = priority;
    ++counters_.blocks_evicted;
    if (group == full_group_) {
        counters_.evicted_seconds += value_of(node);
        if (options_.before_eviction && tree_.is_full(node)) announce_eviction(node);
        remove_node(node);
        return;
    }
    drop_block(group, node);
    if (!full_group_) remove_if_empty(node);
}

void BlockCache::announce_eviction(NodeId node) {
    chain_.clear();
    chain_tokens_.clear();
    chain_blocks_.clear();
    for (NodeId at = node; at != kNoNode; at = tree_.parent(at)) chain_.push_back(at);
    std::ranges::reverse(chain_);
    for (const NodeId at : chain_) {
        const std::span<const Token> tokens = tree_.tokens(at);
        chain_tokens_.insert(chain_tokens_.end(), tokens.begin(), tokens.end());
        chain_blocks_.push_back(block(at, *full_group_));
    }
    options_.before_eviction({.salt = tree_.salt(chain_.front()), .tokens = chain_tokens_, .blocks = chain_blocks_});
}

void BlockCache::drop_block(std::size_t group, NodeId node) {
    unused_[group].remove(node);
    RAFTER_CHECK(pools_[group].n_users(block(node, group)) == 1, "block {} is in use", block(node, group));
    --n_unused_[group];
    pools_[group].release(block(node, group));
    block(node, group) = kNoBlock;
}

void BlockCache::give_back(SequenceBlocks& sequence, std::size_t group, std::uint32_t index, bool seen_again) {
    BlockId& id = sequence.tables_[group][index];
    const NodeId node = index < sequence.nodes_.size() ? sequence.nodes_[index] : kNoNode;
    if (node != kNoNode && block(node, group) == id) {
        leave_block(group, id, node, seen_again ? value_of(node) : 0.0);
    } else {
        pools_[group].release(id);
    }
    id = 0;
}

double BlockCache::value_at(std::uint32_t depth) {
    if (!options_.recompute_seconds) return 1.0;
    for (auto i = static_cast<std::uint32_t>(values_.size()); i <= depth; ++i) {
        values_.push_back(options_.recompute_seconds(i * options_.block_size));
    }
    return values_[depth];
}

void BlockCache::check(std::span<const SequenceBlocks* const> sequences) const {
    tree_.check();
    std::vector<std::uint32_t> n_users(tree_.end(), 0);
    for (std::size_t group = 0; group < n_groups_; ++group) {
        std::vector<std::uint32_t> expected(pools_[group].n_blocks(), 0);
        std::vector<NodeId> owner(pools_[group].n_blocks(), kNoNode);
        std::uint32_t n_unused = 0, n_listed = 0;
        for (NodeId node = 0; node < tree_.end(); ++node) {
            if (!tree_.contains(node) || block(node, group) == kNoBlock) {
                RAFTER_CHECK(group != full_group_ || !tree_.contains(node), "node {} has lost its block", node);
                continue;
            }
            RAFTER_CHECK(owner[block(node, group)] == kNoNode, "block {} is in two nodes", block(node, group));
            owner[block(node, group)] = node;
            ++expected[block(node, group)];
        }
        for (const SequenceBlocks* sequence : sequences) {
            for (std::uint32_t i = sequence->first_held_[group]; i < sequence->n_blocks(); ++i) {
                const BlockId id = sequence->tables_[group][i];
                ++expected[id];
                RAFTER_CHECK(i >= sequence->nodes_.size() || owner[id] == sequence->nodes_[i], "block {} is not its node's", id);
                RAFTER_CHECK(i < sequence->nodes_.size() || owner[id] == kNoNode, "block {} was published too early", id);
            }
        }
        std::uint32_t n_free = 0;
        for (BlockId id = 0; id < expected.size(); ++id) {
            RAFTER_CHECK(pools_[group].n_users(id) == expected[id], "block {} has {} users, expected {}", id, pools_[group].n_users(id),
                         expected[id]);
            n_free += expected[id] == 0;
            if (expected[id] != 1 || owner[id] == kNoNode) continue;
            ++n_unused;
            if (group == full_group_ && !tree_.is_leaf(owner[id])) continue;
            ++n_listed;
            RAFTER_CHECK(unused_[group].priority(owner[id]) == held_[owner[id] * n_groups_ + group].priority,
                         "unused block {} is not listed", id);
        }
        RAFTER_CHECK(n_unused == n_unused_[group] && n_listed == unused_[group].size(), "{} unused blocks counted as {}", n_unused,
                     n_unused_[group]);
        RAFTER_CHECK(n_free == pools_[group].n_free(), "{} free blocks counted as {}", n_free, pools_[group].n_free());
    }
    for (const SequenceBlocks* sequence : sequences) {
        for (const NodeId node : sequence->nodes_) ++n_users[node];
    }
    for (NodeId node = 0; node < tree_.end(); ++node) {
        RAFTER_CHECK(!tree_.contains(node) || n_users[node] == n_users_[node], "node {} has {} users, expected {}", node, n_users_[node],
                     n_users[node]);
    }
}

}  // namespace rafter::kv
