// Counter-based noise: a number that depends on (seed, position), or (seed, position, token), and on nothing else, so that the token drawn
// at a position is the same whatever else runs. Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011),
// https://doi.org/10.1145/2063384.2063405
#pragma once

#include <array>
#include <cmath>
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

// A number for each token at one position. Its upper half tells most tokens what they need to know; one philox() gives that of four.
class TokenNoise {
  public:
    constexpr TokenNoise(std::uint64_t seed, std::uint32_t position)
        : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}, position_(position) {}

    // The first 32 binary digits of uniform() of tokens 4 * group .. 4 * group + 3.
    [[nodiscard]] constexpr std::array<std::uint32_t, 4> upper(std::uint32_t group) const { return philox({position_, group, 0, 2}, key_); }
    // In (0, 1), both ends excluded: an odd multiple of 2^-53, so that 1 less it is exact too.
    [[nodiscard]] constexpr double uniform(std::uint32_t token) const {
        const std::uint64_t high = upper(token / 4)[token % 4];
        const std::uint64_t low = philox({position_, token / 4, 1, 2}, key_)[token % 4];
        return (static_cast<double>((high << 32 | low) >> 12) + 0.5) * 0x1p-52;
    }
    // Exponentially distributed with mean 1, above 0, and at least uniform().
    [[nodiscard]] double exponential(std::uint32_t token) const { return -std::log(1.0 - uniform(token)); }

  private:
    std::array<std::uint32_t, 2> key_;
    std::uint32_t position_;
};

// The seed of the i-th of several answers. The first keeps the seed as it is; the others' counters are none that are used above.
[[nodiscard]] constexpr std::uint64_t derived_seed(std::uint64_t seed, std::uint32_t i) {
    if (i == 0) return seed;
    const auto words = philox({i, 0, 0, 1}, {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    return std::uint64_t{words[1]} << 32 | words[0];
}

}  // namespace rafter::engine
