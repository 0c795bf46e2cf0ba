// Hashing for the tables of this folder: texts with XXH3 (base/xxh3.h), numbers with two multiplications here. What is hashed comes from
// model files, so the seed is drawn anew in each run: nobody can choose keys that collide. No result depends on it.
#pragma once

#include <cstdint>
#include <random>

namespace rafter::text {

inline std::uint64_t hash_seed() {
    static const std::uint64_t seed = [] {
        std::random_device device;
        return static_cast<std::uint64_t>(device()) << 32 | device();
    }();
    return seed;
}

// Both halves of the 128-bit product: every bit of a reaches every bit of the result.
inline std::uint64_t hash_mix(std::uint64_t a) {
    constexpr std::uint64_t kFactor = 0xB7E151628AED2A6B;  // e, odd, with about as many ones as zeros
    const auto product = static_cast<unsigned __int128>(a) * kFactor;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t hash_word(std::uint64_t word, std::uint64_t seed) { return hash_mix(hash_mix(word ^ seed) + seed); }

}  // namespace rafter::text
