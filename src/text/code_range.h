// Sets of code points, as tables of ranges.
#pragma once

#include <algorithm>
#include <iterator>
#include <span>

namespace rafter::text {

struct CodeRange {
    char32_t first, last;  // both belong to it
};

// The ranges rise and do not overlap.
inline bool is_in(std::span<const CodeRange> ranges, char32_t code) {
    const auto after = std::ranges::upper_bound(ranges, code, {}, &CodeRange::first);
    return after != ranges.begin() && code <= std::prev(after)->last;
}

}  // namespace rafter::text
