// rafter eval: perplexity of a text, as the field computes it: windows of --context tokens that do not overlap, the second half of each
// scored given all before it in its window. Same windows, BOS and error estimate as llama.cpp's perplexity tool, so numbers compare.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "apps/cli.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/profile_report.h"
#include "apps/session.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "base/os_terminal.h"
#include "report/progress.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

using engine::TokenId;
using nlohmann::ordered_json;

constexpr std::uint32_t kSmallestContext = 4;
constexpr std::size_t kLogitsBytes = std::size_t{64} << 20U;  // of a step at most

struct EvalOptions {
    SessionOptions session;
    std::string text_file;
    std::string logprobs_file;
    std::optional<std::uint32_t> n_windows;
    bool json = false;
    ProfileReportOptions profile;
};

// Mean and spread of -log p over the scored tokens.
struct Score {
    double sum = 0.0;
    double sum_of_squares = 0.0;
    std::uint64_t n = 0;

    void add(double logprob) {
        sum -= logprob;
        sum_of_squares += logprob * logprob;
        ++n;
    }
    [[nodiscard]] double mean() const { return sum / static_cast<double>(n); }
    [[nodiscard]] double perplexity() const { return std::exp(mean()); }
    // One standard error of the perplexity, tokens taken as independent.
    [[nodiscard]] double error() const {
        const double variance = sum_of_squares / static_cast<double>(n) - mean() * mean();
        return n > 1 && variance > 0 ? std::sqrt(variance / static_cast<double>(n - 1)) * perplexity() : 0.0;
    }
};

// A JSON line a scored token; every write is checked, so that a full disk is noticed when it happens.
class LogprobsFile {
  public:
    [[nodiscard]] static Result<LogprobsFile> create(const std::string& path) {
        LogprobsFile file;
        if (path.empty()) return file;
        file.path_ = path;
        file.file_.reset(std::fopen(path.c_str(), "w"));
        if (!file.file_) return file.failed();
        return file;
    }
    [[nodiscard]] Result<void> add(std::size_t window, std::size_t position, TokenId token, double logprob) {
        if (!file_) return {};
        const std::string line =
            fmt::format("{{\"window\":{},\"position\":{},\"token\":{},\"logprob\":{:.9g}}}\n", window, position, token, logprob);
        if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size()) return failed();
        return {};
    }
    [[nodiscard]] Result<void> flush() {
        if (file_ && std::fflush(file_.get()) != 0) return failed();
        return {};
    }
    [[nodiscard]] Result<void> close() {
        if (file_ && std::fclose(file_.release()) != 0) return failed();
        return {};
    }

  private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    [[nodiscard]] Error failed() const {
        return {fmt::format("{}: cannot be written: {}", path_, std::generic_category().message(errno)), ErrorKind::kIo};
    }
    std::string path_;
    std::unique_ptr<std::FILE, Close> file_;
};

struct Evaluation {
    Score score;
    std::size_t n_tokens = 0;  // of the text
    std::size_t n_windows = 0;
    double seconds = 0.0;
    bool interrupted = false;
    std::string weights;   // that the model's are held in, where that is not the file's type
    ordered_json profile;  // where --json shows it
};

Result<void> score_window(Session& session, std::vector<TokenId> window, std::size_t index, Score& score, LogprobsFile& logprobs,
                          engine::StepProfiler* profiler) {
    const auto first = static_cast<std::uint32_t>(window.size() / 2);
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
        score.add(logprob);
        RAFTER_TRY_VOID(logprobs.add(index, position, window[position], logprob));
    }
    return logprobs.flush();
}

Result<Evaluation> evaluate(const EvalOptions& options, const Environment& environment) {
    RAFTER_TRY(const std::string text, read_file(options.text_file));
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    const std::uint32_t context = *options.session.context;
    const text::SpecialIds& special = session->opened().tokenizer->special();
    const bool add_bos = special.add_bos && special.bos;

    std::vector<TokenId> tokens = session->opened().tokenizer->encode(text, text::SpecialTokens::kAsText);
    if (add_bos) tokens.insert(tokens.begin(), *special.bos);
    const std::size_t n_whole = tokens.size() / context;
    if (n_whole == 0) return bad_input("{}: expected at least {} tokens (one window), found {}", options.text_file, context, tokens.size());
    const std::size_t n_windows = std::min<std::size_t>(n_whole, options.n_windows.value_or(~0U));

    const std::size_t logits_bytes = sizeof(float) * session->opened().config.n_vocab;
    const std::size_t n_outputs = std::clamp<std::size_t>(kLogitsBytes / logits_bytes, 1, context);
    RAFTER_TRY_VOID(session->load({.context = context, .n_outputs = static_cast<std::uint32_t>(n_outputs)}));
    RAFTER_TRY(LogprobsFile logprobs, LogprobsFile::create(options.logprobs_file));

    RAFTER_TRY(RunProfile profile, RunProfile::start(options.profile, environment, *session, "eval"));
    Evaluation evaluation{.n_tokens = tokens.size(), .weights = std::string(session->held_weights())};
    report::Progress bar(stderr_terminal(environment), "Scoring");
    InterruptFlag interrupt;
    const std::int64_t start_ns = monotonic_ns();
    for (std::size_t i = 0; i < n_windows && !evaluation.interrupted; ++i) {
        const auto start = tokens.begin() + static_cast<std::ptrdiff_t>(i * context);
        std::vector<TokenId> window(start, start + context);
        if (add_bos) window[0] = *special.bos;
        RAFTER_TRY_VOID(score_window(*session, std::move(window), i, evaluation.score, logprobs, profile.profiler()));
        ++evaluation.n_windows;
        evaluation.seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
        const double left = evaluation.seconds / static_cast<double>(i + 1) * static_cast<double>(n_windows - i - 1);
        bar.update(static_cast<double>(i + 1) / static_cast<double>(n_windows),
                   fmt::format("perplexity {:.2f} ± {:.2f}, {} left", evaluation.score.perplexity(), evaluation.score.error(),
                               report::seconds(left)));
        evaluation.interrupted = interrupt.take();
    }
    RAFTER_TRY_VOID(logprobs.close());
    bar.clear();
    RAFTER_TRY_VOID(profile.finish(options.json ? &evaluation.profile : nullptr));
    return evaluation;
}

Result<int> eval(const EvalOptions& options, const Environment& environment) {
    if (*options.session.context < kSmallestContext) {
        return Error{fmt::format("--context: expected at least {}, found {}", kSmallestContext, *options.session.context),
                     ErrorKind::kUsage};
    }
    RAFTER_TRY(const Evaluation evaluation, evaluate(options, environment));
    const Score& score = evaluation.score;
    const std::uint32_t context = *options.session.context;
    const double rate = static_cast<double>(evaluation.n_windows * context) / evaluation.seconds;
    if (options.json) {
        ordered_json result{{"perplexity", score.perplexity()},  {"error", score.error()},
                            {"mean_logprob", -score.mean()},     {"n_scored", score.n},
                            {"n_windows", evaluation.n_windows}, {"context", context},
                            {"n_tokens", evaluation.n_tokens},   {"complete", !evaluation.interrupted},
                            {"seconds", evaluation.seconds},     {"tokens_per_second", rate}};
        if (!evaluation.weights.empty()) result["weights"] = evaluation.weights;
        if (!evaluation.profile.is_null()) result.update(evaluation.profile);
        RAFTER_TRY_VOID(write_stdout(result.dump() + "\n"));
    } else {
        RAFTER_TRY_VOID(write_stdout(fmt::format("perplexity {:.4f} ± {:.4f}\n", score.perplexity(), score.error())));
        fmt::print(stderr, "{}\n",
                   stderr_terminal(environment)
                       .style.dim(fmt::format("{} tokens scored in {} window{} of {}, {} in all, {} tok/s{}", report::grouped(score.n),
                                              report::grouped(evaluation.n_windows), evaluation.n_windows == 1 ? "" : "s", context,
                                              report::seconds(evaluation.seconds), report::rate(rate),
                                              evaluation.weights.empty() ? "" : ", weights as " + evaluation.weights)));
    }
    return evaluation.interrupted ? kExitInterrupted : 0;
}

}  // namespace

void add_eval(CLI::App& app, Cli& cli) {
    const auto eval_options = std::make_shared<EvalOptions>();
    EvalOptions& o = *eval_options;
    Verb verb{.name = "eval", .summary = "Measure the perplexity of a text"};
    verb.options.add("model", o.session.model, {.required = true});
    verb.options.add("text", o.text_file, {.required = true});
    verb.options.add("windows", o.n_windows);
    verb.options.add("context", o.session.context, {.default_value = "512"});
    add_session_options(verb.options, o.session);
    verb.options.add("token-logprobs", o.logprobs_file);
    verb.options.add("json", o.json);
    add_profile_options(verb.options, o.profile);
    verb.footer =
        "The text is cut into windows of --context tokens; the second half of each is scored.\n\n"
        "Example:\n  rafter eval SmolLM2-135M-Instruct --text /usr/share/common-licenses/GPL-3";
    verb.run = [eval_options](const Environment& environment) { return eval(*eval_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
