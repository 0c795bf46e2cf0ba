// Which prompts were sent lately, as their blocks' hashes: what a new prompt will probably find in the prefix cache, known without asking
// the engine's thread. A guess: it knows nothing of what the cache evicts first, and of a part of a block only that of the first prompt
// that went on there.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/token_stream.h"
#include "kv/block_hashes.h"

namespace rafter::engine {

// What a prompt probably finds.
struct ExpectedPrefix {
    std::uint32_t n_tokens = 0;
    std::uint64_t provider = 0;  // the number of the sequence whose prompt computes the last of them, perhaps ended; 0: none
};

// One thread.
class RecentPrompts {
  public:
    struct Prompt {
        std::uint64_t number = 0;  // from 1 on; never that of another
        ExpectedPrefix expected;
    };

    // Knows as many blocks as the cache has: those used last.
    RecentPrompts(std::uint32_t n_blocks, std::uint32_t block_size) : n_blocks_(n_blocks), block_size_(block_size) {}

    // wanted: of the tokens that the cache may answer for (Sequence::wanted_key).
    [[nodiscard]] ExpectedPrefix expect(const kv::PrefixKey& wanted) const;
    // A sequence is under way from now until end(). Throws without memory; nobody is under way then, and some of its blocks are known.
    void add(const TokenStream* id, const ExpectedPrefix& expected, const kv::PrefixKey& prompt);
    void end(const TokenStream* id) { under_way_.erase(id); }
    // end(), of a sequence whose prompt will never be computed.
    void forget(const TokenStream* id, std::span<const std::uint64_t> hashes);
    // A text whose full blocks are computed, such as an answer: the tokens that come after the block of this hash, or after the salt's.
    void add_computed(std::uint64_t previous, std::span<const kv::Token> tokens);
    // Null where it is not under way.
    [[nodiscard]] const Prompt* find(const TokenStream* id) const;
    [[nodiscard]] std::size_t n_blocks_known() const { return blocks_.size(); }

  private:
    struct Block {
        std::uint64_t provider;
        std::list<std::uint64_t>::iterator place;
        std::vector<kv::Token> next;  // the block after it, of the first prompt that had one
    };
    Block& add_block(std::uint64_t hash);

    std::uint32_t n_blocks_;
    std::uint32_t block_size_;
    std::uint64_t last_number_ = 0;
    std::unordered_map<const TokenStream*, Prompt> under_way_;
    std::unordered_map<std::uint64_t, Block> blocks_;  // by hash
    std::list<std::uint64_t> by_use_;                  // hashes, the one used last first
};

}  // namespace rafter::engine
