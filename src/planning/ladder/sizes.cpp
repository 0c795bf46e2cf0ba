// Sizes follow from the model's context.
#include "planning/ladder/sizes.h"

#include <algorithm>

#include "report/units.h"

namespace rafter::planning {

Result<LadderSizes> ladder_sizes(const model::ModelConfig& config, bool quick) {
    constexpr std::uint32_t kMinContext = 64;
    const std::uint32_t most = config.n_context;
    if (most < kMinContext) {
        return bad_input("{}: expected a context of {} tokens at least, found {}", config.name, kMinContext, report::grouped(most));
    }
    LadderSizes sizes;
    sizes.context = std::min(sizes.context, most / 2);
    sizes.long_context = std::min(sizes.long_context, most);
    sizes.long_prompt = std::min(sizes.long_prompt, most - std::min(most / 4, sizes.chunk));
    sizes.chunk = std::min(sizes.chunk, most - sizes.long_prompt);
    sizes.reserved = std::min(8 * sizes.context, most);
    sizes.n_compared = std::min(quick ? 64U : sizes.n_compared, sizes.context);
    std::erase_if(sizes.paged_batches, [&](std::uint32_t n) { return std::uint64_t{n} * sizes.context > sizes.budget_positions(); });
    if (quick) {
        sizes.n_prefix_generated = 8;
        sizes.n_generated = 24;
    }
    if (sizes.request_context() > most) {
        const std::uint32_t half = most / 2;
        sizes.n_shared = half;
        sizes.n_own = std::min(sizes.n_own, most / 8);
        sizes.n_generated = std::min(sizes.n_generated, most / 8);
        sizes.n_prefix_generated = std::min(sizes.n_prefix_generated, sizes.n_generated);
    }
    return sizes;
}

}  // namespace rafter::planning
