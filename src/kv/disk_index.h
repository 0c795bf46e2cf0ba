// Which blocks lie in a file, by their tokens: a tree (kv/token_tree.h) of what the prefix cache evicted. Pure bookkeeping; the file is the
// engine's (engine/offload/kv_disk.h).
//
// All blocks are full. Some nodes have a slot, a place in the file that holds their keys and values; the others are there because nodes
// below them have one: a block deep in a prompt is evicted, and written, before those it follows.
//
// A node has a number that no other node of the file ever had. A record in the file names its own and its parent's, so that the tree can be
// put together again from records in any order; a record whose parent is in no record cannot be reached and is dropped.
//
// When all slots are taken, the leaf goes whose priority is lowest: GreedyDual, as in the cache.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/eviction_queue.h"
#include "kv/token_tree.h"

namespace rafter::kv {

using SlotId = std::uint32_t;
inline constexpr SlotId kNoSlot = ~SlotId{0};

// What a slot holds, as it is written beside the keys and values.
struct DiskRecord {
    SlotId slot = kNoSlot;
    std::uint64_t id = 0;       // of its node
    std::uint64_t parent = 0;   // its id; 0: none
    std::uint64_t hash = 0;     // of all tokens up to here
    std::uint32_t depth = 0;    // blocks before it
    double clock = 0.0;         // that its priority counts from
    std::string salt;           // of those without a parent
    std::vector<Token> tokens;  // [block_size]
};

struct DiskIndexOptions {
    std::uint32_t block_size = 16;
    SlotId n_slots = 0;
    // As BlockCacheOptions has it; none: every block is worth the same.
    std::function<double(std::uint32_t position)> recompute_seconds;
    std::uint64_t hash_mask = ~std::uint64_t{0};  // for tests of colliding hashes
};

// One thread.
class DiskIndex {
  public:
    explicit DiskIndex(DiskIndexOptions options);

    // Takes over what a file holds, into an empty index. Records may say anything. Of those that do not fit together the later ones (by id)
    // are dropped: their slots are free. Returns how many.
    std::uint32_t load(std::vector<DiskRecord> records);

    // kNoNode where there is none. tokens: one full block's.
    [[nodiscard]] NodeId find(NodeId parent, std::span<const Token> tokens, std::string_view salt) const;
    // Of the children that have a slot, the one that begins most like `rest`.
    [[nodiscard]] TokenTree::Tail find_tail(NodeId parent, std::span<const Token> rest, std::string_view salt) const;
    [[nodiscard]] bool has_slot(NodeId node) const { return held_[node].slot != kNoSlot; }

    // The node for these tokens, made where there is none. Valid until its slot goes; a node without slot and children goes with trim().
    NodeId enter(NodeId parent, std::span<const Token> tokens, std::string_view salt);
    // Gives a node its slot, which may have been another's. False where no other can go: all are those before it.
    [[nodiscard]] bool take_slot(NodeId node);
    // Somebody has used it.
    void use(NodeId node);
    // What its slot holds is no good: the slot is free.
    void drop(NodeId node);
    // Removes the node if it has neither slot nor children, and then its parents likewise.
    void trim(NodeId node);
    // What is to be written for a node with a slot.
    [[nodiscard]] DiskRecord record(NodeId node) const;

    [[nodiscard]] std::uint32_t n_used() const { return next_slot_ - static_cast<std::uint32_t>(free_slots_.size()); }
    [[nodiscard]] std::uint64_t n_evicted() const { return n_evicted_; }
    [[nodiscard]] const DiskIndexOptions& options() const { return options_; }
    // Stops the program when its parts contradict each other; takes as long as there are nodes.
    void check() const;

  private:
    struct Held {  // by a node
        std::uint64_t id = 0;
        SlotId slot = kNoSlot;
        double clock = 0.0;
    };

    [[nodiscard]] double priority_of(NodeId node) const;
    NodeId add(NodeId parent, std::uint64_t id, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt);
    void list(NodeId node);

    DiskIndexOptions options_;
    TokenTree tree_;
    std::vector<Held> held_;          // [n_nodes]
    std::vector<SlotId> free_slots_;  // of those below next_slot_; the lowest last
    SlotId next_slot_ = 0;            // from here on no slot was used: a file may be allowed more than it ever has
    EvictionQueue leaves_;            // nodes with a slot and no children
    std::uint64_t next_id_ = 1;
    double clock_ = 0.0;  // priority of the last one evicted
    std::uint64_t n_evicted_ = 0;
};

}  // namespace rafter::kv
