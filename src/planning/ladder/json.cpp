// A ladder as JSON, whose every field read_ladder() gives back exactly. A number that is none is null.
#include <cmath>
#include <nlohmann/json.hpp>

#include "planning/ladder/json_keys.h"
#include "planning/ladder/report.h"
#include "planning/ladder/words.h"

namespace rafter::planning {
namespace {

using nlohmann::ordered_json;

ordered_json number(double n) { return std::isfinite(n) ? ordered_json(n) : ordered_json(nullptr); }

ordered_json number_or_null(const std::optional<double>& n) { return n ? number(*n) : ordered_json(nullptr); }

ordered_json point_json(const LadderPoint& p) {
    // The last five follow from the others: for readers that are not this program.
    return {{"is_run", p.is_run},
            {"tokens", number(p.tokens)},
            {"n_sequences", number(p.n_sequences)},
            {"n_context", number(p.n_context)},
            {"predicted_seconds", number(p.predicted_seconds)},
            {"measured_seconds", number_or_null(p.measured_seconds)},
            {"spread", number(p.spread)},
            {"flops", number(p.flops)},
            {"bytes", number(p.bytes)},
            {"roof_seconds", number(p.roof_seconds)},
            {"roof_rate_per_s", number(p.roof_rate)},
            {"roof", roofline::to_string(p.roof)},
            {"level", p.level},
            {"memory_bytes", number(p.memory_bytes)},
            {"tokens_per_second", number(p.tokens_per_s())},
            {"predicted_tokens_per_second", number(p.predicted_tokens_per_s())},
            {"intensity_flops_per_byte", number(p.intensity())},
            {"roof_fraction", number(p.roof_fraction())},
            {"prediction_error", p.measured_seconds ? number(p.error()) : ordered_json(nullptr)}};
}

ordered_json check_json(const OutputCheck& c) {
    return {{"kind", kCheckKinds[static_cast<std::size_t>(c.kind)]},
            {"passed", c.passed},
            {"n_tokens", c.n_tokens},
            {"against", c.against},
            {"mean_kl_nats", number(c.mean_kl)},
            {"max_kl_nats", number(c.max_kl)},
            {"same_top_fraction", number(c.same_top)}};
}

ordered_json rung_json(const LadderRung& r) {
    return {{"id", r.id},
            {"name", r.name},
            {"options", r.options},
            {"load", r.load},
            {"why", r.why},
            {"on_path", r.on_path},
            {"skipped", r.skipped ? ordered_json(*r.skipped) : ordered_json(nullptr)},
            {"gain", number_or_null(gain_of(r))},
            {"predicted_gain", number_or_null(predicted_gain_of(r))},
            {"before", point_json(r.before)},
            {"after", point_json(r.after)},
            {"check", check_json(r.check)},
            {"notes", r.notes}};
}

}  // namespace

std::string ladder_json(const Ladder& ladder) {
    ordered_json roofs = ordered_json::array();
    for (const LadderRoof& roof : ladder.roofs) roofs.push_back({{"name", roof.name}, {"flop_per_s", number(roof.flop_per_s)}});
    ordered_json rungs = ordered_json::array();
    for (const LadderRung& rung : ladder.rungs) rungs.push_back(rung_json(rung));
    ordered_json aims = ordered_json::array();
    for (const LadderAim& aim : ladder.aims) {
        aims.push_back({{"what", aim.what},
                        {"wanted", number(aim.wanted)},
                        {"reached", number(aim.reached)},
                        {"is_share", aim.is_share},
                        {"met", aim.met()},
                        {"reason", aim.reason}});
    }
    const ordered_json answer{{"format", kLadderFormat},
                              {"warnings", ladder.warnings},
                              {"measured", ladder.measured},
                              {"complete", ladder.complete},
                              {"quick", ladder.quick},
                              {"model", {{"name", ladder.model}, {"file", ladder.file}, {"parameters", number(ladder.parameters)}}},
                              {"machine",
                               {{"hardware", ladder.hardware},
                                {"memory_bytes_per_s", number(ladder.bytes_per_s)},
                                {"roofs", roofs},
                                {"noise", number(ladder.noise)},
                                {"trusted", ladder.trusted},
                                {"n_probes", ladder.n_probes}}},
                              {"version", ladder.version},
                              {"command", ladder.command},
                              {"time_unix_seconds", ladder.time},
                              {"climb_seconds", number(ladder.seconds)},
                              {"rungs", rungs},
                              {"aims", aims},
                              {"method", ladder.method},
                              {"caveats", ladder.caveats}};
    return answer.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace rafter::planning
