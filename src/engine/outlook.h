// What a scheduler had at the end of a step, as a forecast of the steps after it needs it (engine/measure/forecast.h).
#pragma once

#include <cstdint>
#include <vector>

#include "engine/measure/step_cost.h"

namespace rafter::engine {

class TokenStream;

struct SequenceOutlook {
    const TokenStream* id = nullptr;  // whose it is; compared, never dereferenced
    std::uint32_t n_prompt = 0;
    std::uint32_t n_tokens = 0;    // of prompt and answer so far
    std::uint32_t n_computed = 0;  // of them
    std::uint32_t n_reused = 0;    // of those, found in the cache
    std::uint32_t max_tokens = 0;  // of the answer
};

struct SchedulerOutlook {
    double at = 0.0;                                // the step's end, in seconds of the scheduler's clock
    std::vector<SequenceOutlook> running, waiting;  // in order; of those that wait, the ones that a step can begin with
    std::uint32_t n_blocks = 0;                     // of the cache, in the group that sees everything, or the first
    double answer_tokens = 0.0;                     // of answers that ended lately, on average; 0: none has
    StepCost cost;                                  // as learned so far
    // Of late steps, filled in by who takes them:
    double host_seconds = 0.0;        // what a step takes beside the model
    double drafts_per_token = 0.0;    // draft tokens checked for each decoding sequence and step
    double accepted_per_token = 0.0;  // of them, right
};

}  // namespace rafter::engine
