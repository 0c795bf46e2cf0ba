// SentencePiece's normalisation table: which characters are written how before tokenising. Files carry it compiled.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rafter::text {

class PrecompiledCharsmap {
  public:
    struct Replacement {
        std::string_view text;
        std::size_t size;  // bytes of the input that it stands for
    };

    PrecompiledCharsmap() = default;  // replaces nothing
    // bytes: a little-endian u32, how many bytes of trie follow; the trie; texts that end in NUL.
    [[nodiscard]] static Result<PrecompiledCharsmap> parse(std::span<const unsigned char> bytes);
    // For the longest beginning of the input that the table knows.
    [[nodiscard]] std::optional<Replacement> longest(std::string_view input) const;

  private:
    std::vector<std::uint32_t> units_;
    std::string texts_;
};

}  // namespace rafter::text
