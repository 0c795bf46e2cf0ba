// A question in words becomes a scenario: finds the model and the device, reads types and numbers, and refuses what makes no sense. Error
// messages name the options as `rafter plan` does.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "hardware/profile.h"
#include "roofline/plan.h"

namespace rafter::planning {

// What is asked. Empty text and absent numbers take the defaults that make_request() and roofline::Load know.
struct PlanOptions {
    std::string model;       // a catalog name, a file or a folder
    std::string model_json;  // or a file of plain dimensions
    std::string assume;      // plan a config of an unknown model_type as one of this type
    std::string hardware = "this";
    std::string weights, activations, kv;
    std::optional<double> batch, prompt, output, context, max_length, prefill_batch, prefix_hit, block_size, memory_fraction;
    std::optional<double> devices;
    std::string engine;  // empty: ideal with ideal rates, rafter on this machine, else the usual one of such devices
    std::optional<double> step_tokens, max_sequences;
    std::optional<double> reserved_bytes;  // of a device, that weights and cache do not get
    std::string parallel;
    std::string collective = "ring";
    std::string draft;
    std::optional<double> alpha, gamma;
    std::string efficiency = "ideal";
    std::optional<double> price, slo_ttft, slo_itl;
    bool no_fuse = false;
};

// Where names are looked up.
struct PlanSources {
    std::vector<std::filesystem::path> models_folders;
    std::function<Result<hardware::Profile>()> machine_profile;  // for the hardware "this"; else it may be empty
};

// Owns what the scenario points to.
struct PlanRequest {
    std::unique_ptr<roofline::PlannedModel> model;
    std::unique_ptr<roofline::PlannedModel> draft;
    roofline::Scenario scenario;
    std::string weight_type, activation_type, kv_type;
    std::string draft_name;         // empty: a share of the target's step
    bool draft_is_assumed = false;  // the options name no draft
    std::string engine_note;        // whose rules and overheads the answer follows: its first lines say it
    std::vector<std::string> warnings;
};
[[nodiscard]] Result<PlanRequest> make_request(const PlanOptions& options, const PlanSources& sources);

// The model alone: a file, a folder or a catalog name.
[[nodiscard]] Result<roofline::PlannedModel> find_planned_model(const std::string& model,
                                                                std::span<const std::filesystem::path> models_folders,
                                                                roofline::BoundOptions options, const std::string& assume = {});
// The device alone: a catalog name or a file. Warnings: keys of the file that are not known. Doubts: numbers of the file that no device is
// near, which belong into an answer's first lines.
[[nodiscard]] Result<hardware::Hardware> find_hardware(const std::string& name, std::vector<std::string>& warnings,
                                                       std::vector<std::string>& doubts);

}  // namespace rafter::planning
