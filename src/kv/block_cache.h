// All blocks of the KV cache: who uses them, and which tokens' keys and values they hold. Full blocks of running sequences and all blocks
// of ended ones can be found by their tokens, so that a prompt that begins alike is not computed again; blocks that nobody uses stay until
// others need their room. Pure bookkeeping; the keys and values themselves are the backend's.
//
// Blocks are the nodes of a tree (kv/token_tree.h). A sequence brings the hashes of its blocks (kv/block_hashes.h); tokens are compared all
// the same before anything is shared.
//
// Which unused block goes first: the one whose keys and values are the cheapest to compute again, with age counted in the same unit, by the
// GreedyDual rule (Cao and Irani, "Cost-aware WWW proxy caching algorithms", USITS 1997): a block's priority is its cost plus the priority
// of the block evicted last before its latest use.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kv/block_hashes.h"
#include "kv/block_pool.h"
#include "kv/eviction_queue.h"
#include "kv/sequence_blocks.h"
#include "kv/token_tree.h"

namespace rafter::kv {

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
    kComplete,  // all requested tokens were found
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

// One thread (the engine's). A sequence that attach() saw must go through release(). When memory runs out in a call, the cache holds
// together: what the call did not do can be requested again.
class BlockCache {
  public:
    explicit BlockCache(BlockCacheOptions options);

    // Gives an empty sequence the longest prefix of the key's tokens that is there. A partly equal block is copied into one of its own:
    // `copies` says so.
    [[nodiscard]] Prefix attach(SequenceBlocks& sequence, const PrefixKey& key, std::vector<BlockCopy>& copies);
    // How many tokens attach() would find. Changes nothing; takes as long as there are blocks to find.
    [[nodiscard]] std::uint32_t find(const PrefixKey& key) const;
    // Of the full blocks that attach() would find, those that a sequence holds now.
    [[nodiscard]] std::uint32_t n_in_use(const PrefixKey& key) const;
    // False only where no full block has this hash: then no prefix that reaches the block's end can be found. Takes no time.
    [[nodiscard]] bool may_hold(std::uint64_t hash) const { return tree_.may_hold(hash); }
    // Blocks that would be available if this sequence let go, in the group that sees everything, or the first.
    [[nodiscard]] std::uint32_t n_held_alone(const SequenceBlocks& sequence) const;

    // Room for positions 0 .. n_positions - 1 in every group, taken from free blocks and unused ones; false, and nothing changed, when
    // there are too few.
    [[nodiscard]] bool grow(SequenceBlocks& sequence, std::uint32_t n_positions);
    // Blocks that grow() could still hand out in the group that has the fewest.
    [[nodiscard]] std::uint32_t n_available() const;
    [[nodiscard]] std::uint32_t n_available(std::size_t group) const { return pools_[group].n_free() + n_unused_[group]; }

    // The first n_computed of the key's tokens are in the cache: their full blocks can be found from now on, equal ones are merged, and
    // blocks that no later position sees are given back.
    void publish(SequenceBlocks& sequence, const PrefixKey& key, std::uint32_t n_computed);
    // Of the tokens that attach() missed, for this reason, the next n came from elsewhere after all.
    void restore(PrefixEnd prefix_end, std::uint32_t n);
    // Rollback: keeps room for the first n_positions only, which is no less than what is published.
    void truncate(SequenceBlocks& sequence, std::uint32_t n_positions);
    // The sequence ends or is preempted. What it computed stays until others need the room.
    void release(SequenceBlocks& sequence, const PrefixKey& key, std::uint32_t n_computed);
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
    [[nodiscard]] PrefixKey block_of(const PrefixKey& key, std::uint32_t i) const;
    [[nodiscard]] Chain find_chain(const PrefixKey& key) const;
    [[nodiscard]] TokenTree::Tail find_tail(NodeId parent, std::uint32_t n_before, const PrefixKey& key) const;
    [[nodiscard]] std::uint64_t& evicted_at(std::uint64_t hash) { return evicted_[hash & (evicted_.size() - 1)]; }
    [[nodiscard]] std::uint64_t evicted_at(std::uint64_t hash) const { return evicted_[hash & (evicted_.size() - 1)]; }
    [[nodiscard]] std::uint32_t first_seen(std::size_t group, std::uint32_t n_computed) const;

    NodeId add_node(NodeId parent, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt);
    bool copy_tail(SequenceBlocks& sequence, const TokenTree::Tail& tail, std::uint32_t n_before, std::vector<BlockCopy>& copies);
    void publish_block(SequenceBlocks& sequence, const PrefixKey& key, std::uint32_t i);
    void keep_rest(SequenceBlocks& sequence, const PrefixKey& key, std::uint32_t n_before);
    void remove_node(NodeId node);
    void use_block(std::size_t group, NodeId node);
    void leave_block(std::size_t group, BlockId block, NodeId node, double value);
    void list_unused(std::size_t group, NodeId node, NodeId instead_of = kNoNode);
    void evict_one(std::size_t group);
    void announce_eviction(NodeId node);
    void drop_block(std::size_t group, NodeId node);
    void remove_if_empty(NodeId node);
    void give_back(SequenceBlocks& sequence, std::size_t group, std::uint32_t index, bool seen_again);
    [[nodiscard]] double value_of(NodeId node) { return value_at(tree_.depth(node)); }
    [[nodiscard]] double value_at(std::uint32_t depth);

    BlockCacheOptions options_;
    std::size_t n_groups_;
    std::optional<std::size_t> full_group_;
    std::vector<BlockPool> pools_;
    TokenTree tree_;
    std::vector<std::uint32_t> n_users_;   // [n_nodes]: sequences whose chain it is part of
    std::vector<Held> held_;               // [n_nodes, n_groups]
    std::vector<double> values_;           // of a block, by the blocks before it
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
