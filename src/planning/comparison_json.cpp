// A comparison as JSON.
#include <nlohmann/json.hpp>

#include "planning/comparison.h"
#include "planning/comparison_words.h"
#include "planning/divergence_json.h"
#include "planning/json_count.h"

namespace rafter::planning {
namespace {

nlohmann::ordered_json speed_json(const ComparedSpeed& speed) {
    return {{"measured", speed.measured}, {"predicted", speed.predicted}, {"spread", speed.spread}};
}

}  // namespace

std::string comparison_json(const Comparison& comparison) {
    nlohmann::ordered_json models = nlohmann::ordered_json::array();
    const report::TradeoffChart chart = tradeoff_of(comparison);
    for (std::size_t i = 0; i < comparison.models.size(); ++i) {
        const ComparedModel& model = comparison.models[i];
        nlohmann::ordered_json one{{"file", model.file},
                                   {"title", model.title},
                                   {"size_bytes", json_count(model.size_bytes)},
                                   {"bits_per_weight", model.bits},
                                   {"prefill_tokens_per_second", speed_json(model.prefill)},
                                   {"decode_tokens_per_second", speed_json(model.decode)}};
        one.update(divergence_json(model.loss));
        one["disturbed"] = model.disturbed;
        one["on_front"] = chart.points[i].on_front;
        models.push_back(std::move(one));
    }
    const nlohmann::ordered_json json{
        {"models", std::move(models)},
        {"reference", comparison.reference_file},
        {"reference_title", comparison.reference_title},
        {"reference_perplexity", comparison.models.empty() ? 0.0 : comparison.models.front().loss.reference_perplexity},
        {"reference_mode", comparison.reference_mode},
        {"text", comparison.text},
        {"n_windows", comparison.n_windows},
        {"context", comparison.context},
        {"prompt_tokens", comparison.n_prompt},
        {"decode_context", comparison.n_context},
        {"hardware", comparison.hardware},
        {"version", comparison.version},
        {"command", comparison.command},
        {"doubts", comparison.doubts}};
    return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace rafter::planning
