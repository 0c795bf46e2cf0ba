// FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), a word at a time: a fingerprint of a sequence, never a defence.
#pragma once

#include <cstdint>

namespace rafter {

inline constexpr std::uint64_t kFnvBasis = 0xCBF29CE484222325U;
[[nodiscard]] constexpr std::uint64_t fnv1a(std::uint64_t hash, std::uint64_t value) { return (hash ^ value) * 0x100000001B3U; }

}  // namespace rafter
