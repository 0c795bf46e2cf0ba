// Remembers how words were tokenised earlier in the same text. A few thousand words make up most of any text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/xxh3.h"
#include "text/tokenizer.h"

namespace rafter::text {

// Belongs to one encode call: an entry points at tokens already in that call's output. Words of the same slot replace one another.
class WordCache {
  public:
    // Short texts go without: clearing the table would cost more than it saves.
    explicit WordCache(std::size_t text_size_bytes) : entries_(text_size_bytes < kMinTextBytes ? 0 : kEntries) {}

    // Appends the word's tokens to out: copied from earlier, or made by encode(), which must append them.
    template <typename Encode>
    void append(std::string_view word, std::vector<TokenId>& out, const Encode& encode) {
        if (entries_.empty() || word.size() > kMaxWordBytes) return encode();
        Entry& entry = entries_[xxh3(word) % kEntries];
        if (entry.word() == word) {
            for (std::size_t i = 0; i < entry.n_tokens; ++i) out.push_back(out[entry.begin + i]);
            return;
        }
        const std::size_t begin = out.size();
        encode();
        word.copy(entry.bytes.data(), word.size());
        entry.size = static_cast<std::uint8_t>(word.size());
        entry.n_tokens = static_cast<std::uint8_t>(out.size() - begin);  // at most one a byte
        entry.begin = begin;
    }

  private:
    static constexpr std::size_t kMinTextBytes = 16 << 10;
    static constexpr std::size_t kEntries = 1 << 15;  // 1.3 MB
    static constexpr std::size_t kMaxWordBytes = 22;
    struct Entry {
        std::array<char, kMaxWordBytes> bytes;
        std::uint8_t size = 0;
        std::uint8_t n_tokens = 0;
        std::size_t begin = 0;
        [[nodiscard]] std::string_view word() const { return {bytes.data(), size}; }
    };
    std::vector<Entry> entries_;
};

}  // namespace rafter::text
