// A point's height is its rate, its place along the axis its flops a byte: only steps that have a price have one.
#include "server/observe/roofline_view.h"

#include <algorithm>
#include <string_view>

namespace rafter::server {
namespace {

using nlohmann::ordered_json;

constexpr double kNowSeconds = 1.0;

ordered_json known_number(std::optional<double> value) { return value ? ordered_json(*value) : ordered_json(nullptr); }

std::string_view name_of(engine::StepKind kind) {
    switch (kind) {
        case engine::StepKind::kNone:
            break;
        case engine::StepKind::kPrefill:
            return "prefill";
        case engine::StepKind::kDecode:
            return "decode";
        case engine::StepKind::kMixed:
            return "mixed";
    }
    return "none";
}

ordered_json step_json(const WatchedStep& step, double now_seconds) {
    ordered_json json{{"id", step.id},
                      {"seconds_ago", std::max(0.0, now_seconds - step.end_seconds)},
                      {"kind", name_of(step.kind)},
                      {"n_tokens", step.n_tokens},
                      {"n_sequences", step.n_sequences},
                      {"flops_per_byte", nullptr},
                      {"flop_per_s", nullptr},
                      {"bytes_per_s", nullptr},
                      {"predicted_seconds", nullptr},
                      {"measured_seconds", step.forward_seconds},
                      {"bound", nullptr}};
    if (step.predicted_seconds > 0.0) json["predicted_seconds"] = step.predicted_seconds;
    if (!step.roof) return json;
    if (step.roof->read_bytes > 0.0) json["flops_per_byte"] = step.roof->flops / step.roof->read_bytes;
    if (step.forward_seconds > 0.0) {
        json["flop_per_s"] = step.roof->flops / step.forward_seconds;
        json["bytes_per_s"] = step.roof->read_bytes / step.forward_seconds;
    }
    json["bound"] = roofline::to_string(step.roof->bound());
    return json;
}

ordered_json now_json(const RooflineInput& input) {
    const std::uint64_t n_queued = input.load.n_queued + input.load.n_waiting;
    // A step counts when it has ended, so while a long one is under way the latest second has nothing.
    const auto last_end = input.watch.last_end_seconds();
    const double until = input.engine.n_running > 0 && last_end ? std::min(*last_end, input.now_seconds) : input.now_seconds;
    const StepSums sums = input.watch.last(kNowSeconds, until);
    const StepSums minute = input.watch.last(StepWatch::kMaxWindowSeconds, input.now_seconds);
    const engine::CacheUse& cache = input.engine.cache;
    ordered_json used = nullptr;
    if (cache.n_blocks > 0) used = static_cast<double>(cache.n_used) / cache.n_blocks;
    return {{"window_seconds", kNowSeconds},
            {"n_running", input.engine.n_running},
            {"n_queued", n_queued},
            {"queued_seconds", input.load.queued_seconds},
            {"decode_tokens_per_s", sums.n_chosen / kNowSeconds},
            {"prefill_tokens_per_s", sums.n_prompt_tokens / kNowSeconds},
            {"mbu", known_number(sums.mbu())},
            {"mfu", known_number(sums.mfu())},
            {"roof_fraction", known_number(sums.roof_fraction())},
            {"kv_used_fraction", std::move(used)},
            {"prefix_hit_fraction", known_number(minute.prefix_hit_fraction())},
            {"drafted_per_s", sums.n_draft_tokens / kNowSeconds},
            {"accepted_per_s", sums.n_accepted_drafts / kNowSeconds},
            {"predicted_over_measured", known_number(sums.predicted_over_measured())}};
}

}  // namespace

std::optional<MachineRoofs> machine_roofs(const engine::ServedModel& served, const StepWatch& watch) {
    const StepPrices* const prices = watch.prices();
    if (!served.machine() || prices == nullptr) return std::nullopt;
    const hardware::ProfileKey& key = served.machine()->key;
    return MachineRoofs{.name = key.cpu,
                        .isa = key.isa,
                        .n_threads = key.n_threads,
                        .memory_bytes_per_s = prices->memory_bytes_per_s(),
                        .flop_per_s = prices->flop_per_s(),
                        .arithmetic = prices->arithmetic(),
                        .measured = served.machine()->trusted};
}

ordered_json roofline_json(const RooflineInput& input) {
    ordered_json machine = nullptr;
    if (input.machine) {
        machine = {{"name", input.machine->name},
                   {"isa", input.machine->isa},
                   {"n_threads", input.machine->n_threads},
                   {"memory_bytes_per_s", input.machine->memory_bytes_per_s},
                   {"flop_per_s", input.machine->flop_per_s},
                   {"arithmetic", input.machine->arithmetic},
                   {"measured", input.machine->measured}};
    }
    ordered_json steps = ordered_json::array();
    for (const WatchedStep& step : input.watch.steps()) steps.push_back(step_json(step, input.now_seconds));
    ordered_json verdict = nullptr;
    if (input.verdict) verdict = {{"headline", input.verdict->headline}, {"lines", input.verdict->lines}};
    return {{"machine", std::move(machine)},
            {"model", input.model_name},
            {"now", now_json(input)},
            {"steps", std::move(steps)},
            {"verdict", std::move(verdict)}};
}

}  // namespace rafter::server
