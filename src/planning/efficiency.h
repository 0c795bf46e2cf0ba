// --efficiency: "ideal", "calibrated" (what engines typically reach on a device of this kind) or a JSON file.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "hardware/hardware.h"
#include "roofline/efficiency.h"

namespace rafter::planning {

// What engines reach on a device that nobody has measured, by the kind that its name and description say. Efficiency::name says the kind.
[[nodiscard]] roofline::Efficiency typical_efficiency(const hardware::Hardware& hardware);

// Unknown keys of a file and typical values are warned of.
[[nodiscard]] Result<roofline::Efficiency> read_efficiency(const std::string& name, const hardware::Hardware& hardware,
                                                           std::vector<std::string>& warnings);

// As such a file has it, with every key.
[[nodiscard]] nlohmann::ordered_json efficiency_json(const roofline::Efficiency& efficiency);

}  // namespace rafter::planning
