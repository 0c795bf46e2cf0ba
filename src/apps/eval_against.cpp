// rafter eval --against: how far the model's distributions lie from a reference's, both models in memory, in one pass over the text.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/eval.h"
#include "apps/logprobs_file.h"
#include "apps/output.h"
#include "apps/reference_model.h"
#include "base/clock.h"
#include "base/os_terminal.h"
#include "engine/measure/divergence.h"
#include "planning/divergence_json.h"
#include "report/progress.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

using nlohmann::ordered_json;

struct AgainstResult {
    engine::DivergenceSummary summary;
    std::size_t n_tokens = 0;  // of the text
    std::size_t n_windows = 0;
    double seconds = 0.0;
    bool interrupted = false;
    std::string reference_name;
    std::string weights;  // that the model's are held in, where that is not the file's type
};

Result<AgainstResult> judge(const EvalOptions& options, const Environment& environment) {
    const std::uint32_t context = *options.session.context;
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    RAFTER_TRY(const engine::TextWindows windows, eval_windows(options, *session->opened().tokenizer));
    const std::uint32_t n_outputs = eval_outputs(session->opened().config, context);
    RAFTER_TRY(const std::unique_ptr<ReferenceModel> reference,
               load_reference({.model = options.reference, .mode = options.reference_mode, .context = context, .n_outputs = n_outputs},
                              environment, session->runtime(), session->opened(), options.session));
    RAFTER_TRY_VOID(session->load({.context = context, .n_outputs = n_outputs}));
    RAFTER_TRY(LogprobsFile logprobs, LogprobsFile::create(options.logprobs_file));

    AgainstResult result{.n_tokens = windows.n_tokens(),
                         .reference_name = reference->opened.source->name(),
                         .weights = std::string(session->held_weights())};
    engine::Divergence divergence;
    report::Progress bar(stderr_terminal(environment), "Comparing");
    InterruptFlag interrupt;
    const std::int64_t start_ns = monotonic_ns();
    for (std::size_t i = 0; i < windows.n_windows() && !result.interrupted; ++i) {
        const auto write = [&](std::size_t position, engine::TokenId token, const engine::TokenDivergence& both) {
            return logprobs.add(i, position, token, both);
        };
        const auto added =
            engine::add_window(reference->loaded, session->loaded(), windows.window(i), windows.first_row(), divergence, write);
        if (!added) return added.error().within(fmt::format("window {}", i));
        RAFTER_TRY_VOID(logprobs.flush());
        ++result.n_windows;
        result.seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
        const auto n_done = static_cast<double>(i + 1);
        const auto n_all = static_cast<double>(windows.n_windows());
        bar.update(n_done / n_all, fmt::format("KL {:.5f} ± {:.5f}, {} left", divergence.kl().mean(), divergence.kl().error(),
                                               report::seconds(result.seconds / n_done * (n_all - n_done))));
        result.interrupted = interrupt.take();
    }
    RAFTER_TRY_VOID(logprobs.close());
    bar.clear();
    result.summary = divergence.summary();
    return result;
}

ordered_json against_json(const EvalOptions& options, const AgainstResult& result) {
    ordered_json json = planning::divergence_json(result.summary);
    json.update({{"reference_perplexity", result.summary.reference_perplexity},
                 {"reference_perplexity_error", result.summary.reference_perplexity_error},
                 {"reference", result.reference_name},
                 {"reference_mode", options.reference_mode},
                 {"text", eval_text_name(options)},
                 {"n_windows", result.n_windows},
                 {"context", *options.session.context},
                 {"n_tokens", result.n_tokens},
                 {"complete", !result.interrupted},
                 {"seconds", result.seconds}});
    if (!result.weights.empty()) json["weights"] = result.weights;
    return json;
}

std::string against_text(const AgainstResult& result, const report::Style& style) {
    const engine::DivergenceSummary& s = result.summary;
    report::Facts facts;
    const auto add = [&](const char* name, std::string value) { facts.add(name, std::move(value)); };
    add("99% of the tokens below", fmt::format("{:.6f}", s.kl_99));
    add("99.9% below", fmt::format("{:.6f}", s.kl_999));
    add("largest", fmt::format("{:.6f}", s.max_kl));
    add("same likeliest token", fmt::format("{:.2f}% ± {:.2f}%", 100.0 * s.same_top, 100.0 * s.same_top_error));
    add("perplexity", fmt::format("{:.4f} ± {:.4f}", s.perplexity, s.perplexity_error));
    add("of the reference", fmt::format("{:.4f} ± {:.4f}", s.reference_perplexity, s.reference_perplexity_error));
    add("ratio", fmt::format("{:.6f} ± {:.6f}", s.perplexity_ratio, s.perplexity_ratio_error));
    return fmt::format("KL divergence {:.6f} ± {:.6f} nats a token\n\n{}", s.mean_kl, s.mean_kl_error, facts.render(style));
}

}  // namespace

Result<int> eval_against(const EvalOptions& options, const Environment& environment) {
    if (!options.profile.format.empty()) return Error{"--profile: cannot be combined with --against", ErrorKind::kUsage};
    RAFTER_TRY(const AgainstResult result, judge(options, environment));
    if (options.json) {
        RAFTER_TRY_VOID(write_stdout(json_text(against_json(options, result)) + "\n"));
    } else {
        RAFTER_TRY_VOID(write_stdout(against_text(result, stdout_style(environment))));
        fmt::print(stderr, "{}\n",
                   stderr_terminal(environment)
                       .style.dim(fmt::format("{} tokens scored in {} window{} of {}{} against {} ({}), in {}{}",
                                              report::grouped(result.summary.n_scored), report::grouped(result.n_windows),
                                              result.n_windows == 1 ? "" : "s", *options.session.context,
                                              options.text_file.empty() ? " of the built-in text" : "", result.reference_name,
                                              reference_mode_words(options.reference_mode), report::seconds(result.seconds),
                                              result.weights.empty() ? "" : ", weights as " + result.weights)));
    }
    return result.interrupted ? kExitInterrupted : 0;
}

}  // namespace rafter::apps
