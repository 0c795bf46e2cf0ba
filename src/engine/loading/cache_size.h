// How many blocks each part of a model's KV cache gets.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/program.h"

namespace rafter::engine {

struct CacheDemand {
    std::uint32_t context = 0;      // positions a sequence
    std::uint32_t step_tokens = 0;  // new tokens a step at most
    std::uint32_t n_sequences = 1;  // at full context; no more is of use
    std::uint32_t block_size = 16;
    double bytes_per_token = 0.0;  // of one more position, in all layers together
};

struct CacheSize {
    double sequence_bytes = 0.0;          // of one sequence at full context
    std::vector<std::uint32_t> n_blocks;  // [n_groups]: for as many sequences as fit, and for parts of one
};

// A window's group needs no more than what its window and one step see. groups: of a whole model, or of a part that stands for it.
[[nodiscard]] CacheSize size_cache(std::span<const model::CacheGroup> groups, const CacheDemand& demand, double available_bytes);

}  // namespace rafter::engine
