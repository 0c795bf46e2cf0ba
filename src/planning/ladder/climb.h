// Climbs the ladder on this machine: loads the model as each rung needs it, measures its steps beside their prices, and checks what it
// says.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engine/loading/loaded_model.h"
#include "engine/loading/runtime.h"
#include "planning/ladder/ladder.h"
#include "probe/matrix_bench.h"

namespace rafter::planning {

struct ClimbOptions {
    bool quick = false;                                                    // fewer repeats, requests and probes
    std::string version;                                                   // of the program
    std::string model;                                                     // what the report calls it; empty: as the file does
    std::string file;                                                      // the model's, as the report names it
    std::function<void(double fraction, std::string_view what)> progress;  // may be empty
    std::function<bool()> is_stopped;  // asked between measurements; true: the ladder ends with what it has. May be empty
    // Measures the machine before the rungs of these types of weights; empty: probe::probe_machine().
    std::function<Result<hardware::Profile>(const probe::ProbeFocus& focus)> probe;
};

// Fails on what no rung can do without: a context that is too short, no memory for the model in any form. A rung that fails alone is
// skipped with the reason.
[[nodiscard]] Result<Ladder> climb(engine::Runtime& runtime, const engine::OpenedModel& opened, const ClimbOptions& options);

}  // namespace rafter::planning
