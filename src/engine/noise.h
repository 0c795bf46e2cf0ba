// Counter-based noise: a number that depends on (seed, position) and on nothing else, so that the token drawn at a position is the same
// whatever else runs. Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011),
// https://doi.org/10.1145/2063384.2063405
#pragma once

#include <array>
#include <cstdint>

namespace rafter::engine {

[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t a = std::uint64_t{0xD2511F53U} * counter[0];
        const std::uint64_t b = std::uint64_t{0xCD9E8D57U} * counter[2];
        counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
                   static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
        key[0] += 0x9E3779B9U;
        key[1] += 0xBB67AE85U;
    }
    return counter;
}

// In [0, 1), 53 bits.
[[nodiscard]] constexpr double uniform(std::uint64_t seed, std::uint32_t position) {
    const auto words = philox({position, 0, 0, 0}, {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    return static_cast<double>((std::uint64_t{words[1]} << 32 | words[0]) >> 11) * 0x1p-53;
}

// The seed of the i-th of several answers. The first keeps the seed as it is; the others' counters are none that uniform() uses.
[[nodiscard]] constexpr std::uint64_t derived_seed(std::uint64_t seed, std::uint32_t i) {
    if (i == 0) return seed;
    const auto words = philox({i, 0, 0, 1}, {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    return std::uint64_t{words[1]} << 32 | words[0];
}

}  // namespace rafter::engine
