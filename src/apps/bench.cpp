// rafter bench: how fast the engine is on made-up work, end to end: prompts of --prompt tokens, then --generate tokens each, for so many
// sequences together. The same two phases as other programs' benchmarks have, so numbers compare.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/cli.h"
#include "apps/output.h"
#include "apps/session.h"
#include "apps/workload_report.h"
#include "base/fnv.h"
#include "engine/noise.h"
#include "report/progress.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

using engine::TokenId;
using nlohmann::ordered_json;

struct BenchOptions {
    SessionOptions session;
    std::uint32_t prompt = 512;
    std::uint32_t generate = 64;
    std::vector<std::uint32_t> batches = {1};
    std::uint32_t repeat = 3;
    std::uint64_t seed = 0;
    bool json = false;
    WorkloadFlags workload;
};

// Seconds of the steps of one run. Prefill: those that compute prompt tokens. Decode: those in which every sequence gets its next token.
struct BenchRun {
    double prefill_seconds = 0.0;
    std::vector<double> decode_seconds;     // [generate]
    std::uint64_t tokens_hash = kFnvBasis;  // of what was generated: the same work gives the same tokens
};

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

double quantile(std::vector<double> values, double fraction) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(std::lround(fraction * static_cast<double>(values.size() - 1)))];
}

// Different for every sequence, so that none shares another's cache.
std::vector<TokenId> made_up_prompt(const BenchOptions& options, std::uint32_t sequence, std::size_t n_vocab) {
    std::vector<TokenId> prompt(options.prompt);
    for (std::uint32_t i = 0; i < options.prompt; ++i) {
        prompt[i] = static_cast<TokenId>(engine::uniform(options.seed + sequence, i) * static_cast<double>(n_vocab));
    }
    return prompt;
}

// While some sequences still read their prompts, others decode already: so many tokens more than asked for may come.
std::uint32_t context_of(const BenchOptions& options, std::uint32_t batch, std::uint32_t step_tokens) {
    const std::uint64_t prompts = std::uint64_t{batch} * options.prompt;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(options.prompt + options.generate + prompts / step_tokens + 2, UINT32_MAX));
}

bool is_decode(const model::StepShape& shape, std::uint32_t batch) {
    return shape.sequences.size() == batch && std::all_of(shape.sequences.begin(), shape.sequences.end(),
                                                          [](const model::SequenceStep& s) { return s.n_new == 1 && s.n_past > 0; });
}

Result<BenchRun> run_once(const BenchOptions& options, Session& session, std::uint32_t batch) {
    engine::Engine& engine = session.engine();
    std::vector<std::shared_ptr<engine::TokenStream>> streams;
    for (std::uint32_t i = 0; i < batch; ++i) {
        engine::Request request;
        request.prompt = made_up_prompt(options, i, session.opened().config.n_vocab);
        request.max_tokens = session.loaded().limits.context - options.prompt;
        RAFTER_TRY(auto stream, engine.submit(std::move(request)));
        streams.push_back(std::move(stream));
    }
    BenchRun run;
    while (run.decode_seconds.size() < options.generate && engine.step()) {
        const engine::StepReport& step = engine.last_step();
        if (is_decode(step.shape, batch)) {
            run.decode_seconds.push_back(step.step_seconds);
        } else {
            run.prefill_seconds += step.step_seconds;
        }
    }
    for (const auto& stream : streams) stream->cancel();
    while (engine.step()) {}
    engine.forget_unused();
    for (const auto& stream : streams) {
        const engine::StreamUpdate update = stream->take();
        if (update.finish && update.finish->error) return *update.finish->error;
        for (std::size_t i = 0; i < std::min<std::size_t>(update.tokens.size(), options.generate); ++i) {
            run.tokens_hash = fnv1a(run.tokens_hash, static_cast<std::uint64_t>(update.tokens[i].id));
        }
    }
    return run;
}

struct BenchRow {
    std::uint32_t batch = 0;
    std::vector<double> prefill_rates;  // tok/s of all sequences together; [repeat]
    std::vector<double> decode_rates;   // [repeat]
    std::vector<double> step_seconds;   // of all decode steps
    std::uint64_t tokens_hash = 0;
};

ordered_json spread_json(const std::vector<double>& values) {
    return {{"median", quantile(values, 0.5)}, {"least", quantile(values, 0.0)}, {"most", quantile(values, 1.0)}};
}

ordered_json row_json(const BenchRow& row) {
    ordered_json json{{"batch", row.batch}, {"prefill_tokens_per_second", spread_json(row.prefill_rates)}};
    if (!row.step_seconds.empty()) {
        json["decode_tokens_per_second"] = spread_json(row.decode_rates);
        json["step_seconds"] = {{"median", quantile(row.step_seconds, 0.5)}, {"p99", quantile(row.step_seconds, 0.99)}};
        json["tokens_hash"] = fmt::format("{:016x}", row.tokens_hash);
    }
    return json;
}

std::string with_spread(const std::vector<double>& rates) {
    if (rates.empty()) return "-";
    const double median = quantile(rates, 0.5);
    return fmt::format("{} ± {}", report::rate(median), report::percent((quantile(rates, 1.0) - quantile(rates, 0.0)) / median / 2));
}

Result<std::vector<BenchRow>> measure(const BenchOptions& options, const Environment& environment, Session& session) {
    report::Progress bar(stderr_terminal(environment), "Measuring");
    const double n_runs = static_cast<double>(options.batches.size()) * options.repeat;
    std::vector<BenchRow> rows;
    for (const std::uint32_t batch : options.batches) {
        BenchRow row{.batch = batch};
        for (std::uint32_t i = 0; i < options.repeat; ++i) {
            bar.update((static_cast<double>(rows.size()) * options.repeat + i) / n_runs, fmt::format("{} together", batch));
            RAFTER_TRY(const BenchRun run, run_once(options, session, batch));
            row.prefill_rates.push_back(static_cast<double>(batch) * options.prompt / run.prefill_seconds);
            if (options.generate > 0) {
                row.decode_rates.push_back(static_cast<double>(batch) * options.generate / sum(run.decode_seconds));
            }
            row.step_seconds.insert(row.step_seconds.end(), run.decode_seconds.begin(), run.decode_seconds.end());
            row.tokens_hash = run.tokens_hash;
        }
        rows.push_back(std::move(row));
    }
    bar.clear();
    return rows;
}

// Requests as they come, instead of so many at a time.
Result<int> bench_workload(const BenchOptions& options, const Environment& environment, Session& session) {
    const WorkloadFlags& flags = options.workload;
    RAFTER_TRY(engine::Workload workload, open_workload(flags, {.prompt = options.prompt,
                                                                .generate = options.generate,
                                                                .seed = options.seed,
                                                                .n_vocab = session.opened().config.n_vocab}));
    const std::uint32_t most = options.batches.back();
    Session::Needs needs{.context = workload.longest() + 1ULL,
                         .n_outputs = most,
                         .n_sequences = most,
                         .no_more_context = true,
                         .kv_memory_bytes = flags.kv_memory_bytes,
                         .prefix_cache = !flags.no_prefix_cache,
                         .priced_for = "bench"};
    if (flags.target_itl_ms > 0.0) needs.target_itl_seconds = flags.target_itl_ms * 1e-3;
    RAFTER_TRY_VOID(session.load(needs));
    engine::EngineWorker worker(session.engine());
    report::Progress bar(stderr_terminal(environment), "Working");
    const auto n = static_cast<double>(workload.n_requests());
    RAFTER_TRY(const engine::WorkloadReport report, run_workload(workload, worker, [&](std::uint64_t n_ended) {
                   bar.update(static_cast<double>(n_ended) / n, fmt::format("{} of {:.0f} requests", n_ended, n));
               }));
    bar.clear();
    const engine::SchedulerOptions& limits = session.loaded().limits;
    if (options.json) {
        ordered_json json{{"model", session.opened().config.name}, {"threads", session.runtime().pool().n_threads()}, {"batch", most}};
        json.update(workload_json(report, limits));
        RAFTER_TRY_VOID(write_stdout(json.dump(1) + "\n"));
        return 0;
    }
    const report::Style style = stdout_style(environment);
    RAFTER_TRY_VOID(
        write_stdout(fmt::format("{}  {}\n\n{}", style.bold(session.opened().config.name),
                                 style.dim(fmt::format("at most {} sequences together", most)), workload_text(report, limits, style))));
    return 0;
}

Result<int> bench(const BenchOptions& options, const Environment& environment) {
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    if (!options.workload.requests.empty()) return bench_workload(options, environment, *session);
    const std::uint32_t most = *std::max_element(options.batches.begin(), options.batches.end());
    const std::uint32_t context = context_of(options, most, engine::kStepTokens);
    RAFTER_TRY_VOID(session->load({.context = context, .n_outputs = most, .n_sequences = most, .no_more_context = true}));
    RAFTER_TRY(const std::vector<BenchRow> rows, measure(options, environment, *session));
    if (options.json) {
        ordered_json json{{"model", session->opened().config.name},
                          {"threads", session->runtime().pool().n_threads()},
                          {"isa", backend::cpu::to_string(session->runtime().isa())},
                          {"prompt", options.prompt},
                          {"generate", options.generate},
                          {"repeat", options.repeat},
                          {"load_seconds", session->load_seconds()},
                          {"rows", ordered_json::array()}};
        for (const BenchRow& row : rows) json["rows"].push_back(row_json(row));
        RAFTER_TRY_VOID(write_stdout(json.dump(1) + "\n"));
        return 0;
    }
    report::Table table({{"batch", report::Align::kRight},
                         {"prefill tok/s", report::Align::kRight},
                         {"decode tok/s", report::Align::kRight},
                         {"tok/s each", report::Align::kRight},
                         {"step", report::Align::kRight},
                         {"slowest 1%", report::Align::kRight}});
    for (const BenchRow& row : rows) {
        const bool decodes = !row.step_seconds.empty();
        table.add({fmt::format("{}", row.batch), with_spread(row.prefill_rates), with_spread(row.decode_rates),
                   decodes ? report::rate(quantile(row.decode_rates, 0.5) / row.batch) : "-",
                   decodes ? report::duration(quantile(row.step_seconds, 0.5)) : "-",
                   decodes ? report::duration(quantile(row.step_seconds, 0.99)) : "-"});
    }
    const report::Style style = stdout_style(environment);
    RAFTER_TRY_VOID(write_stdout(
        fmt::format("{}  {}\n\n{}", style.bold(session->opened().config.name),
                    style.dim(fmt::format("prompts of {}, then {} tokens each; {} runs", options.prompt, options.generate, options.repeat)),
                    table.render(style, "  "))));
    return 0;
}

}  // namespace

void add_bench(CLI::App& app, Cli& cli) {
    const auto options = std::make_shared<BenchOptions>();
    CLI::App* verb = app.add_subcommand("bench", "Measure tokens a second, alone and for many sequences together");
    add_session_options(*verb, options->session);
    verb->add_option("--prompt", options->prompt, "Tokens of each prompt")
        ->check(CLI::Range(1U, 1U << 24U))
        ->type_name("N")
        ->capture_default_str();
    verb->add_option("--generate", options->generate, "Tokens that each sequence then gets; 0: only prompts")
        ->check(CLI::Range(0U, 1U << 20U))
        ->type_name("N")
        ->capture_default_str();
    verb->add_option("--batch", options->batches, "Sequences together; several counts: 1,4,16")
        ->check(CLI::Range(1U, 4096U))
        ->delimiter(',')
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->type_name("N,..")
        ->capture_default_str();
    verb->add_option("--repeat", options->repeat, "Runs of each; the median counts")
        ->check(CLI::Range(1U, 1000U))
        ->type_name("N")
        ->capture_default_str();
    verb->add_option("--seed", options->seed, "Other prompts")->type_name("N")->capture_default_str();
    verb->add_flag("--json", options->json, "Print one JSON object");
    verb->add_option("--requests", options->workload.requests,
                     "So many requests, or those of a trace file (a JSON object a line: arrival_seconds, prompt_tokens, output_tokens, "
                     "shared_tokens, priority), of which the last --batch run together at most")
        ->type_name("N|FILE")
        ->group("Workload");
    add_workload_flags(*verb, options->workload);
    verb->footer(
        "Prompts are made-up tokens, different for every sequence; the likeliest token is taken each time.\n\n"
        "Examples:\n"
        "  rafter bench SmolLM2-135M-Instruct\n"
        "  rafter bench model.gguf --prompt 128 --batch 1,4,16,32\n"
        "  rafter bench model.gguf --requests 200 --prompt 1032 --shared-prefix 1000 --generate 32 --batch 16\n"
        "  rafter bench model.gguf --requests trace.jsonl --batch 32 --target-itl 100");
    verb->callback([options, &cli] {
        cli.action = [options, &cli] {
            const Result<int> status = bench(*options, cli.environment);
            return status ? *status : report_error("bench", status.error());
        };
    });
}

}  // namespace rafter::apps
