// Texts by number and numbers by text: how a vocabulary is held. Both are built once and then only read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/hash.h"

namespace rafter::text {

// Texts one after another in one allocation: views stay valid until the next append.
class TextTable {
  public:
    void append(std::string_view text);
    void pop_back();  // of the text that was appended last
    [[nodiscard]] std::size_t size() const { return ends_.size(); }
    [[nodiscard]] std::string_view operator[](std::size_t i) const {
        const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
        return std::string_view(bytes_).substr(begin, ends_[i] - begin);
    }

  private:
    std::string bytes_;
    std::vector<std::size_t> ends_;
};

// From a text to its number in a TextTable. The table is handed to every call, so that both can be moved freely.
class TextIndex {
  public:
    // Room for n_texts; more may be added, at the cost of a rebuild.
    explicit TextIndex(std::size_t n_texts = 0);
    // Indexes table[i]. Where an equal text is in the index, nothing is added and that text's number comes back.
    std::optional<std::int32_t> add(const TextTable& table, std::int32_t i);
    [[nodiscard]] std::optional<std::int32_t> find(const TextTable& table, std::string_view text) const;

  private:
    struct Slot {
        std::uint32_t hash = 0;
        std::int32_t i = -1;  // -1: empty
    };
    // The slot of this text, or the empty one where it belongs.
    [[nodiscard]] std::size_t slot_of(const TextTable& table, std::string_view text, std::uint32_t hash) const;
    void grow();

    std::uint64_t seed_ = hash_seed();
    std::vector<Slot> slots_;  // a power of two of them, at most two thirds full
    std::size_t n_used_ = 0;
};

}  // namespace rafter::text
