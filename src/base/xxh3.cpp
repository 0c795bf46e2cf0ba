// The library's header holds all of its code. It is compiled in here, so that librafter.a needs no further library where it is linked.
#include "base/xxh3.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rafter {

std::uint64_t xxh3(std::span<const std::byte> bytes, std::uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

}  // namespace rafter
