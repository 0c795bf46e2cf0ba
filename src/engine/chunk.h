// How many of its next tokens a prompt gets in a step beside decoding sequences: one rule for the scheduler and for forecasts of it.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rafter::engine {

inline constexpr std::uint32_t kMinChunk = 16;  // prompt tokens a step, whatever the target

// The most tokens up to n_max for which keeps_target(n) holds, as it does for all smaller ones; and what is missing of kMinChunk without
// asking. n_of_prompts: those that the step has already.
template <typename KeepsTarget>
[[nodiscard]] std::uint32_t largest_chunk_within(std::uint32_t n_max, std::uint32_t n_of_prompts, const KeepsTarget& keeps_target) {
    std::uint32_t n = std::min(n_max, n_of_prompts < kMinChunk ? kMinChunk - n_of_prompts : 0);
    if (n < n_max && !keeps_target(n + 1)) return n;  // mostly so behind the first prompt
    while (n < n_max) {
        const std::uint32_t middle = n + (n_max - n + 1) / 2;
        if (keeps_target(middle)) {
            n = middle;
        } else {
            n_max = middle - 1;
        }
    }
    return n;
}

}  // namespace rafter::engine
