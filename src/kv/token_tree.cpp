// add() allocates all that it needs before it changes a link.
#include "kv/token_tree.h"

#include <bit>
#include <utility>

#include "base/check.h"

namespace rafter::kv {
namespace {

constexpr std::size_t kMinNodes = 64;

}  // namespace

TokenTree::TokenTree(const TokenTreeOptions& options)
    : options_(options), buckets_(std::bit_ceil(std::max<std::size_t>(1, options.n_expected)), kNoNode) {
    RAFTER_CHECK(options_.block_size > 0, "blocks of no tokens");
}

bool TokenTree::may_hold(std::uint64_t hash) const {
    NodeId at = bucket(hash);
    while (at != kNoNode && !same_hash(nodes_[at].hash, hash)) at = nodes_[at].next_in_bucket;
    return at != kNoNode;
}

NodeId TokenTree::find(NodeId parent, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt) const {
    if (first_child(parent) == kNoNode) return kNoNode;  // most blocks are new, and so are their parents
    for (NodeId at = bucket(hash); at != kNoNode; at = nodes_[at].next_in_bucket) {
        const Node& node = nodes_[at];
        if (!same_hash(node.hash, hash) || node.parent != parent || (parent == kNoNode && salts_[at] != salt)) continue;
        if (std::ranges::equal(this->tokens(at), tokens)) return at;
    }
    return kNoNode;
}

NodeId TokenTree::add(NodeId parent, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt) {
    RAFTER_CHECK(!tokens.empty() && tokens.size() <= options_.block_size, "a block of {} tokens", tokens.size());
    const bool full = tokens.size() == options_.block_size;
    std::string own_salt(parent == kNoNode ? salt : std::string_view());
    if (free_ == kNoNode) grow();
    if (full && n_full_ == buckets_.size()) widen();
    // Nothing fails from here on.
    const NodeId id = free_;
    free_ = nodes_[id].next_sibling;
    NodeId& first = parent == kNoNode ? first_root_ : nodes_[parent].first_child;
    nodes_[id] = {.hash = hash,
                  .parent = parent,
                  .next_sibling = first,
                  .n_tokens = static_cast<std::uint32_t>(tokens.size()),
                  .depth = parent == kNoNode ? 0 : nodes_[parent].depth + 1};
    if (first != kNoNode) nodes_[first].previous_sibling = id;
    first = id;
    salts_[id] = std::move(own_salt);
    std::ranges::copy(tokens, tokens_.begin() + static_cast<std::ptrdiff_t>(std::size_t{id} * options_.block_size));
    if (full) {
        nodes_[id].next_in_bucket = bucket(hash);
        bucket(hash) = id;
        ++n_full_;
    }
    ++n_nodes_;
    return id;
}

void TokenTree::remove(NodeId id) noexcept {
    Node& node = nodes_[id];
    RAFTER_CHECK(node.n_tokens > 0 && node.first_child == kNoNode, "node {} is still in use", id);
    if (is_full(id)) {
        NodeId* link = &bucket(node.hash);
        while (*link != id) link = &nodes_[*link].next_in_bucket;
        *link = node.next_in_bucket;
        --n_full_;
    }
    if (node.next_sibling != kNoNode) nodes_[node.next_sibling].previous_sibling = node.previous_sibling;
    if (node.previous_sibling != kNoNode) {
        nodes_[node.previous_sibling].next_sibling = node.next_sibling;
    } else if (node.parent != kNoNode) {
        nodes_[node.parent].first_child = node.next_sibling;
    } else {
        first_root_ = node.next_sibling;
    }
    salts_[id].clear();
    node = {.next_sibling = free_};
    free_ = id;
    --n_nodes_;
}

// One more node, not in use. All three lists get their memory before any of them becomes longer.
void TokenTree::grow() {
    const std::size_t n = nodes_.size() + 1;
    if (n > nodes_.capacity() || n > salts_.capacity() || n * options_.block_size > tokens_.capacity()) {
        const std::size_t more = std::max(kMinNodes, 2 * nodes_.size());
        nodes_.reserve(more);
        salts_.reserve(more);
        tokens_.reserve(more * options_.block_size);
    }
    nodes_.emplace_back();
    salts_.emplace_back();
    tokens_.resize(n * options_.block_size);
    free_ = static_cast<NodeId>(n - 1);
}

// Twice the buckets.
void TokenTree::widen() {
    std::vector<NodeId> wider(2 * buckets_.size(), kNoNode);
    buckets_.swap(wider);
    for (const NodeId first : wider) {
        for (NodeId at = first; at != kNoNode;) {
            const NodeId next = nodes_[at].next_in_bucket;
            nodes_[at].next_in_bucket = bucket(nodes_[at].hash);
            bucket(nodes_[at].hash) = at;
            at = next;
        }
    }
}

void TokenTree::check() const {
    std::size_t n_there = 0, n_full = 0, n_free = 0, n_children = 0, n_hashed = 0;
    for (NodeId id = 0; id < nodes_.size(); ++id) {
        const Node& node = nodes_[id];
        if (node.n_tokens == 0) continue;
        ++n_there;
        n_full += is_full(id);
        RAFTER_CHECK(!is_full(id) || node.hash == hash_of(node.parent, tokens(id), salts_[id]), "node {} has another's hash", id);
        RAFTER_CHECK(is_full(id) || is_leaf(id), "node {} has children after a part of a block", id);
        if (node.parent != kNoNode) {
            RAFTER_CHECK(contains(node.parent) && nodes_[node.parent].depth + 1 == node.depth, "node {} hangs on nothing", id);
            RAFTER_CHECK(salts_[id].empty(), "node {} has a salt and a parent", id);
        }
        RAFTER_CHECK(!is_full(id) || find(node.parent, node.hash, tokens(id), salts_[id]) != kNoNode, "node {} is not found", id);
    }
    const auto count_children = [&](NodeId parent) {
        NodeId previous = kNoNode;
        for (NodeId at = first_child(parent); at != kNoNode; previous = at, at = nodes_[at].next_sibling, ++n_children) {
            RAFTER_CHECK(nodes_[at].parent == parent && nodes_[at].previous_sibling == previous, "node {} is among strangers", at);
        }
    };
    count_children(kNoNode);
    for (NodeId id = 0; id < nodes_.size(); ++id) {
        if (contains(id)) count_children(id);
    }
    for (const NodeId first : buckets_) {
        for (NodeId at = first; at != kNoNode; at = nodes_[at].next_in_bucket, ++n_hashed) {
            RAFTER_CHECK(bucket(nodes_[at].hash) == first, "node {} is in the wrong bucket", at);
        }
    }
    for (NodeId at = free_; at != kNoNode; at = nodes_[at].next_sibling) ++n_free;
    RAFTER_CHECK(n_there == n_nodes_ && n_children == n_nodes_ && n_there + n_free == nodes_.size(), "{} nodes counted as {}, {} children",
                 n_there, n_nodes_, n_children);
    RAFTER_CHECK(n_full == n_full_ && n_hashed == n_full_, "{} full nodes, {} to be found", n_full, n_hashed);
}

}  // namespace rafter::kv
