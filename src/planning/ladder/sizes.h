// How large the ladder's loads are for a model: contexts, batches, reservations, and what the last rungs' requests are made of.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "model/config.h"

namespace rafter::planning {

struct LadderSizes {
    std::uint32_t context = 256;        // positions that each step on the path sees
    std::uint32_t long_context = 8192;  // where attention and the cache matter most
    std::uint32_t long_prompt = 2048;   // tokens of a prompt before the chunk that flash attention is measured on
    std::uint32_t chunk = 128;          // tokens of that chunk
    std::uint32_t reserved = 2048;      // positions that a contiguous reservation takes, whatever a sequence uses of it
    std::vector<std::uint32_t> contiguous_batches = {2, 4, 8};  // ascending: of those, the last takes the whole memory budget
    std::vector<std::uint32_t> paged_batches = {16, 32, 64};    // ascending: in the same memory
    std::uint32_t n_compared = 128;                             // tokens whose logits are compared

    // Requests of the last rungs.
    std::uint32_t n_shared = 1000;          // tokens that all prompts begin with
    std::uint32_t n_own = 24;               // and that each has alone
    std::uint32_t n_prefix_requests = 4;    // of the prefix cache's rung
    std::uint32_t n_prefix_generated = 16;  // tokens that each of them gets
    std::uint32_t n_together = 32;          // of the last rung
    std::uint32_t n_generated = 48;         // tokens that each of them gets

    // Positions that the cache has in the memory budget: the largest contiguous batch's.
    [[nodiscard]] std::uint64_t budget_positions() const { return std::uint64_t{contiguous_batches.back()} * reserved; }
    [[nodiscard]] std::uint32_t request_context() const { return n_shared + n_own + n_generated + 16; }
};

// Fails on a model whose context is too short for a ladder. quick: fewer requests and tokens.
[[nodiscard]] Result<LadderSizes> ladder_sizes(const model::ModelConfig& config, bool quick);

}  // namespace rafter::planning
