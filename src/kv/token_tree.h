// Blocks of tokens in a tree: a node is one block's tokens after those of its parent. The prefix cache (kv/block_cache.h) and the index of
// its file (kv/disk_index.h) keep their blocks in one each, and what they know of a node beside it, by the node's number.
//
// A child is found by its hash (kv/block_hashes.h) and accepted only when parent, tokens and salt are equal, so that equal hashes never
// share. Nodes without a parent carry the salt: equal tokens under different salts are strangers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/block_hashes.h"
#include "kv/sequence_blocks.h"

namespace rafter::kv {

struct TokenTreeOptions {
    std::uint32_t block_size = 16;
    std::size_t n_expected = 1;                   // nodes; more cost time, once
    std::uint64_t hash_mask = ~std::uint64_t{0};  // for tests of colliding hashes: bits that are looked at
};

// One thread.
class TokenTree {
  public:
    explicit TokenTree(const TokenTreeOptions& options);

    [[nodiscard]] std::uint64_t hash_of(NodeId parent, std::span<const Token> tokens, std::string_view salt) const {
        return block_hash(parent == kNoNode ? salt_hash(salt) : nodes_[parent].hash, tokens);
    }
    // False only where no full block has this hash.
    [[nodiscard]] bool may_hold(std::uint64_t hash) const;
    // The child with these tokens, one full block's; kNoNode where there is none. The salt counts where there is no parent.
    [[nodiscard]] NodeId find(NodeId parent, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt) const;
    // Of the children that are usable, the one that begins most like `rest`, among the 64 newest.
    struct Tail {
        NodeId node = kNoNode;
        std::uint32_t n_tokens = 0;  // of its tokens that are equal
    };
    template <typename Usable>
    [[nodiscard]] Tail find_tail(NodeId parent, std::span<const Token> rest, std::string_view salt, const Usable& usable) const {
        Tail best;
        std::uint32_t n_seen = 0;
        for (NodeId at = first_child(parent); at != kNoNode && n_seen < kMaxSiblings; at = nodes_[at].next_sibling, ++n_seen) {
            const std::span<const Token> there = tokens(at);
            const auto n = static_cast<std::uint32_t>(std::ranges::mismatch(there, rest).in1 - there.begin());
            if (n <= best.n_tokens || (parent == kNoNode && salts_[at] != salt)) continue;
            if (usable(at)) best = {.node = at, .n_tokens = n};
        }
        return best;
    }

    // The node that add() makes next: what its owner keeps beside the tree can get room for it first.
    [[nodiscard]] NodeId next() const { return free_ != kNoNode ? free_ : static_cast<NodeId>(nodes_.size()); }
    // At most one block's tokens. find() finds full blocks only: the hash of a part of one is not looked at. When memory runs out, nothing
    // has changed.
    NodeId add(NodeId parent, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt);
    // The node must be there and have no children. Never fails.
    void remove(NodeId node) noexcept;

    // Nodes have numbers below this one.
    [[nodiscard]] NodeId end() const { return static_cast<NodeId>(nodes_.size()); }
    [[nodiscard]] std::size_t n_nodes() const { return n_nodes_; }
    [[nodiscard]] bool contains(NodeId node) const { return nodes_[node].n_tokens > 0; }
    [[nodiscard]] bool is_full(NodeId node) const { return nodes_[node].n_tokens == options_.block_size; }
    [[nodiscard]] NodeId parent(NodeId node) const { return nodes_[node].parent; }
    [[nodiscard]] NodeId first_child(NodeId node) const { return node == kNoNode ? first_root_ : nodes_[node].first_child; }
    [[nodiscard]] bool is_leaf(NodeId node) const { return nodes_[node].first_child == kNoNode; }
    [[nodiscard]] std::uint64_t hash(NodeId node) const { return nodes_[node].hash; }
    [[nodiscard]] std::uint32_t depth(NodeId node) const { return nodes_[node].depth; }  // blocks before it
    [[nodiscard]] std::span<const Token> tokens(NodeId node) const {
        return {tokens_.data() + std::size_t{node} * options_.block_size, nodes_[node].n_tokens};
    }
    [[nodiscard]] std::string_view salt(NodeId node) const { return salts_[node]; }  // empty where there is a parent
    // Stops the program when the tree contradicts itself; takes as long as there are nodes.
    void check() const;

  private:
    static constexpr std::uint32_t kMaxSiblings = 64;
    struct Node {
        std::uint64_t hash = 0;
        NodeId parent = kNoNode;
        NodeId first_child = kNoNode, next_sibling = kNoNode, previous_sibling = kNoNode;  // newest first
        NodeId next_in_bucket = kNoNode;
        std::uint32_t n_tokens = 0;  // 0: not in use, and next_sibling is the next such node
        std::uint32_t depth = 0;
    };

    [[nodiscard]] NodeId& bucket(std::uint64_t hash) { return buckets_[hash & options_.hash_mask & (buckets_.size() - 1)]; }
    [[nodiscard]] NodeId bucket(std::uint64_t hash) const { return buckets_[hash & options_.hash_mask & (buckets_.size() - 1)]; }
    [[nodiscard]] bool same_hash(std::uint64_t a, std::uint64_t b) const { return ((a ^ b) & options_.hash_mask) == 0; }
    void grow();
    void widen();

    TokenTreeOptions options_;
    std::vector<Node> nodes_;
    std::vector<std::string> salts_;  // [n_nodes]
    std::vector<Token> tokens_;       // [n_nodes, block_size]
    std::vector<NodeId> buckets_;     // full nodes, by the low bits of their hash; at least as many as there are full nodes
    NodeId first_root_ = kNoNode;     // nodes without a parent are siblings too
    NodeId free_ = kNoNode;           // the node freed last
    std::size_t n_nodes_ = 0;
    std::size_t n_full_ = 0;
};

}  // namespace rafter::kv
