// The long word's list and heap; see the header.
#include "text/merging.h"

#include <algorithm>

namespace rafter::text {

void SymbolMerger::start(std::size_t size_bytes) {
    symbols_.clear();
    symbols_.reserve(size_bytes);  // a symbol a byte at most; growing step by step would hold a long word twice
}

void SymbolMerger::push(TokenId id, std::size_t size) {
    const std::uint32_t begin = symbols_.empty() ? 0 : symbols_.back().begin + symbols_.back().size;
    symbols_.push_back({id, begin, static_cast<std::uint32_t>(size), kNone, kNone});
}

bool SymbolMerger::is_current(const Candidate& candidate) const {
    const Symbol& left = symbols_[candidate.left];
    return left.size > 0 && left.next != kNone && left.size + symbols_[left.next].size == candidate.size;
}

void SymbolMerger::join_with_next(const Candidate& candidate) {
    Symbol& left = symbols_[candidate.left];
    Symbol& right = symbols_[left.next];
    left.id = candidate.id;
    left.size = candidate.size;
    left.next = right.next;
    right.size = 0;  // dead
    if (left.next != kNone) symbols_[left.next].prev = candidate.left;
}

void SymbolMerger::push_heap(const Candidate& candidate) {
    heap_.push_back(candidate);
    std::push_heap(heap_.begin(), heap_.end());
}

SymbolMerger::Candidate SymbolMerger::pop_heap() {
    std::pop_heap(heap_.begin(), heap_.end());
    const Candidate best = heap_.back();
    heap_.pop_back();
    return best;
}

void SymbolMerger::drop_dead_symbols() {
    std::erase_if(symbols_, [](const Symbol& symbol) { return symbol.size == 0; });
}

}  // namespace rafter::text
