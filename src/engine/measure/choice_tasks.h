// Multiple choice, answered by likelihood: each choice is scored as what follows the task's context, and the likeliest one, a byte or a
// token, is the model's answer. No text is generated.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/request.h"
#include "text/tokenizer.h"

namespace rafter::engine {

struct ChoiceTask {
    std::size_t line = 0;              // of the file, from 1
    std::string context;               // what all choices follow; may be empty
    std::vector<std::string> choices;  // each as it follows the context, with the space between
    std::size_t answer = 0;            // index of the right one
};

// JSON lines, each an object with "choices" (two texts or more), "answer" (the right one's index from 0), and either "context", which is
// taken as it stands, or "question", which becomes "Question: ...\nAnswer:". A space is put between context and choice unless one of them
// has white space there. Empty lines are passed over. Fails on the first bad line, with its number; name: of the file, for the message.
[[nodiscard]] Result<std::vector<ChoiceTask>> read_choice_tasks(std::string_view json_lines, std::string_view name);

// A task as tokens.
struct ChoiceTokens {
    std::vector<std::vector<TokenId>> choices;  // [n_choices]: context and choice
    // Tokens that all choices and the context alone begin with. A context's last token may be another when a choice follows; it is then
    // scored with each choice.
    std::size_t n_shared = 0;
};
// Fails where a choice has no token of its own, or where there is nothing before it.
[[nodiscard]] Result<ChoiceTokens> choice_tokens(const text::Tokenizer& tokenizer, const ChoiceTask& task);

struct ChoiceScores {
    struct Score {
        double logprob = 0.0;  // of the choice, given the context
        std::size_t n_tokens = 0;
        std::size_t n_bytes = 0;
        [[nodiscard]] double per_token() const { return logprob / static_cast<double>(n_tokens); }
        [[nodiscard]] double per_byte() const { return logprob / static_cast<double>(n_bytes); }
    };
    std::vector<Score> choices;  // [n_choices]
    std::size_t best_by_byte = 0;
    std::size_t best_by_token = 0;
    std::size_t best_by_sum = 0;  // the first of equals, each
};

// Scores tasks on an engine that has nothing else to do, many choices at once; a context is computed once for all of its choices, where
// the engine has a prefix cache. [n_tasks], fewer where `go_on` said no: it is called with the number of tasks done, in order. Results do
// not depend on how many run together. Fails on a log-probability that is not finite, with the task's line.
using GoOn = std::function<bool(std::size_t n_done)>;
[[nodiscard]] Result<std::vector<ChoiceScores>> score_choices(Engine& engine, std::span<const ChoiceTask> tasks,
                                                              std::span<const ChoiceTokens> tokens, const GoOn& go_on);

struct ChoiceSummary {
    std::size_t n_tasks = 0;
    double by_byte = 0.0;  // part of the tasks whose best choice is the right one
    double by_token = 0.0;
    double by_sum = 0.0;
    double by_byte_error = 0.0;  // one standard error each, tasks taken as independent
    double by_token_error = 0.0;
    double by_sum_error = 0.0;
    double chance = 0.0;  // of guessing
};
// Of the first scores.size() tasks.
[[nodiscard]] ChoiceSummary summarise(std::span<const ChoiceTask> tasks, std::span<const ChoiceScores> scores);

}  // namespace rafter::engine
