// The answers to one prompt as `rafter run` shows them: as text, each below a line that parts it from the one before, or as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/generate.h"
#include "engine/sampling/multiple_answers.h"

namespace rafter::apps {

struct ShowOptions {
    engine::SeveralOptions several;
    std::uint64_t seed = 0;  // of the first answer
    bool drawn = false;      // the seed decided something
    bool logprobs = false;   // tokens have them and they are wanted
};

// Adds the fields of the index-th answer to an object: tokens, text, finish_reason, and seed and logprobs as the options say.
void put_answer(nlohmann::ordered_json& to, const Generation& answer, const ShowOptions& options, std::uint32_t index);
// answers: [several.n_generated()]. Those to show, the best first with best_of.
[[nodiscard]] nlohmann::ordered_json choices_json(const std::vector<Generation>& answers, const ShowOptions& options);
[[nodiscard]] std::string choices_text(const std::vector<Generation>& answers, const ShowOptions& options);

[[nodiscard]] nlohmann::ordered_json timings_json(const GenerationCost& cost, double load_seconds,
                                                  const std::optional<probe::MemoryRoof>& roof);

}  // namespace rafter::apps
