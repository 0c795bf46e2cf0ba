// A set of character pairs; see the header.
#include "text/char_pairs.h"

namespace rafter::text {

void CharPairs::add(std::uint32_t first, std::uint32_t second) {
    if ((first | second) < 128) {
        ascii_[first][second / 64] |= std::uint64_t{1} << second % 64;
        return;
    }
    const std::uint64_t key = key_of(first, second);
    if (slots_[slot_of(key)] == key) return;
    if ((n_used_ + 1) * 2 > slots_.size()) {
        std::vector<std::uint64_t> old(slots_.size() * 2);
        old.swap(slots_);
        for (const std::uint64_t k : old) {
            if (k != 0) slots_[slot_of(k)] = k;
        }
    }
    slots_[slot_of(key)] = key;
    ++n_used_;
}

void CharPairs::add_all_of(std::string_view text) {
    if (text.empty()) return;
    TextUnit previous = text_unit_at(text, 0);
    for (std::size_t i = previous.size; i < text.size();) {
        const TextUnit unit = text_unit_at(text, i);
        add(previous.code, unit.code);
        previous = unit;
        i += unit.size;
    }
}

}  // namespace rafter::text
