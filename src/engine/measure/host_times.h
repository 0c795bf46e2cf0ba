// What the engine does around the model in a step: choosing tokens, scheduling, handing out results.
#pragma once

#include <cstdint>

#include "engine/engine.h"

namespace rafter::engine {

// Of one decode step.
struct HostTimes {
    double sample_seconds = 0.0;  // choosing tokens
    double host_seconds = 0.0;    // scheduling, streams
};

// Medians over a few steps in which so many real requests decode together. The engine must be idle. The context must have room for the
// requests: without it, all times are zero.
struct HostTimesOptions {
    std::uint32_t n_sequences = 1;
    std::uint32_t n_vocab = 1;
    std::uint32_t context = 1;
};
[[nodiscard]] Result<HostTimes> measure_host_times(Engine& engine, const HostTimesOptions& options);

}  // namespace rafter::engine
