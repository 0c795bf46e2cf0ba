// Nodes without a slot have children, but for the one that enter() has just made: so a node without children is one that may go.
#include "kv/disk_index.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/check.h"

namespace rafter::kv {
namespace {

constexpr std::uint64_t kMaxId = std::uint64_t{1} << 62U;  // beyond it a file is not believed

}  // namespace

DiskIndex::DiskIndex(DiskIndexOptions options)
    : options_(std::move(options)), tree_({.block_size = options_.block_size, .n_expected = 1, .hash_mask = options_.hash_mask}) {
    RAFTER_CHECK(options_.n_slots < kNoSlot, "{} slots", options_.n_slots);
}

std::uint32_t DiskIndex::load(std::vector<DiskRecord> records) {
    RAFTER_CHECK(tree_.n_nodes() == 0 && next_id_ == 1, "load into an index with {} nodes", tree_.n_nodes());
    // Parents first. A number that any record knows is never given again, or a dropped record might one day find another parent.
    std::sort(records.begin(), records.end(),
              [](const DiskRecord& a, const DiskRecord& b) { return a.depth != b.depth ? a.depth < b.depth : a.id < b.id; });
    std::unordered_map<std::uint64_t, NodeId> by_id;
    std::vector<bool> taken;
    std::uint32_t n_dropped = 0;
    for (const DiskRecord& record : records) {
        const bool plausible = record.id > 0 && record.id < kMaxId && record.parent < kMaxId && record.slot < options_.n_slots &&
                               record.tokens.size() == options_.block_size && std::isfinite(record.clock) && record.clock >= 0.0;
        if (plausible) next_id_ = std::max({next_id_, record.id + 1, record.parent + 1});
        const auto parent = by_id.find(record.parent);
        const bool connected = record.parent == 0 ? record.depth == 0
                                                  : parent != by_id.end() && tree_.depth(parent->second) + std::uint64_t{1} == record.depth;
        const bool is_taken = record.slot < taken.size() && taken[record.slot];
        if (!plausible || !connected || is_taken || by_id.contains(record.id)) {
            ++n_dropped;
            continue;
        }
        const NodeId above = record.parent == 0 ? kNoNode : parent->second;
        const std::uint64_t hash = tree_.hash_of(above, record.tokens, record.salt);
        if (hash != record.hash || find(above, record.tokens, record.salt) != kNoNode) {
            ++n_dropped;
            continue;
        }
        const NodeId node = add(above, record.id, hash, record.tokens, record.salt);
        by_id.emplace(record.id, node);
        if (record.slot >= taken.size()) taken.resize(std::size_t{record.slot} + 1, false);
        taken[record.slot] = true;
        held_[node].slot = record.slot;
        held_[node].clock = record.clock;
        clock_ = std::max(clock_, record.clock);
        list(node);
    }
    next_slot_ = static_cast<SlotId>(taken.size());
    for (SlotId slot = next_slot_; slot > 0; --slot) {
        if (!taken[slot - 1]) free_slots_.push_back(slot - 1);
    }
    return n_dropped;
}

NodeId DiskIndex::find(NodeId parent, std::span<const Token> tokens, std::string_view salt) const {
    return tree_.find(parent, tree_.hash_of(parent, tokens, salt), tokens, salt);
}

TokenTree::Tail DiskIndex::find_tail(NodeId parent, std::span<const Token> rest, std::string_view salt) const {
    return tree_.find_tail(parent, rest, salt, [this](NodeId node) { return has_slot(node); });
}

NodeId DiskIndex::enter(NodeId parent, std::span<const Token> tokens, std::string_view salt) {
    RAFTER_CHECK(tokens.size() == options_.block_size, "a block of {} tokens", tokens.size());
    const std::uint64_t hash = tree_.hash_of(parent, tokens, salt);
    const NodeId known = tree_.find(parent, hash, tokens, salt);
    return known != kNoNode ? known : add(parent, next_id_++, hash, tokens, salt);
}

bool DiskIndex::take_slot(NodeId node) {
    RAFTER_CHECK(!has_slot(node), "node {} has a slot", node);
    if (free_slots_.empty() && next_slot_ < options_.n_slots) {
        held_[node].slot = next_slot_++;
    } else if (free_slots_.empty()) {
        if (leaves_.empty()) return false;
        const auto [priority, victim] = leaves_.front();
        clock_ = std::max(clock_, priority);
        ++n_evicted_;
        // First of all the slot is the node's: it may stand above the victim, and would go with it.
        held_[node].slot = held_[victim].slot;
        held_[victim].slot = kNoSlot;
        leaves_.remove(victim);
        trim(victim);
    } else {
        held_[node].slot = free_slots_.back();
        free_slots_.pop_back();
    }
    held_[node].clock = clock_;
    list(node);
    return true;
}

void DiskIndex::use(NodeId node) {
    if (!has_slot(node)) return;
    held_[node].clock = clock_;
    leaves_.remove(node);
    list(node);
}

void DiskIndex::drop(NodeId node) {
    RAFTER_CHECK(has_slot(node), "node {} has no slot", node);
    leaves_.remove(node);
    free_slots_.push_back(held_[node].slot);
    held_[node].slot = kNoSlot;
    trim(node);
}

void DiskIndex::trim(NodeId node) {
    while (node != kNoNode && !has_slot(node) && tree_.is_leaf(node)) {
        const NodeId parent = tree_.parent(node);
        tree_.remove(node);
        node = parent;
    }
    if (node != kNoNode) list(node);
}

DiskRecord DiskIndex::record(NodeId node) const {
    RAFTER_CHECK(has_slot(node), "node {} has no slot", node);
    const NodeId parent = tree_.parent(node);
    const std::span<const Token> tokens = tree_.tokens(node);
    return {.slot = held_[node].slot,
            .id = held_[node].id,
            .parent = parent == kNoNode ? 0 : held_[parent].id,
            .hash = tree_.hash(node),
            .depth = tree_.depth(node),
            .clock = held_[node].clock,
            .salt = std::string(tree_.salt(node)),
            .tokens = {tokens.begin(), tokens.end()}};
}

double DiskIndex::priority_of(NodeId node) const {
    const double seconds = options_.recompute_seconds ? options_.recompute_seconds(tree_.depth(node) * options_.block_size) : 1.0;
    return held_[node].clock + seconds;
}

// What may fail comes before the node is there.
NodeId DiskIndex::add(NodeId parent, std::uint64_t id, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt) {
    const NodeId next = tree_.next();
    if (next >= held_.size()) {
        leaves_.reserve(next + 1);
        held_.resize(next + std::size_t{1});
    }
    const NodeId node = tree_.add(parent, hash, tokens, salt);
    if (parent != kNoNode) leaves_.remove(parent);
    held_[node] = {.id = id};
    return node;
}

void DiskIndex::list(NodeId node) {
    if (!has_slot(node) || !tree_.is_leaf(node) || leaves_.priority(node)) return;
    leaves_.add({.priority = priority_of(node), .node = node});
}

void DiskIndex::check() const {
    tree_.check();
    RAFTER_CHECK(next_slot_ <= options_.n_slots, "{} slots of {}", next_slot_, options_.n_slots);
    std::vector<bool> taken(next_slot_, false);
    std::size_t n_slots = 0, n_leaves = 0;
    for (NodeId node = 0; node < tree_.end(); ++node) {
        if (!tree_.contains(node)) continue;
        const Held& held = held_[node];
        RAFTER_CHECK(held.id > 0 && held.id < next_id_ && tree_.is_full(node), "node {} is not its own", node);
        RAFTER_CHECK(find(tree_.parent(node), tree_.tokens(node), tree_.salt(node)) == node, "node {} is not found", node);
        RAFTER_CHECK(held.slot != kNoSlot || !tree_.is_leaf(node), "node {} holds nothing", node);
        const bool leaf = held.slot != kNoSlot && tree_.is_leaf(node);
        RAFTER_CHECK(leaves_.priority(node).has_value() == leaf, "node {} may {}go", node, leaf ? "" : "not ");
        n_leaves += leaf;
        if (held.slot == kNoSlot) continue;
        RAFTER_CHECK(held.slot < next_slot_ && !taken[held.slot], "slot {} is two nodes'", held.slot);
        taken[held.slot] = true;
        ++n_slots;
    }
    for (const SlotId slot : free_slots_) RAFTER_CHECK(!taken[slot], "slot {} is free and a node's", slot);
    RAFTER_CHECK(n_slots == n_used() && n_leaves == leaves_.size(), "{} slots, {} leaves", n_slots, n_leaves);
}

}  // namespace rafter::kv
