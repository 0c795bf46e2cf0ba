// An open-addressing hash table of numbers; the texts stay in their TextTable.
#include "text/text_index.h"

#include <bit>
#include <utility>

#include "base/xxh3.h"

namespace rafter::text {
void TextTable::append(std::string_view text) {
    bytes_ += text;
    ends_.push_back(bytes_.size());
}

void TextTable::pop_back() {
    ends_.pop_back();
    bytes_.resize(ends_.empty() ? 0 : ends_.back());
}

TextIndex::TextIndex(std::size_t n_texts) : slots_(std::bit_ceil(n_texts + n_texts / 2 + 2)) {}

std::size_t TextIndex::slot_of(const TextTable& table, std::string_view text, std::uint32_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash & mask;
    while (slots_[at].i >= 0 && (slots_[at].hash != hash || table[static_cast<std::size_t>(slots_[at].i)] != text)) {
        at = (at + 1) & mask;
    }
    return at;
}

void TextIndex::grow() {
    const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
    const std::size_t mask = slots_.size() - 1;
    for (const Slot& slot : old) {
        if (slot.i < 0) continue;
        std::size_t at = slot.hash & mask;
        while (slots_[at].i >= 0) at = (at + 1) & mask;
        slots_[at] = slot;
    }
}

std::optional<std::int32_t> TextIndex::add(const TextTable& table, std::int32_t i) {
    if ((n_used_ + 1) * 3 > slots_.size() * 2) grow();
    const std::string_view text = table[static_cast<std::size_t>(i)];
    const auto hash = static_cast<std::uint32_t>(xxh3(text, seed_));
    Slot& slot = slots_[slot_of(table, text, hash)];
    if (slot.i >= 0) return slot.i;
    slot = {hash, i};
    ++n_used_;
    return std::nullopt;
}

std::optional<std::int32_t> TextIndex::find(const TextTable& table, std::string_view text) const {
    const Slot& slot = slots_[slot_of(table, text, static_cast<std::uint32_t>(xxh3(text, seed_)))];
    if (slot.i < 0) return std::nullopt;
    return slot.i;
}

}  // namespace rafter::text
