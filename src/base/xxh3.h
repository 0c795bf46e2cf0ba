// XXH3 of libxxhash (https://xxhash.com): a hash as fast as memory, for damage and for telling things apart. It is no defence against
// somebody who wants two inputs to look alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace rafter {

// Several parts: the hash of one is the seed of the next.
[[nodiscard]] std::uint64_t xxh3(std::span<const std::byte> bytes, std::uint64_t seed = 0);
[[nodiscard]] inline std::uint64_t xxh3(std::string_view text, std::uint64_t seed = 0) {
    return xxh3(std::as_bytes(std::span(text.data(), text.size())), seed);
}
[[nodiscard]] inline std::uint64_t xxh3(std::uint64_t value, std::uint64_t seed) { return xxh3(std::as_bytes(std::span(&value, 1)), seed); }

}  // namespace rafter
