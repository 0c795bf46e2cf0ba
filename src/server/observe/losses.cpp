// The model's time is what the roof takes, what was predicted beyond it, and what no prediction saw.
#include "server/observe/losses.h"

#include <algorithm>

namespace rafter::server {

std::vector<LostSeconds> losses_of(const StepSums& sums) {
    std::vector<LostSeconds> losses;
    if (sums.roof() > 0.0 && sums.predicted > 0.0 && sums.roof() <= sums.forward) {
        // The prediction has learned from steps, the price of overhead has not: it is at most what the prediction has room for.
        const double above = sums.predicted - sums.roof();
        const double missed = sums.forward - sums.predicted;
        const double overhead = std::clamp(sums.overhead, 0.0, std::max(0.0, above));
        losses = {{"overhead", "beginning steps and barriers between ops", overhead},
                  {"kernels", "kernels below the roof", above - overhead},
                  {"prediction", missed < 0.0 ? "the model faster than predicted" : "the model slower than predicted", missed}};
    }
    losses.insert(losses.end(), {{"sampling", "choosing tokens", sums.sample},
                                 {"drafting", "drafting", sums.draft},
                                 {"engine", "scheduling and streams", sums.step - sums.forward - sums.sample - sums.draft},
                                 {"between", "between steps while requests ran", sums.between}});
    return losses;
}

}  // namespace rafter::server
