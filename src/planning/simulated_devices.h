// Devices that need not be there, as the engine's scheduler sees them: how many blocks their memory holds for the cache, and what each step
// takes by their data sheets. The parallel layout, the memory fraction and the types of numbers are those of a plan.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/scheduler.h"
#include "planning/plan_request.h"

namespace rafter::planning {

struct SimulationLimits {
    std::uint32_t context = 0;      // of the longest sequence, prompt and answer
    std::uint32_t step_tokens = 0;  // of a step at most; 0: the engine's default, and of the ideal engine 8,192
    std::uint32_t n_sequences = 0;  // together at most
    std::optional<std::uint64_t> kv_memory_bytes;
};

struct SimulatedDevices {
    std::string model;
    std::string description;  // "8 x H100-SXM, tp=8"
    engine::SchedulerOptions scheduler;
    // What a step takes where its sequences are dealt out to groups of devices (ep, pp), which scheduler.cost cannot say; empty without
    // such groups. Owns what it needs.
    std::function<double(const model::StepShape&)> step_seconds;
    roofline::Parallel parallel;
    std::string engine;                // "vllm": whose overheads and sharing of caches the memory is planned with
    std::string engine_note;           // the same in words, as a plan says it
    std::vector<std::string> assumed;  // what makes the whole answer doubtful; said first
    std::vector<std::string> warnings;
    std::vector<std::string> notes;
};

// Fails where `options` does, and where not even one sequence of limits.context fits.
[[nodiscard]] Result<SimulatedDevices> simulated_devices(PlanOptions options, const PlanSources& sources, SimulationLimits limits);

}  // namespace rafter::planning
