// A binary heap with an index of its places.
#include "kv/eviction_queue.h"

#include "base/check.h"

namespace rafter::kv {
namespace {

bool goes_before(const EvictionQueue::Entry& a, const EvictionQueue::Entry& b) {
    return a.priority != b.priority ? a.priority < b.priority : a.node < b.node;
}

}  // namespace

std::optional<double> EvictionQueue::priority(NodeId node) const {
    const std::uint32_t at = place(node);
    return at == kNowhere ? std::nullopt : std::optional(heap_[at].priority);
}

void EvictionQueue::reserve(NodeId end) {
    if (end > places_.size()) places_.resize(end, kNowhere);
    if (heap_.capacity() < places_.size()) heap_.reserve(places_.capacity());
}

void EvictionQueue::add(const Entry& entry, NodeId instead_of) {
    RAFTER_CHECK(place(entry.node) == kNowhere, "node {} is in the queue already", entry.node);
    reserve(entry.node + 1);
    std::size_t at = place(instead_of);
    if (at == kNowhere) {
        at = heap_.size();
        heap_.emplace_back();
    } else {
        places_[instead_of] = kNowhere;
    }
    settle(at, entry);
}

void EvictionQueue::remove(NodeId node) {
    const std::uint32_t at = place(node);
    if (at == kNowhere) return;
    places_[node] = kNowhere;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (at < heap_.size()) settle(at, last);
}

void EvictionQueue::put(std::size_t at, const Entry& entry) {
    heap_[at] = entry;
    places_[entry.node] = static_cast<std::uint32_t>(at);
}

// The entry at this place is void: others move into it until the new one fits.
void EvictionQueue::settle(std::size_t at, const Entry& entry) {
    while (at > 0 && goes_before(entry, heap_[(at - 1) / 2])) {
        put(at, heap_[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
        if (child + 1 < heap_.size() && goes_before(heap_[child + 1], heap_[child])) ++child;
        if (!goes_before(heap_[child], entry)) break;
        put(at, heap_[child]);
        at = child;
    }
    put(at, entry);
}

}  // namespace rafter::kv
