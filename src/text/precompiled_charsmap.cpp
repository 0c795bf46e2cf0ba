// The trie is a double array of the Darts-clone library (https://github.com/s-yata/darts-clone, unit layout in darts.h): a child of a node
// lies at the node's index XOR its offset XOR the byte. The table is untrusted, so every step is checked.
#include "text/precompiled_charsmap.h"

namespace rafter::text {
namespace {

// One 32-bit unit.
struct Unit {
    std::uint32_t bits;
    [[nodiscard]] std::uint32_t offset() const { return bits >> 10 << ((bits & 1U << 9) >> 6); }
    [[nodiscard]] std::uint32_t label() const { return bits & (1U << 31 | 0xFF); }
    [[nodiscard]] bool has_leaf() const { return (bits >> 8 & 1) != 0; }
    [[nodiscard]] std::uint32_t value() const { return bits & ~(1U << 31); }
};

std::uint32_t read_u32(const unsigned char* p) {
    return p[0] | static_cast<std::uint32_t>(p[1]) << 8 | static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
}

}  // namespace

Result<PrecompiledCharsmap> PrecompiledCharsmap::parse(std::span<const unsigned char> bytes) {
    if (bytes.empty()) return PrecompiledCharsmap();
    constexpr std::size_t kHeader = 4;
    const std::size_t n_trie_bytes = bytes.size() < kHeader ? 0 : read_u32(bytes.data());
    if (bytes.size() < kHeader || n_trie_bytes > bytes.size() - kHeader || n_trie_bytes % 4 != 0) {
        return bad_input("expected a trie's size and that many bytes of it (a multiple of 4), found {} bytes and a size of {}",
                         bytes.size(), n_trie_bytes);
    }
    const auto texts = bytes.subspan(kHeader + n_trie_bytes);
    if (!texts.empty() && texts.back() != 0) return bad_input("expected the last replacement to end in NUL, found {}", texts.back());
    PrecompiledCharsmap made;
    for (std::size_t i = 0; i < n_trie_bytes; i += 4) made.units_.push_back(read_u32(bytes.data() + kHeader + i));
    made.texts_.assign(texts.begin(), texts.end());
    return made;
}

std::optional<PrecompiledCharsmap::Replacement> PrecompiledCharsmap::longest(std::string_view input) const {
    std::optional<Replacement> found;
    if (units_.empty()) return found;
    std::uint32_t node = Unit{units_[0]}.offset();
    for (std::size_t i = 0; i < input.size() && input[i] != '\0'; ++i) {
        const auto byte = static_cast<unsigned char>(input[i]);
        node ^= byte;
        if (node >= units_.size() || Unit{units_[node]}.label() != byte) break;
        const Unit unit{units_[node]};
        node ^= unit.offset();
        if (!unit.has_leaf() || node >= units_.size()) continue;
        const std::uint32_t at = Unit{units_[node]}.value();
        if (at >= texts_.size()) continue;
        found = Replacement{std::string_view(texts_.data() + at), i + 1};  // ends at a NUL: the last byte is one
    }
    return found;
}

}  // namespace rafter::text
