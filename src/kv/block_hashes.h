// The hash of a block covers all tokens up to the block's end: it is XXH3 of the block's tokens, seeded with the hash of the block before
// it, and a first block's seed is the hash of the salt. The prefix cache, its index of the file and the scheduler use this one hash.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/xxh3.h"

namespace rafter::kv {

using Token = std::int32_t;

[[nodiscard]] inline std::uint64_t salt_hash(std::string_view salt) { return xxh3(salt); }
[[nodiscard]] inline std::uint64_t block_hash(std::uint64_t previous, std::span<const Token> tokens) {
    return xxh3(std::as_bytes(tokens), previous);
}

// What a sequence is found by in the cache. A view.
struct PrefixKey {
    std::span<const Token> tokens;
    std::span<const std::uint64_t> hashes;  // of the tokens' full blocks; there may be more
    std::string_view salt;

    [[nodiscard]] PrefixKey first(std::size_t n_tokens) const { return {tokens.first(n_tokens), hashes, salt}; }
};

// Remembers the hashes of a growing text's full blocks: each block is hashed once.
class BlockHashes {
  public:
    // The tokens must begin with those of the calls before, and salt and block size must be the same. Valid until the next call.
    [[nodiscard]] PrefixKey key(std::span<const Token> tokens, std::string_view salt, std::uint32_t block_size) {
        const std::size_t n_blocks = tokens.size() / block_size;
        if (hashes_.size() < n_blocks && hashes_.empty()) hashes_.reserve(n_blocks);
        while (hashes_.size() < n_blocks) {
            const std::uint64_t previous = hashes_.empty() ? salt_hash(salt) : hashes_.back();
            hashes_.push_back(block_hash(previous, tokens.subspan(hashes_.size() * block_size, block_size)));
        }
        return {.tokens = tokens, .hashes = hashes_, .salt = salt};
    }

  private:
    std::vector<std::uint64_t> hashes_;
};

}  // namespace rafter::kv
