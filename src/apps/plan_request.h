// From the words of `rafter plan` to a scenario: finds the model and the device, reads types and numbers, refuses what makes no sense.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli.h"
#include "roofline/plan.h"

namespace rafter::apps {

struct PlanOptions {
    std::string model;
    std::string model_json;
    std::string hardware = "this";
    std::string weights, activations, kv;
    std::optional<double> batch, prompt, output, context, max_length, prefill_batch, prefix_hit, block_size, memory_fraction;
    std::optional<double> devices;
    std::string parallel;
    std::string collective = "ring";
    std::string draft;
    std::optional<double> alpha, gamma;
    std::string efficiency = "ideal";
    std::optional<double> price, slo_ttft, slo_itl;
    std::optional<double> measured_prefill, measured_decode;
    bool no_fuse = false;
    std::string list;
    std::string format = "text";
    std::string out;
};

// Owns what the scenario points to.
struct PlanRequest {
    std::unique_ptr<roofline::PlannedModel> model;
    std::unique_ptr<roofline::PlannedModel> draft;
    roofline::Scenario scenario;
    std::string weight_type, activation_type, kv_type;
    std::string draft_name;             // empty: a share of the target's step
    bool draft_is_assumed = false;      // nothing was said about a draft
    std::vector<std::string> warnings;  // for standard error
};
[[nodiscard]] Result<PlanRequest> make_request(const PlanOptions& options, const Environment& environment);

// MODEL alone, as plan takes it: a file, a folder, a catalog name.
[[nodiscard]] Result<roofline::PlannedModel> find_planned_model(const std::string& model, const Environment& environment,
                                                                roofline::BoundOptions options);
// NAME or FILE.
[[nodiscard]] Result<hardware::Hardware> find_hardware(const std::string& name, std::vector<std::string>& warnings);

}  // namespace rafter::apps
