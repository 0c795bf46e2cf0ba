// Nodes without a slot have children, but for the one that enter() has just made: so a node without children is one that may go.
#include "kv/disk_index.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/xxh64.h"

namespace rafter::kv {
namespace {

constexpr std::uint32_t kMaxSiblings = 64;                 // looked at for a partly equal block
constexpr std::uint64_t kMaxId = std::uint64_t{1} << 62U;  // beyond it a file is not believed

}  // namespace

DiskIndex::DiskIndex(DiskIndexOptions options) : options_(std::move(options)) {
    RAFTER_CHECK(options_.block_size > 0 && options_.n_slots < kNoSlot, "{} slots of {} tokens", options_.n_slots, options_.block_size);
    free_slots_.reserve(options_.n_slots);
    for (SlotId slot = options_.n_slots; slot > 0; --slot) free_slots_.push_back(slot - 1);
}

std::uint32_t DiskIndex::load(std::vector<DiskRecord> records) {
    RAFTER_CHECK(nodes_.empty() && next_id_ == 1, "load into an index with {} nodes", nodes_.size());
    // Parents first. A number that any record knows is never given again, or a dropped record might one day find another parent.
    std::sort(records.begin(), records.end(),
              [](const DiskRecord& a, const DiskRecord& b) { return a.depth != b.depth ? a.depth < b.depth : a.id < b.id; });
    std::unordered_map<std::uint64_t, NodeId> by_id;
    std::vector<bool> taken(options_.n_slots, false);
    std::uint32_t n_dropped = 0;
    for (const DiskRecord& record : records) {
        const bool plausible = record.id > 0 && record.id < kMaxId && record.parent < kMaxId && record.slot < options_.n_slots &&
                               record.tokens.size() == options_.block_size && std::isfinite(record.clock) && record.clock >= 0.0;
        if (plausible) next_id_ = std::max({next_id_, record.id + 1, record.parent + 1});
        const auto parent = by_id.find(record.parent);
        const bool connected = record.parent == 0
                                   ? record.depth == 0
                                   : parent != by_id.end() && nodes_[parent->second].depth + std::uint64_t{1} == record.depth;
        if (!plausible || !connected || taken[record.slot] || by_id.contains(record.id)) {
            ++n_dropped;
            continue;
        }
        const NodeId above = record.parent == 0 ? kNoNode : parent->second;
        const std::uint64_t hash = hash_of(above, record.tokens, record.salt);
        if (hash != record.hash || find(above, record.tokens, record.salt) != kNoNode) {
            ++n_dropped;
            continue;
        }
        const NodeId node = add(above, record.id, hash, record.tokens, record.salt);
        by_id.emplace(record.id, node);
        taken[record.slot] = true;
        nodes_[node].slot = record.slot;
        nodes_[node].clock = record.clock;
        clock_ = std::max(clock_, record.clock);
        list(node);
    }
    std::erase_if(free_slots_, [&](SlotId slot) { return taken[slot]; });
    return n_dropped;
}

std::span<const Token> DiskIndex::tokens_of(NodeId node) const {
    return {tokens_.data() + std::size_t{node} * options_.block_size, options_.block_size};
}

// The same in every run: it is written beside the block.
std::uint64_t DiskIndex::hash_of(NodeId parent, std::span<const Token> tokens, std::string_view salt) const {
    const std::uint64_t seed = parent == kNoNode ? xxh64(salt) : nodes_[parent].hash;
    return xxh64(std::as_bytes(tokens), seed) & options_.hash_mask;
}

NodeId DiskIndex::find(NodeId parent, std::span<const Token> tokens, std::string_view salt) const {
    if ((parent == kNoNode ? first_root_ : nodes_[parent].first_child) == kNoNode) return kNoNode;
    const auto [begin, end] = by_hash_.equal_range(hash_of(parent, tokens, salt));
    for (auto it = begin; it != end; ++it) {
        const NodeId id = it->second;
        if (nodes_[id].parent != parent || (parent == kNoNode && salts_[id] != salt)) continue;
        if (std::ranges::equal(tokens_of(id), tokens)) return id;
    }
    return kNoNode;
}

DiskIndex::Tail DiskIndex::find_tail(NodeId parent, std::span<const Token> rest, std::string_view salt) const {
    Tail best;
    std::uint32_t n_seen = 0;
    NodeId next = parent == kNoNode ? first_root_ : nodes_[parent].first_child;
    for (; next != kNoNode && n_seen < kMaxSiblings; next = nodes_[next].next_sibling, ++n_seen) {
        if (!has_slot(next) || (parent == kNoNode && salts_[next] != salt)) continue;
        const std::span<const Token> tokens = tokens_of(next);
        const auto n = static_cast<std::uint32_t>(std::ranges::mismatch(tokens, rest).in1 - tokens.begin());
        if (n > best.n_tokens) best = {.node = next, .n_tokens = n};
    }
    return best;
}

NodeId DiskIndex::enter(NodeId parent, std::span<const Token> tokens, std::string_view salt) {
    RAFTER_CHECK(tokens.size() == options_.block_size, "a block of {} tokens", tokens.size());
    const NodeId known = find(parent, tokens, salt);
    return known != kNoNode ? known : add(parent, next_id_++, hash_of(parent, tokens, salt), tokens, salt);
}

bool DiskIndex::take_slot(NodeId node) {
    RAFTER_CHECK(!has_slot(node), "node {} has a slot", node);
    if (free_slots_.empty()) {
        if (leaves_.empty()) return false;
        const auto [priority, victim] = leaves_.front();
        clock_ = std::max(clock_, priority);
        ++n_evicted_;
        // First of all the slot is the node's: it may stand above the victim, and would go with it.
        nodes_[node].slot = nodes_[victim].slot;
        nodes_[victim].slot = kNoSlot;
        leaves_.remove(victim);
        trim(victim);
    } else {
        nodes_[node].slot = free_slots_.back();
        free_slots_.pop_back();
    }
    nodes_[node].clock = clock_;
    list(node);
    return true;
}

void DiskIndex::use(NodeId node) {
    if (!has_slot(node)) return;
    nodes_[node].clock = clock_;
    leaves_.remove(node);
    list(node);
}

void DiskIndex::drop(NodeId node) {
    RAFTER_CHECK(has_slot(node), "node {} has no slot", node);
    leaves_.remove(node);
    free_slots_.push_back(nodes_[node].slot);
    nodes_[node].slot = kNoSlot;
    trim(node);
}

void DiskIndex::trim(NodeId node) {
    while (node != kNoNode && !has_slot(node) && nodes_[node].first_child == kNoNode) {
        const NodeId parent = nodes_[node].parent;
        remove(node);
        node = parent;
    }
    if (node != kNoNode) list(node);
}

DiskRecord DiskIndex::record(NodeId id) const {
    const Node& node = nodes_[id];
    RAFTER_CHECK(has_slot(id), "node {} has no slot", id);
    const std::span<const Token> tokens = tokens_of(id);
    return {.slot = node.slot,
            .id = node.id,
            .parent = node.parent == kNoNode ? 0 : nodes_[node.parent].id,
            .hash = node.hash,
            .depth = node.depth,
            .clock = node.clock,
            .salt = salts_[id],
            .tokens = {tokens.begin(), tokens.end()}};
}

double DiskIndex::priority_of(const Node& node) const {
    return node.clock + (options_.recompute_seconds ? options_.recompute_seconds(node.depth * options_.block_size) : 1.0);
}

NodeId DiskIndex::add(NodeId parent, std::uint64_t id, std::uint64_t hash, std::span<const Token> tokens, std::string_view salt) {
    if (free_nodes_.empty()) {
        free_nodes_.push_back(static_cast<NodeId>(nodes_.size()));
        nodes_.emplace_back();
        salts_.emplace_back();
        tokens_.resize(tokens_.size() + options_.block_size);
    }
    const NodeId node = free_nodes_.back();
    free_nodes_.pop_back();
    NodeId& first = parent == kNoNode ? first_root_ : nodes_[parent].first_child;
    if (parent != kNoNode) leaves_.remove(parent);
    nodes_[node] = {
        .id = id, .hash = hash, .parent = parent, .next_sibling = first, .depth = parent == kNoNode ? 0 : nodes_[parent].depth + 1};
    salts_[node] = parent == kNoNode ? salt : std::string_view();
    if (first != kNoNode) nodes_[first].previous_sibling = node;
    first = node;
    std::ranges::copy(tokens, tokens_.begin() + static_cast<std::ptrdiff_t>(std::size_t{node} * options_.block_size));
    by_hash_.emplace(hash, node);
    return node;
}

void DiskIndex::remove(NodeId id) {
    Node& node = nodes_[id];
    RAFTER_CHECK(node.id > 0 && node.slot == kNoSlot && node.first_child == kNoNode, "node {} is still in use", id);
    const auto [begin, end] = by_hash_.equal_range(node.hash);
    by_hash_.erase(std::find_if(begin, end, [&](const auto& entry) { return entry.second == id; }));
    if (node.next_sibling != kNoNode) nodes_[node.next_sibling].previous_sibling = node.previous_sibling;
    if (node.previous_sibling != kNoNode) {
        nodes_[node.previous_sibling].next_sibling = node.next_sibling;
    } else if (node.parent != kNoNode) {
        nodes_[node.parent].first_child = node.next_sibling;
    } else {
        first_root_ = node.next_sibling;
    }
    node = {};
    free_nodes_.push_back(id);
}

void DiskIndex::list(NodeId node) {
    if (!has_slot(node) || nodes_[node].first_child != kNoNode || leaves_.priority(node)) return;
    leaves_.add({.priority = priority_of(nodes_[node]), .node = node});
}

void DiskIndex::check() const {
    std::vector<bool> taken(options_.n_slots, false);
    std::size_t n_nodes = 0, n_slots = 0, n_leaves = 0;
    for (NodeId id = 0; id < nodes_.size(); ++id) {
        const Node& node = nodes_[id];
        if (node.id == 0) continue;
        ++n_nodes;
        RAFTER_CHECK(node.id < next_id_ && node.hash == hash_of(node.parent, tokens_of(id), salts_[id]), "node {} is not its own", id);
        RAFTER_CHECK(node.parent == kNoNode || (nodes_[node.parent].id > 0 && nodes_[node.parent].depth + 1 == node.depth),
                     "node {} hangs on nothing", id);
        RAFTER_CHECK(find(node.parent, tokens_of(id), salts_[id]) == id, "node {} is not found", id);
        RAFTER_CHECK(node.slot != kNoSlot || node.first_child != kNoNode, "node {} holds nothing", id);
        const bool leaf = node.slot != kNoSlot && node.first_child == kNoNode;
        RAFTER_CHECK(leaves_.priority(id).has_value() == leaf, "node {} may {}go", id, leaf ? "" : "not ");
        n_leaves += leaf;
        if (node.slot == kNoSlot) continue;
        RAFTER_CHECK(node.slot < options_.n_slots && !taken[node.slot], "slot {} is two nodes'", node.slot);
        taken[node.slot] = true;
        ++n_slots;
    }
    for (const SlotId slot : free_slots_) RAFTER_CHECK(!taken[slot], "slot {} is free and a node's", slot);
    RAFTER_CHECK(n_slots == n_used() && n_nodes == by_hash_.size() && n_leaves == leaves_.size(), "{} slots, {} nodes, {} leaves", n_slots,
                 n_nodes, n_leaves);
}

}  // namespace rafter::kv
