// Requests that only score their prompts: the scheduler shares what their prompts have in common.
#include "engine/measure/choice_tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <nlohmann/json.hpp>

#include "base/json_reader.h"
#include "base/quote.h"

namespace rafter::engine {
namespace {

constexpr std::size_t kMaxInFlight = 64;  // choices: a step is full long before
constexpr std::size_t kMaxChoices = 1000;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

Result<ChoiceTask> read_choice_task(std::string_view text, std::size_t number, const std::string& where) {
    RAFTER_TRY(const nlohmann::json value, parse_json(text, where));
    RAFTER_TRY(const JsonReader line, JsonReader::open(value, where));
    ChoiceTask task{.line = number, .context = {}, .choices = {}};
    RAFTER_TRY(const auto context, line.find_string("context"));
    RAFTER_TRY(const auto question, line.find_string("question"));
    if (context.has_value() == question.has_value()) {
        return bad_input("{}: expected either \"context\" or \"question\", found {}", where, context ? "both" : "neither");
    }
    task.context = context ? *context : fmt::format("Question: {}\nAnswer:", *question);
    const nlohmann::json* const choices = line.find("choices");
    if (choices == nullptr || !choices->is_array() || choices->size() < 2 || choices->size() > kMaxChoices) {
        return bad_input("{}: choices: expected a list of 2 to {} texts, found {}", where, kMaxChoices,
                         choices != nullptr ? shown_json(*choices) : "none");
    }
    for (const nlohmann::json& choice : *choices) {
        if (!choice.is_string() || choice.get_ref<const std::string&>().empty()) {
            return bad_input("{}: choices: expected texts that are not empty, found {}", where, shown_json(choice));
        }
        const auto& words = choice.get_ref<const std::string&>();
        const bool apart = task.context.empty() || is_space(task.context.back()) || is_space(words.front());
        std::string shown = apart ? words : " " + words;
        if (std::ranges::find(task.choices, shown) != task.choices.end()) {
            return bad_input("{}: choices: expected different texts, found {} twice", where, shown_json(choice));
        }
        task.choices.push_back(std::move(shown));
    }
    RAFTER_TRY(task.answer, line.get_uint("answer", 0, static_cast<std::uint32_t>(choices->size() - 1)));
    return task;
}

std::size_t shared_length(std::span<const TokenId> a, std::span<const TokenId> b) {
    return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

struct InFlight {
    std::size_t task = 0;
    std::size_t choice = 0;
    std::shared_ptr<TokenStream> stream;
    ChoiceScores::Score score = {};
};

// True where all of its tokens are scored.
Result<bool> take_scores(InFlight& choice, const ChoiceTask& task) {
    const StreamUpdate update = choice.stream->take();
    for (const TokenLogprobs& token : update.prompt_scores) choice.score.logprob += token.logprob;
    choice.score.n_tokens += update.prompt_scores.size();
    if (!update.finish) return false;
    if (update.finish->error) return *update.finish->error;
    choice.score.n_bytes = task.choices[choice.choice].size();
    if (!std::isfinite(choice.score.logprob)) {
        return bad_input("line {}, choice {}: the log-probability is {}", task.line, choice.choice, choice.score.logprob);
    }
    return true;
}

void choose_best(ChoiceScores& scores) {
    const auto best = [&](auto key) {
        return static_cast<std::size_t>(std::ranges::max_element(scores.choices, {}, key) - scores.choices.begin());
    };
    scores.best_by_byte = best(&ChoiceScores::Score::per_byte);
    scores.best_by_token = best(&ChoiceScores::Score::per_token);
    scores.best_by_sum = best(&ChoiceScores::Score::logprob);
}

}  // namespace

Result<std::vector<ChoiceTask>> read_choice_tasks(std::string_view json_lines, std::string_view name) {
    std::vector<ChoiceTask> tasks;
    for (std::size_t number = 1; !json_lines.empty(); ++number) {
        const std::size_t end = std::min(json_lines.find('\n'), json_lines.size());
        const std::string_view line = json_lines.substr(0, end);
        json_lines.remove_prefix(std::min(end + 1, json_lines.size()));
        if (std::ranges::all_of(line, is_space)) continue;
        RAFTER_TRY(ChoiceTask task, read_choice_task(line, number, fmt::format("{}:{}", name, number)));
        tasks.push_back(std::move(task));
    }
    if (tasks.empty()) return bad_input("{}: expected tasks, one JSON object a line, found none", name);
    return tasks;
}

Result<ChoiceTokens> choice_tokens(const text::Tokenizer& tokenizer, const ChoiceTask& task) {
    const auto tokens_of = [&](const std::string& text) {
        std::vector<TokenId> tokens = tokenizer.encode(text, text::SpecialTokens::kAsText);
        if (tokenizer.special().add_bos && tokenizer.special().bos) tokens.insert(tokens.begin(), *tokenizer.special().bos);
        return tokens;
    };
    ChoiceTokens tokens;
    const std::vector<TokenId> context = tokens_of(task.context);
    tokens.n_shared = context.size();
    for (const std::string& choice : task.choices) {
        tokens.choices.push_back(tokens_of(task.context + choice));
        tokens.n_shared = std::min(tokens.n_shared, shared_length(context, tokens.choices.back()));
    }
    if (tokens.n_shared == 0) {
        return bad_input("line {}: expected a context, because the model's tokenizer puts no BOS before a text; found none", task.line);
    }
    for (std::size_t i = 0; i < tokens.choices.size(); ++i) {
        if (tokens.choices[i].size() > tokens.n_shared) continue;
        return bad_input("line {}: choice {} ({}) has no token of its own after the context", task.line, i, quote(task.choices[i]));
    }
    return tokens;
}

Result<std::vector<ChoiceScores>> score_choices(Engine& engine, std::span<const ChoiceTask> tasks, std::span<const ChoiceTokens> tokens,
                                                const GoOn& go_on) {
    std::vector<ChoiceScores> scores(tasks.size());
    std::deque<InFlight> in_flight;  // in order
    std::size_t task = 0;
    std::size_t choice = 0;
    std::size_t n_done = 0;
    bool stopped = false;
    while (n_done < tasks.size() && !stopped) {
        while (in_flight.size() < kMaxInFlight && task < tasks.size()) {
            Request request;
            request.prompt = tokens[task].choices[choice];
            request.max_tokens = 0;
            request.score_prompt_from = static_cast<std::uint32_t>(tokens[task].n_shared - 1);
            auto stream = engine.submit(std::move(request));
            if (!stream) return stream.error().within(fmt::format("line {}, choice {}", tasks[task].line, choice));
            in_flight.push_back({.task = task, .choice = choice, .stream = *std::move(stream)});
            if (++choice < tokens[task].choices.size()) continue;
            ++task;
            choice = 0;
        }
        const bool more = engine.step();
        while (!in_flight.empty()) {
            InFlight& first = in_flight.front();
            RAFTER_TRY(const bool scored, take_scores(first, tasks[first.task]));
            if (!scored && more) break;
            if (!scored) return Error{"the engine did not finish a choice"};
            ChoiceScores& of_task = scores[first.task];
            of_task.choices.push_back(first.score);
            in_flight.pop_front();
            if (of_task.choices.size() < tasks[n_done].choices.size()) continue;
            choose_best(of_task);
            stopped = !go_on(++n_done) || stopped;
        }
    }
    for (const InFlight& left : in_flight) left.stream->cancel();
    while (engine.step()) {}
    scores.resize(n_done);
    return scores;
}

ChoiceSummary summarise(std::span<const ChoiceTask> tasks, std::span<const ChoiceScores> scores) {
    ChoiceSummary summary{.n_tasks = scores.size()};
    if (scores.empty()) return summary;
    const auto n = static_cast<double>(scores.size());
    for (std::size_t i = 0; i < scores.size(); ++i) {
        summary.by_byte += scores[i].best_by_byte == tasks[i].answer ? 1.0 / n : 0.0;
        summary.by_token += scores[i].best_by_token == tasks[i].answer ? 1.0 / n : 0.0;
        summary.by_sum += scores[i].best_by_sum == tasks[i].answer ? 1.0 / n : 0.0;
        summary.chance += 1.0 / static_cast<double>(tasks[i].choices.size()) / n;
    }
    const auto error = [&](double part) { return n > 1 ? std::sqrt(std::max(0.0, part * (1.0 - part)) / (n - 1)) : 0.0; };
    summary.by_byte_error = error(summary.by_byte);
    summary.by_token_error = error(summary.by_token);
    summary.by_sum_error = error(summary.by_sum);
    return summary;
}

}  // namespace rafter::engine
