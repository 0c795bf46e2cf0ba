// What measured and priced ops say of a step: the roof that binds, where the time above it goes, and what would help.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/measure/host_times.h"
#include "engine/measure/step_lab.h"
#include "engine/measure/step_profile.h"
#include "hardware/profile.h"
#include "report/style.h"

namespace rafter::planning {

struct VerdictInput {
    const engine::PhaseProfile& phase;  // of one step, or of one prompt
    const backend::Backend& backend;    // that runs the program
    const model::Program& program;
    const hardware::Profile& machine;
    engine::LabShape shape;
    std::string model_name;
    roofline::PriceOptions price;
    engine::HostTimes host;
    std::string best_isa;  // of this machine
    unsigned usable_cpus = 1;
};

// Time above the roof, by cause.
struct Loss {
    std::string what;
    double seconds = 0.0;
    std::string detail;  // may be empty
};
struct Change {
    std::string what;
    double tokens_per_s = 0.0;  // with the change, of all sequences together
    std::string remark;         // may be empty
};
struct Verdict {
    std::string model_name;
    std::string phase;  // "decode", "prefill"
    engine::LabShape shape;
    double step_seconds = 0.0;  // measured, all of it
    double forward_seconds = 0.0;
    double predicted_seconds = 0.0;  // of the forward pass
    double tokens_per_s = 0.0;
    bool memory_bound = true;
    double roof_seconds = 0.0;  // the least that a step can take
    double roof_fraction = 0.0;
    double read_bytes = 0.0;
    double flops = 0.0;
    double roof_bytes_per_s = 0.0;
    std::string level;
    std::string roof;                 // that binds: "memory", "L3 cache", "VNNI int8"
    std::vector<Loss> losses;         // the largest first; they add up to step_seconds - roof_seconds
    std::vector<Change> changes;      // the three that help most, the best first
    std::vector<std::string> errors;  // of measurement: what makes the numbers doubtful
};

[[nodiscard]] Verdict verdict_of(const VerdictInput& input);
[[nodiscard]] std::string render(const Verdict& verdict, const report::Style& style);
[[nodiscard]] nlohmann::ordered_json to_json(const Verdict& verdict);

}  // namespace rafter::planning
