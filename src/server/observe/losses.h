// Where the engine's time above the roof goes, by cause.
#pragma once

#include <string_view>
#include <vector>

#include "server/observe/step_watch.h"

namespace rafter::server {

struct LostSeconds {
    std::string_view cause;  // a word: "kernels", for metrics and JSON
    std::string_view what;   // for people: "kernels below the roof"
    double seconds = 0.0;
};

// They add up to sums.step - sums.roof() + sums.between. "prediction" is below 0 where the model was faster than predicted. Where there is
// no machine profile, or one by which the steps were faster than the roof, the model's own time cannot be split: its causes are left out.
[[nodiscard]] std::vector<LostSeconds> losses_of(const StepSums& sums);

}  // namespace rafter::server
