// rafter eval --tasks: multiple choice by the likelihood of each choice.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/eval.h"
#include "apps/output.h"
#include "base/clock.h"
#include "base/os_terminal.h"
#include "base/os_text_file.h"
#include "engine/measure/choice_tasks.h"
#include "report/progress.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

using nlohmann::ordered_json;

constexpr std::uint32_t kTogether = 32;  // choices

struct TasksResult {
    std::vector<engine::ChoiceTask> tasks;
    std::vector<engine::ChoiceScores> scores;
    engine::ChoiceSummary summary;
    double seconds = 0.0;
    bool interrupted = false;
    std::string weights;   // that the model's are held in, where that is not the file's type
    ordered_json profile;  // where --json shows it
};

Result<TasksResult> answer_tasks(const EvalOptions& options, const Environment& environment) {
    TasksResult result;
    std::string text(judging_tasks());
    if (options.tasks_file != kBuiltIn) {
        RAFTER_TRY(text, read_whole_text(options.tasks_file));
    }
    RAFTER_TRY(result.tasks, engine::read_choice_tasks(text, options.tasks_file));
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    std::vector<engine::ChoiceTokens> tokens;
    std::size_t longest = 1;
    for (const engine::ChoiceTask& task : result.tasks) {
        auto of_task = engine::choice_tokens(*session->opened().tokenizer, task);
        if (!of_task) return of_task.error().within(options.tasks_file);
        for (const auto& choice : of_task->choices) longest = std::max(longest, choice.size());
        if (const std::uint32_t most = session->opened().config.n_context; longest > most) {
            return bad_input("{}: line {}: expected at most {} tokens, which the model was trained for, found {}", options.tasks_file,
                             task.line, report::grouped(most), report::grouped(longest));
        }
        tokens.push_back(*std::move(of_task));
    }
    const auto n_outputs = std::max(kTogether, eval_outputs(session->opened().config, static_cast<std::uint32_t>(longest)));
    RAFTER_TRY_VOID(session->load({.context = longest, .n_outputs = n_outputs, .n_sequences = kTogether, .no_more_context = true}));
    result.weights = std::string(session->held_weights());

    report::Progress bar(stderr_terminal(environment), "Answering");
    InterruptFlag interrupt;
    const std::int64_t start_ns = monotonic_ns();
    const auto n_all = static_cast<double>(result.tasks.size());
    auto scores = engine::score_choices(session->engine(), result.tasks, tokens, [&](std::size_t n_done) {
        bar.update(static_cast<double>(n_done) / n_all, fmt::format("{} of {} tasks", n_done, result.tasks.size()));
        result.interrupted = result.interrupted || interrupt.take();
        return !result.interrupted;
    });
    bar.clear();
    if (!scores) return scores.error().within(options.tasks_file);
    result.scores = *std::move(scores);
    result.seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
    result.summary = engine::summarise(result.tasks, result.scores);
    return result;
}

ordered_json tasks_json(const TasksResult& result) {
    const engine::ChoiceSummary& s = result.summary;
    ordered_json json{{"accuracy", s.by_byte},
                      {"accuracy_error", s.by_byte_error},
                      {"accuracy_by_token", s.by_token},
                      {"accuracy_by_token_error", s.by_token_error},
                      {"accuracy_by_sum", s.by_sum},
                      {"accuracy_by_sum_error", s.by_sum_error},
                      {"chance", s.chance},
                      {"n_tasks", s.n_tasks},
                      {"complete", !result.interrupted},
                      {"seconds", result.seconds},
                      {"tasks", ordered_json::array()}};
    if (!result.weights.empty()) json["weights"] = result.weights;
    for (std::size_t i = 0; i < result.scores.size(); ++i) {
        const engine::ChoiceScores& scores = result.scores[i];
        ordered_json task{{"line", result.tasks[i].line},        {"answer", result.tasks[i].answer},
                          {"chosen", scores.best_by_byte},       {"chosen_by_token", scores.best_by_token},
                          {"chosen_by_sum", scores.best_by_sum}, {"choices", ordered_json::array()}};
        for (const auto& choice : scores.choices) {
            task["choices"].push_back({{"logprob", choice.logprob}, {"n_tokens", choice.n_tokens}, {"n_bytes", choice.n_bytes}});
        }
        json["tasks"].push_back(std::move(task));
    }
    return json;
}

std::string tasks_text(const TasksResult& result, const report::Style& style) {
    const engine::ChoiceSummary& s = result.summary;
    const auto part = [](double value, double error) { return fmt::format("{:.1f}% ± {:.1f}%", 100.0 * value, 100.0 * error); };
    report::Facts facts;
    facts.add("by likelihood a token", part(s.by_token, s.by_token_error));
    facts.add("by likelihood of the whole choice", part(s.by_sum, s.by_sum_error));
    facts.add("by guessing", fmt::format("{:.1f}%", 100.0 * s.chance));
    return fmt::format("accuracy {} by likelihood a byte\n\n{}", part(s.by_byte, s.by_byte_error), facts.render(style));
}

}  // namespace

Result<int> eval_tasks(const EvalOptions& options, const Environment& environment) {
    for (const auto& [given, flag] :
         {std::pair{!options.profile.format.empty(), "--profile"}, std::pair{!options.logprobs_file.empty(), "--token-logprobs"},
          std::pair{!options.text_file.empty(), "--text"}, std::pair{options.n_windows.has_value(), "--windows"}}) {
        if (given) return Error{fmt::format("{}: cannot be combined with --tasks", flag), ErrorKind::kUsage};
    }
    RAFTER_TRY(const TasksResult result, answer_tasks(options, environment));
    if (options.json) {
        RAFTER_TRY_VOID(write_stdout(json_text(tasks_json(result)) + "\n"));
    } else {
        RAFTER_TRY_VOID(write_stdout(tasks_text(result, stdout_style(environment))));
        fmt::print(stderr, "{}\n",
                   stderr_terminal(environment)
                       .style.dim(fmt::format("{} tasks in {}{}", report::grouped(result.summary.n_tasks), report::seconds(result.seconds),
                                              result.weights.empty() ? "" : ", weights as " + result.weights)));
    }
    return result.interrupted ? kExitInterrupted : 0;
}

}  // namespace rafter::apps
