// All blocks of the KV cache: who uses them, and which tokens' keys and values they hold. Full blocks of running sequences and all blocks
// of ended ones can be found by their tokens, so that a prompt that begins alike is not computed again; blocks that nobody uses stay until
// others need their room. Pure bookkeeping; the keys and values themselves are the backend's.
//
// Blocks hang in a tree: a node is one block's worth of tokens after those of its parent. A child is found by the chained hash of its
// tokens and accepted when parent and tokens are equal, so that equal hashes never share. The first block's nodes carry the salt: equal
// tokens under different salts are strangers.
//
// Which unused block goes first: the one whose keys and values are the cheapest to compute again, with age counted in the same unit, by the
// GreedyDual rule (Cao and Irani, "Cost-aware WWW proxy caching algorithms", USITS 1997): a block's priority is its cost plus the priority
// of the block evicted last before its latest use.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/block_pool.h"
#include "kv/eviction_queue.h"
#include "kv/sequence_blocks.h"

namespace rafter::kv {

using Token = std::int32_t;

// A full block and those before it, at the moment when the block is evicted: what it holds is still there.
struct EvictedBlock {
    std::string_view salt;
    std::span<const Token> tokens;    // of all these blocks
    std::span<const BlockId> blocks;  // from the first one on; the last one goes
};

struct BlockCacheOptions {
    std::uint32_t block_size = 16;
    std::vector<std::uint32_t> n_blocks;  // [n_groups]
    std::vector<std::uint32_t> windows;   // [n_groups]: positions that a token of this group sees; 0: all. At most one group has 0.
    bool share = true;                    // false: nothing is found, and ended sequences leave nothing
    // Seconds that computing block_size tokens from this position on takes, asked once for each; none: every block is worth the same.
    std::function<double(std::uint32_t position)> recompute_seconds;
    // Called before a full block goes. Only with one group, which sees everything: there a block's chain is whole as long as it is there.
    std::function<void(const EvictedBlock&)> before_eviction;
    std::uint64_t hash_mask = ~std::uint64_t{0};  // for tests of colliding hashes
};

// Why a prefix ended where it did.
enum class PrefixEnd {
    kComplete,  // all of what was asked for is there
    kNew,       // nobody computed these tokens
    kEvicted,   // their block was evicted
    kWindow,    // they are known, but a sliding window's last positions before them are not
};

struct Prefix {
    std::uint32_t n_tokens = 0;  // whose keys and values are there
    PrefixEnd end = PrefixEnd::kNew;
};

// What happened since the start.
struct BlockCacheCounters {
    std::uint64_t lookups = 0;
    std::uint64_t tokens_asked = 0;     // of prompts
    std::uint64_t tokens_found = 0;     // of them
    std::uint64_t tokens_restored = 0;  // of them too, and not found: restore()
    std::uint64_t missed_new = 0;       // tokens, by PrefixEnd
    std::uint64_t missed_evicted = 0;
    std::uint64_t missed_window = 0;
    std::uint64_t blocks_copied = 0;  // partly equal blocks
    std::uint64_t blocks_merged = 0;  // computed twice and found equal
    std::uint64_t blocks_evicted = 0;
    double evicted_seconds = 0.0;  // that computing them took by recompute_seconds
};

// One thread (the engine's). A sequence that attach() saw must go through release().
class BlockCache {
  public:
    explicit BlockCache(BlockCacheOptions options);

    // Gives an empty sequence the longest prefix of tokens that is there, tokens.size() at most. A partly equal block is copied into one of
    // its own: `copies` says so.
    [[nodiscard]] Prefix attach(SequenceBlocks& sequence, std::span<const Token> tokens, std::string_view salt,
                                std::vector<BlockCopy>& copies);
    // How many tokens attach() would find. Changes nothing.
    [[nodiscard]] std::uint32_t find(std::span<const Token> tokens, std::string_view salt) const;
    // Of the full blocks among them, those that a sequence holds now.
    [[nodiscard]] std::uint32_t n_in_use(std::span<const Token> tokens, std::string_view salt) const;
    // Blocks that would be available if this sequence let go, in the group that sees everything, or the first.
    [[nodiscard]] std::uint32_t n_held_alone(const SequenceBlocks& sequence) const;

    // Room for positions 0 .. n_positions - 1 in every group, taken from free blocks and unused ones; false, and nothing changed, when
    // there are too few.
    [[nodiscard]] bool grow(SequenceBlocks& sequence, std::uint32_t n_positions);
    // Blocks that grow() could still hand out in the group that has the fewest.
    [[nodiscard]] std::uint32_t n_available() const;
    [[nodiscard]] std::uint32_t n_available(std::size_t group) const { return pools_[group].n_free() + n_unused_[group]; }

    // The first n_computed of these tokens are in the cache: their full blocks can be found from now on, equal ones are merged, and blocks
    // that no later position sees are given back.
    void publish(SequenceBlocks& sequence, std::span<const Token> tokens, std::uint32_t n_computed, std::string_view salt);
    // Of the tokens that attach() missed, for this reason, the next n came from elsewhere after all.
    void restore(PrefixEnd missed_as, std::uint32_t n);
    // Rollback: keeps room for the first n_positions only, which is no less than what is published.
    void truncate(SequenceBlocks& sequence, std::uint32_t n_positions);
    // The sequence ends or is preempted. What it computed stays until others need the room.
    void release(SequenceBlocks& sequence, std::span<const Token> tokens, std::uint32_t n_computed, std::string_view salt);
    // Gives up everything that nobody uses.
    void forget_unused();

    [[nodiscard]] std::span<const BlockPool> pools() const { return pools_; }
    [[nodiscard]] const BlockCacheOptions& options() const { return options_; }
    [[nodiscard]] const BlockCacheCounters& counters() const { return counters_; }
    [[nodiscard]] std::uint32_t n_unused(std::size_t group) const { return n_unused_[group]; }
    [[nodiscard]] std::uint32_t blocks_for(std::uint32_t n_positions) const {
        return n_positions / options_.block_size + (n_positions % options_.block_size != 0);
    }
    // Stops the program when its parts contradict each other; takes as long as there are blocks. sequences: all that hold something.
    void check(std::span<const SequenceBlocks* const> sequences) const;

  private:
    struct Node {
        std::uint64_t hash = 0;
        NodeId parent = kNoNode;
        NodeId first_child = kNoNode, next_sibling = kNoNode, previous_sibling = kNoNode;  // newest first
        std::uint32_t n_tokens = 0;                                                        // 0: a node not in use
        std::uint32_t n_users = 0;                                                         // sequences whose chain it is part of
        NodeId next_in_bucket = kNoNode;
        std::uint32_t depth = 0;  // blocks before it
    };
    struct Held {  // by a node, in one group
        BlockId block = kNoBlock;
        double priority = 0.0;  // since its last use
    };
    // The chain of full blocks that tokens begin with.
    struct Chain {
        std::vector<NodeId> nodes;
        std::uint32_t n_usable = 0;  // of them, so that every group can go on
        bool evicted = false;        // the next block was there once
    };

    [[nodiscard]] BlockId& block(NodeId node, std::size_t group) { return held_[node * n_groups_ + group].block; }
    [[nodiscard]] BlockId block(NodeId node, std::size_t group) const { return held_[node * n_groups_ + group].block; }
    [[nodiscard]] std::span<const Token> tokens_of(NodeId node) const;
    [[nodiscard]] std::uint64_t hash_of(NodeId parent, std::span<const Token> tokens, std::string_view salt) const;
    [[nodiscard]] NodeId find_child(NodeId parent, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt) const;
    [[nodiscard]] Chain find_chain(std::span<const Token> tokens, std::string_view salt) const;
    struct Tail {
        NodeId node = kNoNode;
        std::uint32_t n_tokens = 0;  // of it that are equal
    };
    [[nodiscard]] Tail find_tail(NodeId parent, std::uint32_t n_before, std::span<const Token> rest, std::string_view salt) const;
    [[nodiscard]] std::uint32_t first_seen(std::size_t group, std::uint32_t n_computed) const;

    NodeId add_node(NodeId parent, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt);
    void remove_node(NodeId node);
    void use_block(std::size_t group, NodeId node);
    void leave_block(std::size_t group, BlockId block, NodeId node, double value);
    void list_unused(std::size_t group, NodeId node, NodeId instead_of = kNoNode);
    void evict_one(std::size_t group);
    void announce_eviction(NodeId node);
    void drop_block(std::size_t group, NodeId node);
    void remove_if_empty(NodeId node);
    void give_back(SequenceBlocks& sequence, std::size_t group, std::uint32_t index, bool seen_again);
    [[nodiscard]] double value_of(NodeId node);

    BlockCacheOptions options_;
    std::size_t n_groups_;
    std::optional<std::size_t> full_group_;
    std::vector<BlockPool> pools_;
    std::vector<Node> nodes_;
    std::vector<std::string> salts_;  // [n_nodes]: of those without a parent
    std::vector<NodeId> free_nodes_;
    std::vector<Held> held_;               // [n_nodes, n_groups]
    std::vector<double> values_;           // of a block, by the blocks before it
    std::vector<Token> tokens_;            // [n_nodes, block_size]
    std::vector<NodeId> buckets_;          // full nodes, by the low bits of their hash
    NodeId first_root_ = kNoNode;          // nodes without a parent are siblings too
    std::vector<EvictionQueue> unused_;    // [n_groups]: blocks that may go now
    std::vector<std::uint32_t> n_unused_;  // [n_groups]: blocks in nodes that no sequence uses
    std::vector<double> clocks_;           // [n_groups]: priority of the last one evicted
    std::vector<std::uint64_t> evicted_;   // hashes of full blocks evicted, by their low bits: the latest of each
    std::vector<NodeId> chain_;            // of announce_eviction(), as the next two: kept for their memory
    std::vector<Token> chain_tokens_;
    std::vector<BlockId> chain_blocks_;
    BlockCacheCounters counters_;
};

}  // namespace rafter::kv
