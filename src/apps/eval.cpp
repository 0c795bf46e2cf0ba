// rafter eval: perplexity of a text, as the field computes it: windows of --context tokens that do not overlap, the second half of each
// scored given all before it in its window. Same windows, BOS and error estimate as llama.cpp's perplexity tool, so numbers compare.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli.h"
#include "apps/eval.h"
#include "apps/logprobs_file.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/profile_report.h"
#include "apps/report_files.h"
#include "apps/session.h"
#include "base/clock.h"
#include "base/os_terminal.h"
#include "base/os_text_file.h"
#include "engine/measure/divergence.h"
#include "report/progress.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

using engine::TokenId;
using nlohmann::ordered_json;

constexpr std::size_t kLogitsBytes = std::size_t{64} << 20U;  // of a step at most

struct Evaluation {
    engine::RunningMean loss;  // -log p of the scored tokens
    std::size_t n_tokens = 0;  // of the text
    std::size_t n_windows = 0;
    double seconds = 0.0;
    bool interrupted = false;
    std::string weights;   // that the model's are held in, where that is not the file's type
    ordered_json profile;  // where --json shows it
};

Result<void> score_window(Session& session, std::vector<TokenId> window, std::uint32_t first, std::size_t index, engine::RunningMean& loss,
                          LogprobsFile& logprobs, engine::StepProfiler* profiler) {
    engine::Request request;
    request.prompt = window;
    request.max_tokens = 0;
    request.score_prompt_from = first;
    RAFTER_TRY(const auto stream, session.engine().submit(std::move(request)));
    while (session.engine().step()) {
        if (profiler != nullptr) profiler->record(session.engine().last_step());
    }
    const engine::StreamUpdate update = stream->take();
    if (!update.finish || update.finish->error) {
        return update.finish ? *update.finish->error : Error{"the engine did not finish a window"};
    }
    for (std::size_t i = 0; i < update.prompt_scores.size(); ++i) {
        const std::size_t position = first + 1 + i;
        const double logprob = update.prompt_scores[i].logprob;
        if (!std::isfinite(logprob)) return bad_input("window {}, position {}: the log-probability is {}", index, position, logprob);
        loss.add(-logprob);
        RAFTER_TRY_VOID(logprobs.add(index, position, window[position], logprob));
    }
    return logprobs.flush();
}

// Before a model is loaded: what is written is none of the files that are read.
Result<void> check_written_files(const EvalOptions& options, const Environment& environment) {
    if (options.logprobs_file.empty() && options.profile.file.empty()) return {};
    std::vector<TakenFile> taken;
    for (const std::string& model : {options.session.model, options.reference}) {
        if (model.empty()) continue;
        RAFTER_TRY(const std::filesystem::path path, find_model(environment, model));
        std::ranges::move(model_files("a model", path), std::back_inserter(taken));
    }
    if (!options.text_file.empty()) taken.push_back({.whose = "the text", .path = options.text_file});
    if (!options.tasks_file.empty()) taken.push_back({.whose = "the tasks", .path = options.tasks_file});
    return check_report_files({{"--token-logprobs", options.logprobs_file}, {"--profile-file", options.profile.file}}, std::move(taken));
}

Result<Evaluation> evaluate(const EvalOptions& options, const Environment& environment) {
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    const std::uint32_t context = *options.session.context;
    RAFTER_TRY(const engine::TextWindows windows, eval_windows(options, *session->opened().tokenizer));
    RAFTER_TRY_VOID(session->load({.context = context, .n_outputs = eval_outputs(session->opened().config, context)}));
    RAFTER_TRY(LogprobsFile logprobs, LogprobsFile::create(options.logprobs_file));

    RAFTER_TRY(RunProfile profile, RunProfile::start(options.profile, environment, *session, "eval"));
    Evaluation evaluation{.n_tokens = windows.n_tokens(), .weights = std::string(session->held_weights())};
    report::Progress bar(stderr_terminal(environment), "Scoring");
    InterruptFlag interrupt;
    const std::int64_t start_ns = monotonic_ns();
    const std::size_t n_windows = windows.n_windows();
    for (std::size_t i = 0; i < n_windows && !evaluation.interrupted; ++i) {
        RAFTER_TRY_VOID(score_window(*session, windows.window(i), windows.first_row(), i, evaluation.loss, logprobs, profile.profiler()));
        ++evaluation.n_windows;
        evaluation.seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
        const double left = evaluation.seconds / static_cast<double>(i + 1) * static_cast<double>(n_windows - i - 1);
        bar.update(static_cast<double>(i + 1) / static_cast<double>(n_windows),
                   fmt::format("perplexity {:.2f} ± {:.2f}, {} left", evaluation.loss.perplexity(), evaluation.loss.perplexity_error(),
                               report::seconds(left)));
        evaluation.interrupted = interrupt.take();
    }
    RAFTER_TRY_VOID(logprobs.close());
    bar.clear();
    RAFTER_TRY_VOID(profile.finish(options.json ? &evaluation.profile : nullptr));
    return evaluation;
}

Result<int> eval(const EvalOptions& options, const Environment& environment) {
    RAFTER_TRY_VOID(check_eval_context(options));
    if (options.reference.empty() && options.reference_mode != "exact") {
        return Error{"--reference-mode: goes with --against", ErrorKind::kUsage};
    }
    RAFTER_TRY_VOID(check_written_files(options, environment));
    if (!options.tasks_file.empty()) return eval_tasks(options, environment);
    if (!options.reference.empty()) return eval_against(options, environment);
    RAFTER_TRY(const Evaluation evaluation, evaluate(options, environment));
    const engine::RunningMean& loss = evaluation.loss;
    const std::uint32_t context = *options.session.context;
    const double rate = static_cast<double>(evaluation.n_windows * context) / evaluation.seconds;
    if (options.json) {
        ordered_json result{{"perplexity", loss.perplexity()},
                            {"perplexity_error", loss.perplexity_error()},
                            {"mean_logprob", -loss.mean()},
                            {"n_scored", loss.n()},
                            {"n_windows", evaluation.n_windows},
                            {"context", context},
                            {"text", eval_text_name(options)},
                            {"n_tokens", evaluation.n_tokens},
                            {"complete", !evaluation.interrupted},
                            {"seconds", evaluation.seconds},
                            {"tokens_per_second", rate}};
        if (!evaluation.weights.empty()) result["weights"] = evaluation.weights;
        if (!evaluation.profile.is_null()) result.update(evaluation.profile);
        RAFTER_TRY_VOID(write_stdout(json_text(result) + "\n"));
    } else {
        RAFTER_TRY_VOID(write_stdout(fmt::format("perplexity {:.4f} ± {:.4f}\n", loss.perplexity(), loss.perplexity_error())));
        fmt::print(stderr, "{}\n",
                   stderr_terminal(environment)
                       .style.dim(fmt::format("{} tokens scored in {} window{} of {}{}, {} in all, {} tok/s{}", report::grouped(loss.n()),
                                              report::grouped(evaluation.n_windows), evaluation.n_windows == 1 ? "" : "s", context,
                                              options.text_file.empty() ? " of the built-in text" : "", report::seconds(evaluation.seconds),
                                              report::rate(rate), evaluation.weights.empty() ? "" : ", weights as " + evaluation.weights)));
    }
    return evaluation.interrupted ? kExitInterrupted : 0;
}

}  // namespace

std::uint32_t eval_outputs(const model::ModelConfig& config, std::uint32_t context) {
    const std::size_t row_bytes = sizeof(float) * config.n_vocab;
    return static_cast<std::uint32_t>(std::clamp<std::size_t>(kLogitsBytes / row_bytes, 1, context));
}

Result<void> check_eval_context(const EvalOptions& options) {
    constexpr std::uint32_t kMin = engine::TextWindows::kMinContext;
    if (*options.session.context >= kMin) return {};
    return Error{fmt::format("--context: expected at least {}, found {}", kMin, *options.session.context), ErrorKind::kUsage};
}

std::string eval_text_name(const EvalOptions& options) { return options.text_file.empty() ? "the built-in text" : options.text_file; }

Result<engine::TextWindows> eval_windows(const EvalOptions& options, const text::Tokenizer& tokenizer) {
    const std::uint32_t context = *options.session.context;
    if (options.text_file.empty()) {
        return engine::TextWindows::cut(tokenizer, judging_text(), context, eval_text_name(options), options.n_windows);
    }
    RAFTER_TRY(const std::string text, read_whole_text(options.text_file));
    return engine::TextWindows::cut(tokenizer, text, context, options.text_file, options.n_windows);
}

void add_eval(CLI::App& app, Cli& cli) {
    const auto eval_options = std::make_shared<EvalOptions>();
    EvalOptions& o = *eval_options;
    Verb verb{.name = "eval", .summary = "Measure a model's perplexity, or how far it is from another"};
    verb.options.add("model", o.session.model, {.required = true});
    verb.options.add("text", o.text_file, {.otherwise = "a text of 24 kB in the program"});
    verb.options.add("tasks", o.tasks_file);
    verb.options.add("windows", o.n_windows);
    verb.options.add("reference", o.reference);
    verb.options.add("reference-mode", o.reference_mode);
    verb.options.add("context", o.session.context, {.default_value = "512"});
    add_session_options(verb.options, o.session);
    verb.options.add("token-logprobs", o.logprobs_file);
    verb.options.add("json", o.json);
    add_profile_options(verb.options, o.profile);
    verb.footer =
        "The text is cut into windows of --context tokens; the second half of each is scored.\n\n"
        "Examples:\n"
        "  rafter eval SmolLM2-135M-Instruct --text /usr/share/common-licenses/GPL-3\n"
        "  rafter eval small.gguf --text text.txt --against original.gguf\n"
        "  rafter eval small.gguf --tasks built-in";
    verb.run = [eval_options](const Environment& environment) { return eval(*eval_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
