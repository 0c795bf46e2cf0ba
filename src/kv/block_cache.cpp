// A node's block in a group has one user for the tree itself and one for each sequence that holds it; "unused" means that only the tree is
// left. In the group that sees everything a sequence holds its whole chain, so unused nodes hang below used ones and leave leaf by leaf,
// and a node lives as long as its block there. In a window's group any unused block may go by itself.
#include "kv/block_cache.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace rafter::kv {
namespace {

constexpr std::uint32_t kMaxSiblings = 64;  // looked at for a partly equal block, the newest first

std::uint64_t mix(std::uint64_t x) {  // the finaliser of MurmurHash3
    x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCDULL;
    x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53ULL;
    return x ^ (x >> 33);
}

std::uint32_t n_equal(std::span<const Token> a, std::span<const Token> b) {
    return static_cast<std::uint32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

BlockCache::BlockCache(BlockCacheOptions options) : options_(std::move(options)), n_groups_(options_.n_blocks.size()) {
    RAFTER_CHECK(options_.block_size > 0 && options_.windows.size() == n_groups_, "{} windows for {} groups", options_.windows.size(),
                 n_groups_);
    std::uint64_t most = 0;
    for (std::size_t group = 0; group < n_groups_; ++group) {
        pools_.emplace_back(options_.n_blocks[group]);
        most = std::max<std::uint64_t>(most, options_.n_blocks[group]);
        if (options_.windows[group] > 0) continue;
        RAFTER_CHECK(!full_group_, "two groups without a window");
        full_group_ = group;
    }
    RAFTER_CHECK(!options_.before_eviction || (n_groups_ == 1 && full_group_), "evictions are announced of one group without a window");
    unused_.resize(n_groups_);
    n_unused_.assign(n_groups_, 0);
    clocks_.assign(n_groups_, 0.0);
    buckets_.assign(std::bit_ceil(std::max<std::uint64_t>(1, most)), kNoNode);
    evicted_.assign(4 * buckets_.size(), 0);
}

Prefix BlockCache::attach(SequenceBlocks& sequence, std::span<const Token> tokens, std::string_view salt, std::vector<BlockCopy>& copies) {
    RAFTER_CHECK(sequence.n_blocks() == 0 && sequence.nodes_.empty(), "attach to a sequence with {} blocks", sequence.n_blocks());
    sequence.tables_.assign(n_groups_, {});
    sequence.first_held_.assign(n_groups_, 0);
    ++counters_.lookups;
    counters_.tokens_asked += tokens.size();
    const Chain chain = find_chain(tokens, salt);
    const std::uint32_t n_blocks = chain.n_usable;
    Prefix prefix{.n_tokens = n_blocks * options_.block_size};
    Tail tail;
    if (n_blocks == chain.nodes.size() && prefix.n_tokens < tokens.size()) {
        tail = find_tail(n_blocks == 0 ? kNoNode : chain.nodes.back(), n_blocks, tokens.subspan(prefix.n_tokens), salt);
    }
    for (std::uint32_t i = 0; i < n_blocks; ++i) ++nodes_[chain.nodes[i]].n_users;
    sequence.nodes_.assign(chain.nodes.begin(), chain.nodes.begin() + n_blocks);
    for (std::size_t group = 0; group < n_groups_; ++group) {
        const std::uint32_t first = std::min(n_blocks, first_seen(group, prefix.n_tokens) / options_.block_size);
        sequence.first_held_[group] = first;
        sequence.tables_[group].assign(n_blocks, 0);
        for (std::uint32_t i = first; i < n_blocks; ++i) {
            use_block(group, chain.nodes[i]);
            sequence.tables_[group][i] = block(chain.nodes[i], group);
        }
    }
    if (tail.node != kNoNode) {
        for (std::size_t group = 0; group < n_groups_; ++group) use_block(group, tail.node);  // so that its own copy cannot push it out
        if (grow(sequence, prefix.n_tokens + tail.n_tokens)) {
            prefix.n_tokens += tail.n_tokens;
            ++counters_.blocks_copied;
            for (std::size_t group = 0; group < n_groups_; ++group) {
                copies.push_back({static_cast<std::uint32_t>(group), block(tail.node, group), sequence.tables_[group].back()});
            }
        }
        for (std::size_t group = 0; group < n_groups_; ++group) leave_block(group, block(tail.node, group), tail.node, value_of(tail.node));
    }
    const std::uint64_t missed = tokens.size() - prefix.n_tokens;
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

std::uint32_t BlockCache::find(std::span<const Token> tokens, std::string_view salt) const {
    const Chain chain = find_chain(tokens, salt);
    const std::uint32_t n_tokens = chain.n_usable * options_.block_size;
    if (chain.n_usable < chain.nodes.size() || n_tokens == tokens.size()) return n_tokens;
    const NodeId parent = chain.nodes.empty() ? kNoNode : chain.nodes.back();
    return n_tokens + find_tail(parent, chain.n_usable, tokens.subspan(n_tokens), salt).n_tokens;
}

std::uint32_t BlockCache::n_in_use(std::span<const Token> tokens, std::string_view salt) const {
    const Chain chain = find_chain(tokens, salt);
    std::uint32_t n = 0;
    while (n < chain.n_usable && nodes_[chain.nodes[n]].n_users > 0) ++n;
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
    for (std::size_t group = 0; group < n_groups_; ++group) {
        std::vector<BlockId>& table = sequence.tables_[group];
        std::size_t i = table.size();
        table.resize(n);
        for (; i < n; ++i) {
            if (pools_[group].n_free() == 0) evict_one(group);
            const auto taken = pools_[group].allocate();
            RAFTER_CHECK(taken.has_value(), "group {} said that it had a block", group);
            table[i] = *taken;
        }
    }
    return true;
}

std::uint32_t BlockCache::n_available() const {
    std::uint32_t least = ~0U;
    for (std::size_t group = 0; group < n_groups_; ++group) least = std::min(least, n_available(group));
    return least;
}

void BlockCache::publish(SequenceBlocks& sequence, std::span<const Token> tokens, std::uint32_t n_computed, std::string_view salt) {
    RAFTER_CHECK(tokens.size() >= n_computed && n_computed <= sequence.n_blocks() * options_.block_size,
                 "publish of {} positions in {} blocks", n_computed, sequence.n_blocks());
    if (options_.share) {
        while (sequence.n_published() < n_computed / options_.block_size) {
            const std::uint32_t i = sequence.n_published();
            const std::span<const Token> here = tokens.subspan(std::size_t{i} * options_.block_size, options_.block_size);
            const NodeId parent = i == 0 ? kNoNode : sequence.nodes_.back();
            const std::uint64_t hash = hash_of(parent, here, salt);
            NodeId node = find_child(parent, hash, here, salt);
            const bool known = node != kNoNode;
            if (!known) node = add_node(parent, hash, here, salt);
            if (known) ++counters_.blocks_merged;
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
            ++nodes_[node].n_users;
            sequence.nodes_.push_back(node);
        }
    }
    for (std::size_t group = 0; group < n_groups_; ++group) {
        const std::uint32_t first = std::min(first_seen(group, n_computed) / options_.block_size, sequence.n_blocks());
        for (std::uint32_t& i = sequence.first_held_[group]; i < first; ++i) give_back(sequence, group, i, false);
    }
}

void BlockCache::restore(PrefixEnd missed_as, std::uint32_t n) {
    counters_.tokens_restored += n;
    if (missed_as == PrefixEnd::kNew) counters_.missed_new -= n;
    if (missed_as == PrefixEnd::kEvicted) counters_.missed_evicted -= n;
    if (missed_as == PrefixEnd::kWindow) counters_.missed_window -= n;
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

void BlockCache::release(SequenceBlocks& sequence, std::span<const Token> tokens, std::uint32_t n_computed, std::string_view salt) {
    publish(sequence, tokens, n_computed, salt);
    const std::uint32_t n_before = n_computed / options_.block_size;  // blocks
    const std::span<const Token> rest = tokens.subspan(std::size_t{n_before} * options_.block_size, n_computed % options_.block_size);
    const NodeId parent = n_before == 0 || !options_.share ? kNoNode : sequence.nodes_.back();
    if (options_.share && !rest.empty() && find_tail(parent, n_before, rest, salt).n_tokens < rest.size()) {
        // A tail has no user: it is copied, not shared.
        const NodeId node = add_node(parent, hash_of(parent, rest, salt), rest, salt);
        for (std::size_t group = 0; group < n_groups_; ++group) {
            block(node, group) = sequence.tables_[group][n_before];
            pools_[group].retain(block(node, group));
            leave_block(group, block(node, group), node, value_of(node));
            sequence.tables_[group][n_before] = kNoBlock;
        }
    }
    for (std::size_t group = 0; group < n_groups_; ++group) {
        for (std::uint32_t i = sequence.first_held_[group]; i < sequence.n_blocks(); ++i) {
            if (sequence.tables_[group][i] != kNoBlock) give_back(sequence, group, i, true);
        }
    }
    for (const NodeId node : sequence.nodes_) --nodes_[node].n_users;
    if (!full_group_) {
        for (std::size_t i = sequence.nodes_.size(); i-- > 0;) remove_if_empty(sequence.nodes_[i]);
    }
    sequence = {};
}

void BlockCache::forget_unused() {
    for (std::size_t group = 0; group < n_groups_; ++group) {
        while (n_unused_[group] > 0) evict_one(group);
    }
}

std::span<const Token> BlockCache::tokens_of(NodeId node) const {
    return {tokens_.data() + std::size_t{node} * options_.block_size, nodes_[node].n_tokens};
}

std::uint64_t BlockCache::hash_of(NodeId parent, std::span<const Token> tokens, std::string_view salt) const {
    std::uint64_t hash = parent == kNoNode ? std::hash<std::string_view>{}(salt) : nodes_[parent].hash;
    for (const Token token : tokens) hash = mix(hash * 0x9E3779B97F4A7C15ULL + static_cast<std::uint32_t>(token) + 1);
    return hash & options_.hash_mask;
}

NodeId BlockCache::find_child(NodeId parent, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt) const {
    if (parent != kNoNode && nodes_[parent].first_child == kNoNode) return kNoNode;  // most blocks are new, and so are their parents
    for (NodeId id = buckets_[hash & (buckets_.size() - 1)]; id != kNoNode; id = nodes_[id].next_in_bucket) {
        const Node& node = nodes_[id];
        if (node.hash != hash || node.parent != parent || (parent == kNoNode && salts_[id] != salt)) continue;
        if (std::ranges::equal(tokens_of(id), tokens)) return id;
    }
    return kNoNode;
}

BlockCache::Chain BlockCache::find_chain(std::span<const Token> tokens, std::string_view salt) const {
    Chain chain;
    if (!options_.share) return chain;
    NodeId parent = kNoNode;
    for (std::size_t at = 0; at + options_.block_size <= tokens.size(); at += options_.block_size) {
        const std::span<const Token> here = tokens.subspan(at, options_.block_size);
        const std::uint64_t hash = hash_of(parent, here, salt);
        const NodeId node = find_child(parent, hash, here, salt);
        if (node == kNoNode) {
            chain.evicted = evicted_[hash & (evicted_.size() - 1)] == hash;
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

BlockCache::Tail BlockCache::find_tail(NodeId parent, std::uint32_t n_before, std::span<const Token> rest, std::string_view salt) const {
    Tail best;
    if (!options_.share) return best;
    std::uint32_t n_seen = 0;
    NodeId next = parent == kNoNode ? first_root_ : nodes_[parent].first_child;
    for (; next != kNoNode && n_seen < kMaxSiblings; next = nodes_[next].next_sibling, ++n_seen) {
        const std::uint32_t n = n_equal(tokens_of(next), rest);
        if (n <= best.n_tokens || (parent == kNoNode && salts_[next] != salt)) continue;
        bool present = true;
        for (std::size_t group = 0; group < n_groups_; ++group) present = present && block(next, group) != kNoBlock;
        if (present) best = {.node = next, .n_tokens = n};
    }
    RAFTER_CHECK(best.node == kNoNode || nodes_[best.node].depth == n_before, "a tail {} blocks deep", nodes_[best.node].depth);
    return best;
}

std::uint32_t BlockCache::first_seen(std::size_t group, std::uint32_t n_computed) const {
    const std::uint32_t window = options_.windows[group];
    return window == 0 || n_computed < window ? 0 : n_computed + 1 - window;
}

NodeId BlockCache::add_node(NodeId parent, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt) {
    if (free_nodes_.empty()) {
        free_nodes_.push_back(static_cast<NodeId>(nodes_.size()));
        nodes_.emplace_back();
        salts_.emplace_back();
        held_.resize(held_.size() + n_groups_);
        tokens_.resize(tokens_.size() + options_.block_size);
    }
    const NodeId id = free_nodes_.back();
    free_nodes_.pop_back();
    NodeId& first = parent == kNoNode ? first_root_ : nodes_[parent].first_child;
    if (first == kNoNode && parent != kNoNode && full_group_) unused_[*full_group_].remove(parent);
    nodes_[id] = {.hash = hash,
                  .parent = parent,
                  .next_sibling = first,
                  .n_tokens = static_cast<std::uint32_t>(tokens.size()),
                  .depth = parent == kNoNode ? 0 : nodes_[parent].depth + 1};
    if (parent == kNoNode) salts_[id] = salt;
    if (first != kNoNode) nodes_[first].previous_sibling = id;
    first = id;
    for (std::size_t group = 0; group < n_groups_; ++group) held_[id * n_groups_ + group] = {};
    std::ranges::copy(tokens, tokens_.begin() + static_cast<std::ptrdiff_t>(std::size_t{id} * options_.block_size));
    if (tokens.size() == options_.block_size) {
        NodeId& bucket = buckets_[hash & (buckets_.size() - 1)];
        nodes_[id].next_in_bucket = bucket;
        bucket = id;
    }
    return id;
}

void BlockCache::remove_node(NodeId id) {
    Node& node = nodes_[id];
    RAFTER_CHECK(node.n_users == 0 && node.first_child == kNoNode && node.n_tokens > 0, "node {} is still in use", id);
    if (node.n_tokens == options_.block_size) {
        evicted_[node.hash & (evicted_.size() - 1)] = node.hash;
        NodeId* link = &buckets_[node.hash & (buckets_.size() - 1)];
        while (*link != id) link = &nodes_[*link].next_in_bucket;
        *link = node.next_in_bucket;
    }
    if (node.next_sibling != kNoNode) nodes_[node.next_sibling].previous_sibling = node.previous_sibling;
    if (node.previous_sibling != kNoNode) {
        nodes_[node.previous_sibling].next_sibling = node.next_sibling;
    } else if (node.parent != kNoNode) {
        nodes_[node.parent].first_child = node.next_sibling;
    } else {
        first_root_ = node.next_sibling;
    }
    const NodeId parent = node.parent;
    if (parent != kNoNode && full_group_) list_unused(*full_group_, parent, id);
    for (std::size_t group = 0; group < n_groups_; ++group) {
        if (block(id, group) != kNoBlock) drop_block(group, id);
    }
    node = {};
    free_nodes_.push_back(id);
    if (parent != kNoNode && !full_group_) remove_if_empty(parent);
}

void BlockCache::remove_if_empty(NodeId id) {
    const Node& node = nodes_[id];
    if (node.n_tokens == 0 || node.n_users > 0 || node.first_child != kNoNode) return;
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
    if (group == full_group_ && nodes_[node].first_child != kNoNode) return;
    unused_[group].add({.priority = held.priority, .node = node}, instead_of);
}

void BlockCache::evict_one(std::size_t group) {
    RAFTER_CHECK(!unused_[group].empty(), "group {} has {} unused blocks and none may go", group, n_unused_[group]);
    const auto [priority, node] = unused_[group].front();
    clocks_[group] = priority;
    ++counters_.blocks_evicted;
    if (group == full_group_) {
        counters_.evicted_seconds += value_of(node);
        if (options_.before_eviction && nodes_[node].n_tokens == options_.block_size) announce_eviction(node);
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
    for (NodeId at = node; at != kNoNode; at = nodes_[at].parent) chain_.push_back(at);
    std::ranges::reverse(chain_);
    for (const NodeId at : chain_) {
        const std::span<const Token> tokens = tokens_of(at);
        chain_tokens_.insert(chain_tokens_.end(), tokens.begin(), tokens.end());
        chain_blocks_.push_back(block(at, *full_group_));
    }
    options_.before_eviction({.salt = salts_[chain_.front()], .tokens = chain_tokens_, .blocks = chain_blocks_});
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

double BlockCache::value_of(NodeId node) {
    if (!options_.recompute_seconds) return 1.0;
    const std::uint32_t depth = nodes_[node].depth;
    for (auto i = static_cast<std::uint32_t>(values_.size()); i <= depth; ++i) {
        values_.push_back(options_.recompute_seconds(i * options_.block_size));
    }
    return values_[depth];
}

void BlockCache::check(std::span<const SequenceBlocks* const> sequences) const {
    std::vector<std::uint32_t> n_users(nodes_.size(), 0);
    for (std::size_t group = 0; group < n_groups_; ++group) {
        std::vector<std::uint32_t> expected(pools_[group].n_blocks(), 0);
        std::vector<NodeId> owner(pools_[group].n_blocks(), kNoNode);
        std::uint32_t n_unused = 0, n_listed = 0;
        for (NodeId node = 0; node < nodes_.size(); ++node) {
            if (nodes_[node].n_tokens == 0 || block(node, group) == kNoBlock) {
                RAFTER_CHECK(group != full_group_ || nodes_[node].n_tokens == 0, "node {} has lost its block", node);
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
            if (group == full_group_ && nodes_[owner[id]].first_child != kNoNode) continue;
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
    std::size_t n_full = 0;
    for (NodeId node = 0; node < nodes_.size(); ++node) {
        RAFTER_CHECK(n_users[node] == nodes_[node].n_users, "node {} has {} users, expected {}", node, nodes_[node].n_users, n_users[node]);
        n_full += nodes_[node].n_tokens == options_.block_size;
        const NodeId parent = nodes_[node].parent;
        RAFTER_CHECK(parent == kNoNode || nodes_[parent].n_tokens == options_.block_size, "node {} hangs on nothing", node);
    }
    std::size_t n_found = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
        for (NodeId node = buckets_[bucket]; node != kNoNode; node = nodes_[node].next_in_bucket, ++n_found) {
            RAFTER_CHECK((nodes_[node].hash & (buckets_.size() - 1)) == bucket && nodes_[node].n_tokens == options_.block_size,
                         "node {} is in the wrong bucket", node);
        }
    }
    RAFTER_CHECK(n_full == n_found, "{} full nodes, {} to be found", n_full, n_found);
}

}  // namespace rafter::kv
