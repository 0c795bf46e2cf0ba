// The answers to one prompt as `rafter run` shows them: as text, each below a line that parts it from the one before, or as JSON.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/generate.h"
#include "engine/sampling/multiple_answers.h"
#include "protocols/answers/answer_reader.h"
#include "report/style.h"
#include "text/tokenizer.h"

namespace rafter::apps {

struct ShowOptions {
    engine::SeveralOptions several;
    std::uint64_t seed = 0;  // of the first answer
    bool drawn = false;      // the seed decided something
    bool logprobs = false;   // tokens have them and they are wanted
    // How answers are parted into thoughts, content and calls of functions; null: they are their text.
    std::shared_ptr<const protocols::AnswerRules> rules = nullptr;
    const text::Tokenizer* tokenizer = nullptr;  // with rules
    std::optional<report::Style> style = {};     // of a terminal, where choices_text() shows thoughts apart
};

// Adds the fields of the index-th answer to an object: tokens, text, finish_reason, content, reasoning_content and tool_calls where the
// answer is parted, and seed and logprobs as the options say.
void put_answer(nlohmann::ordered_json& to, const Generation& answer, const ShowOptions& options, std::uint32_t index);
// answers: [several.n_generated()]. Those to show, the best first with best_of.
[[nodiscard]] nlohmann::ordered_json choices_json(const std::vector<Generation>& answers, const ShowOptions& options);
[[nodiscard]] std::string choices_text(const std::vector<Generation>& answers, const ShowOptions& options);

[[nodiscard]] nlohmann::ordered_json timings_json(const GenerationCost& cost, double load_seconds,
                                                  const std::optional<probe::MemoryRoof>& roof);

}  // namespace rafter::apps
