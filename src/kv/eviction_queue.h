// Blocks that may be evicted, the one to go first in front: a heap that knows where each is, so that any of them can leave it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kv/sequence_blocks.h"

namespace rafter::kv {

// add() and remove() take the logarithm of its size, and allocate nothing for nodes below those that reserve() knows.
class EvictionQueue {
  public:
    struct Entry {
        double priority = 0.0;
        NodeId node = kNoNode;
    };

    [[nodiscard]] std::size_t size() const { return heap_.size(); }
    [[nodiscard]] bool empty() const { return heap_.empty(); }
    // The lowest priority; of equal ones the lowest node. The queue must not be empty.
    [[nodiscard]] const Entry& front() const { return heap_.front(); }
    // None where the node is not in it.
    [[nodiscard]] std::optional<double> priority(NodeId node) const;

    // Room for all nodes below this one.
    void reserve(NodeId end);
    // The node must not be in it. instead_of: leaves it; takes no time where both stand in front, as a parent after its child does.
    void add(const Entry& entry, NodeId instead_of = kNoNode);
    // Changes nothing where the node is not in it.
    void remove(NodeId node);

  private:
    static constexpr std::uint32_t kNowhere = ~0U;
    [[nodiscard]] std::uint32_t place(NodeId node) const { return node < places_.size() ? places_[node] : kNowhere; }
    void put(std::size_t at, const Entry& entry);
    void settle(std::size_t at, const Entry& entry);

    std::vector<Entry> heap_;            // children of i: 2 * i + 1 and the next, neither goes before it
    std::vector<std::uint32_t> places_;  // in the heap, by node
};

}  // namespace rafter::kv
