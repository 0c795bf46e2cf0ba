// Pair merging, the heart of BPE and of SentencePiece's variant: of all neighbours that may merge, the pair of the lowest priority number
// does, the leftmost of equals first, until none is left.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace rafter::text {

// What two neighbours become. The lowest priority merges first.
struct PairMerge {
    std::uint32_t priority;
    TokenId id;
};

inline constexpr TokenId kNoToken = -1;  // a symbol that no token stands for: it merges with nothing unless its text does

struct Symbol {
    TokenId id;
    std::uint32_t begin, size;  // bytes of the word
    std::uint32_t prev, next;   // while merging a long word; kNone at the ends
};

// Working space for one thread. Time is O(n log n) for a word of n symbols.
class SymbolMerger {
  public:
    // Words longer than this must be cut by the caller: positions are 32 bits wide.
    static constexpr std::size_t kMaxWordBytes = std::size_t{1} << 30;

    // Begins a word of so many bytes.
    void start(std::size_t size_bytes);
    // Appends the word's next symbol, of `size` bytes.
    void push(TokenId id, std::size_t size);
    // find(left, right) -> std::optional<PairMerge>; must depend on the two symbols only.
    template <typename FindPair>
    void merge(const FindPair& find) {
        if (symbols_.size() <= kShortWord) {
            merge_short(find);
        } else {
            merge_long(find);
        }
    }
    [[nodiscard]] const std::vector<Symbol>& symbols() const { return symbols_; }

  private:
    // Up to here looking at every pair again after each merge costs less than keeping a heap.
    static constexpr std::size_t kShortWord = 32;
    static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

    struct Candidate {
        std::uint32_t priority;
        std::uint32_t left;
        std::uint32_t size;  // of both together: symbols only grow, so a pair that has changed since has another size
        TokenId id;
        // For a heap whose top is the candidate to take first.
        bool operator<(const Candidate& other) const { return priority != other.priority ? priority > other.priority : left > other.left; }
    };

    template <typename FindPair>
    void merge_short(const FindPair& find);
    template <typename FindPair>
    void merge_long(const FindPair& find);
    [[nodiscard]] bool is_current(const Candidate& candidate) const;
    void join_with_next(const Candidate& candidate);
    void push_heap(const Candidate& candidate);
    Candidate pop_heap();
    void drop_dead_symbols();

    std::vector<Symbol> symbols_;
    std::vector<PairMerge> pairs_;  // [symbols - 1], short words: what each symbol and the next become
    std::vector<Candidate> heap_;
};

template <typename FindPair>
void SymbolMerger::merge_short(const FindPair& find) {
    constexpr PairMerge kNever = {kNone, kNoToken};
    pairs_.clear();
    for (std::size_t i = 0; i + 1 < symbols_.size(); ++i) pairs_.push_back(find(symbols_[i], symbols_[i + 1]).value_or(kNever));
    while (!pairs_.empty()) {
        std::size_t best = 0;
        for (std::size_t i = 1; i < pairs_.size(); ++i) {
            if (pairs_[i].priority < pairs_[best].priority) best = i;
        }
        if (pairs_[best].priority == kNone) return;
        symbols_[best].id = pairs_[best].id;
        symbols_[best].size += symbols_[best + 1].size;
        symbols_.erase(symbols_.begin() + static_cast<std::ptrdiff_t>(best) + 1);
        pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(best));
        if (best < pairs_.size()) pairs_[best] = find(symbols_[best], symbols_[best + 1]).value_or(kNever);
        if (best > 0) pairs_[best - 1] = find(symbols_[best - 1], symbols_[best]).value_or(kNever);
    }
}

template <typename FindPair>
void SymbolMerger::merge_long(const FindPair& find) {
    heap_.clear();
    const auto consider = [&](std::uint32_t left) {
        if (left == kNone || symbols_[left].next == kNone) return;
        const Symbol& a = symbols_[left];
        const Symbol& b = symbols_[a.next];
        const std::optional<PairMerge> found = find(a, b);
        if (found) push_heap({found->priority, left, a.size + b.size, found->id});
    };
    const auto n = static_cast<std::uint32_t>(symbols_.size());
    for (std::uint32_t i = 0; i < n; ++i) {
        symbols_[i].prev = i == 0 ? kNone : i - 1;
        symbols_[i].next = i + 1 == n ? kNone : i + 1;
    }
    for (std::uint32_t i = 0; i + 1 < n; ++i) consider(i);
    while (!heap_.empty()) {
        const Candidate best = pop_heap();
        if (!is_current(best)) continue;
        join_with_next(best);
        consider(symbols_[best.left].prev);
        consider(best.left);
    }
    drop_dead_symbols();
}

}  // namespace rafter::text
