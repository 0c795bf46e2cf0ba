// The report of a workload, as text for people and as JSON: the same for a measured and for a simulated one.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/measure/workload.h"
#include "report/style.h"

namespace rafter::planning {

// The best rates of the machine that a workload ran on.
struct MachinePeaks {
    double bytes_per_s = 0.0;  // reading from where the weights lie
    double flop_per_s = 0.0;   // in the model's number type
    std::string arithmetic;    // what has that peak: "VNNI int8"
};
// Shares of those rates, over the time in the model: bytes of weights and cache read, and useful flops.
struct Utilization {
    double mbu = 0.0;
    double mfu = 0.0;
};
[[nodiscard]] std::optional<Utilization> utilization(const engine::WorkloadReport& report, const std::optional<MachinePeaks>& peaks);

// peaks: none for a simulated machine.
[[nodiscard]] nlohmann::ordered_json workload_json(const engine::WorkloadReport& report, const engine::SchedulerOptions& options,
                                                   const std::optional<MachinePeaks>& peaks);
[[nodiscard]] std::string workload_text(const engine::WorkloadReport& report, const engine::SchedulerOptions& options,
                                        const std::optional<MachinePeaks>& peaks, const report::Style& style);

}  // namespace rafter::planning
