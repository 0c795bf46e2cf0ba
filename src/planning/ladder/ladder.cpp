// What follows from a ladder's numbers.
#include "planning/ladder/ladder.h"

#include <algorithm>
#include <cmath>

namespace rafter::planning {

bool LadderRung::as_predicted() const {
    constexpr double kNone = 0.02;   // a gain so near to 1 is none
    constexpr double kAlike = 0.05;  // of each other: then it does not matter which of them is called none
    const auto direction = [](double gain) { return gain > 1.0 + kNone ? 1 : gain < 1.0 - kNone ? -1 : 0; };
    if (direction(gain()) == direction(predicted_gain())) return true;
    return direction(gain()) * direction(predicted_gain()) == 0 && std::abs(gain() / predicted_gain() - 1.0) <= kAlike;
}

std::vector<double> Ladder::errors() const {
    std::vector<double> errors;
    for (const LadderRung& rung : rungs) {
        if (rung.skipped) continue;
        if (!rung.on_path && rung.before.measured_seconds) errors.push_back(std::abs(rung.before.error()));
        if (rung.after.measured_seconds) errors.push_back(std::abs(rung.after.error()));
    }
    return errors;
}

const LadderRung* Ladder::find(const std::string& id) const {
    const auto found = std::ranges::find(rungs, id, &LadderRung::id);
    return found == rungs.end() ? nullptr : &*found;
}

}  // namespace rafter::planning
