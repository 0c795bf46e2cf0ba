// Groups are sized for the same number of sequences, so that none runs out before the others.
#include "engine/loading/cache_size.h"

#include <algorithm>

namespace rafter::engine {

CacheSize size_cache(std::span<const model::CacheGroup> groups, const CacheDemand& demand, double available_bytes) {
    const auto blocks_for = [&](std::uint32_t n) { return n / demand.block_size + (n % demand.block_size != 0); };
    std::size_t n_layers = 0;
    for (const model::CacheGroup& group : groups) n_layers += group.layers.size();
    CacheSize size;
    std::vector<std::uint32_t> each;  // blocks of one sequence, by group
    for (const model::CacheGroup& group : groups) {
        std::uint32_t n = blocks_for(demand.context);
        if (group.window > 0) n = std::min(n, blocks_for(group.window) + blocks_for(demand.step_tokens) + 2);
        each.push_back(n);
        size.sequence_bytes +=
            demand.bytes_per_token * demand.block_size * n * static_cast<double>(group.layers.size()) / static_cast<double>(n_layers);
    }
    const double n_fit =
        size.sequence_bytes > 0.0 ? std::min<double>(demand.n_sequences, available_bytes / size.sequence_bytes) : demand.n_sequences;
    for (const std::uint32_t n : each) {
        size.n_blocks.push_back(static_cast<std::uint32_t>(std::clamp<double>(n * n_fit, 0.0, UINT32_MAX)));
    }
    return size;
}

}  // namespace rafter::engine
