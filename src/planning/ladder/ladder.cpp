// What follows from a ladder's numbers.
#include "planning/ladder/ladder.h"

#include <algorithm>
#include <cmath>

namespace rafter::planning {

bool LadderRung::as_predicted() const {
    constexpr double kNearOne = 0.02;
    if (std::abs(gain() - 1.0) <= kNearOne || std::abs(predicted_gain() - 1.0) <= kNearOne) return true;
    return (gain() > 1.0) == (predicted_gain() > 1.0);
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
