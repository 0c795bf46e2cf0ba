// A divergence as JSON, in the same fields wherever one is printed.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/measure/divergence.h"

namespace rafter::planning {

[[nodiscard]] inline nlohmann::ordered_json divergence_json(const engine::DivergenceSummary& s) {
    return {{"kl", s.mean_kl},
            {"kl_error", s.mean_kl_error},
            {"kl_99", s.kl_99},
            {"kl_999", s.kl_999},
            {"kl_max", s.max_kl},
            {"same_top", s.same_top},
            {"same_top_error", s.same_top_error},
            {"perplexity", s.perplexity},
            {"perplexity_error", s.perplexity_error},
            {"perplexity_ratio", s.perplexity_ratio},
            {"perplexity_ratio_error", s.perplexity_ratio_error},
            {"n_scored", s.n_scored}};
}

}  // namespace rafter::planning
