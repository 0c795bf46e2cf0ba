// rafter bench: how fast the engine is on made-up work, end to end: prompts of --prompt tokens, then --generate tokens each, for so many
// sequences together. The same two phases as other programs' benchmarks have, so numbers compare.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/cli.h"
#include "apps/machine_profile.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "apps/workload_flags.h"
#include "base/os_file.h"
#include "base/xxh3.h"
#include "engine/measure/step_profile.h"
#include "engine/sampling/noise.h"
#include "planning/workload_report.h"
#include "report/progress.h"
#include "report/table.h"
#include "report/units.h"
#include "tensor/float_types.h"

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
    double temperature = 0.0;
    double top_p = 1.0;
    bool json = false;
    std::string replay;  // a text file; "": made-up prompts
    WorkloadFlags workload;

    [[nodiscard]] bool compares() const { return session.speculation.kind == "compare"; }
};

// Seconds of the steps of one run. Prefill: those that compute prompt tokens. Decode: those in which every sequence gets its next token.
struct BenchRun {
    double prefill_seconds = 0.0;
    std::vector<double> decode_seconds;  // [n_steps]: as many as tokens a sequence, without draft tokens
    double sample_seconds = 0.0;         // of decode_seconds, for choosing tokens
    std::uint64_t decode_tokens = 0;     // that those steps gave
    std::uint64_t tokens_hash = 0;       // of what was generated: the same work gives the same tokens
    engine::SpeculationCounters speculation;
    double expected_seconds = 0.0;        // that the governor expected decoding to take
    double expected_plain_seconds = 0.0;  // and without draft tokens, for the tokens that it expected

    void add_decode(const engine::StepReport& step, const engine::GovernorChoice& choice) {
        decode_seconds.push_back(step.step_seconds);
        decode_tokens += step.n_chosen;
        sample_seconds += step.sample_seconds;
        if (choice.plain_tokens_per_second <= 0.0) return;
        expected_seconds += choice.seconds;
        expected_plain_seconds += choice.expected_tokens / choice.plain_tokens_per_second;
    }
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

// While some sequences still read their prompts, others decode already: so more tokens than requested may come.
std::uint32_t context_of(const BenchOptions& options, std::uint32_t batch, std::uint32_t step_tokens) {
    const std::uint64_t prompts = std::uint64_t{batch} * options.prompt;
    const SpeculationOptions& speculation = options.session.speculation;
    const std::uint64_t each_step = speculation.on() ? 1 + speculation.most.value_or(engine::kDraftsWithTiles) : 1;
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(options.prompt + options.generate + each_step * (prompts / step_tokens + 2), UINT32_MAX));
}

// A text for prompts and forced answers. Without a form feed that parts the two, sequences begin at different places of it.
struct Replay {
    std::vector<TokenId> prompt;  // empty: --prompt tokens of the text
    std::vector<TokenId> text;    // the rest

    [[nodiscard]] static Result<Replay> read(const std::string& path, const text::Tokenizer& tokenizer);
    [[nodiscard]] engine::Request request(std::uint32_t sequence, std::uint32_t batch, std::uint32_t n_prompt, std::uint32_t n_most) const;
};

Result<Replay> Replay::read(const std::string& path, const text::Tokenizer& tokenizer) {
    RAFTER_TRY(const std::string text, read_file(path));
    const auto tokens_of = [&](std::string_view part) { return tokenizer.encode(part, text::SpecialTokens::kAsText); };
    const std::size_t parting = text.find('\f');
    Replay replay;
    if (parting != std::string::npos) replay.prompt = tokens_of(std::string_view(text).substr(0, parting));
    replay.text = tokens_of(parting == std::string::npos ? text : std::string_view(text).substr(parting + 1));
    if (replay.text.empty() || (parting != std::string::npos && replay.prompt.empty())) {
        return bad_input("{}: expected a text to replay, found {}", path, text.empty() ? "an empty file" : "nothing beside a form feed");
    }
    return replay;
}

engine::Request Replay::request(std::uint32_t sequence, std::uint32_t batch, std::uint32_t n_prompt, std::uint32_t n_most) const {
    engine::Request request;
    request.cache_salt = fmt::format("{}", sequence);  // nobody finds another's prompt
    request.max_tokens = n_most;
    if (!prompt.empty()) {
        request.prompt = prompt;
        const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(text.size(), n_most));
        request.forced = {{.tokens = {text.begin(), end}}};
        return request;
    }
    std::size_t next = text.size() * sequence / batch;
    const auto take = [&](std::vector<TokenId>& to, std::size_t n) {
        for (; n > 0; --n, ++next) to.push_back(text[next % text.size()]);
    };
    take(request.prompt, n_prompt);
    request.forced.emplace_back();
    take(request.forced[0].tokens, n_most);
    return request;
}

// replay: null for made-up prompts and whatever answers the model gives.
Result<BenchRun> run_once(const BenchOptions& options, Session& session, std::uint32_t batch, const Replay* replay) {
    engine::Engine& engine = session.engine();
    std::vector<std::shared_ptr<engine::TokenStream>> streams;
    for (std::uint32_t i = 0; i < batch; ++i) {
        const std::uint32_t n_most = session.loaded().scheduler.context - options.prompt;
        engine::Request request;
        if (replay != nullptr) {
            request = replay->request(i, batch, options.prompt, n_most);
        } else {
            request.prompt = made_up_prompt(options, i, session.opened().config.n_vocab);
            request.max_tokens = n_most;
        }
        request.sampling.temperature = options.temperature;
        request.sampling.top_p = options.top_p;
        request.sampling.seed = options.seed + i;
        RAFTER_TRY(auto stream, engine.submit(std::move(request)));
        streams.push_back(std::move(stream));
    }
    BenchRun run;
    const engine::SpeculationCounters before = engine.scheduler().speculator().counters();
    // Timed until the first sequence has decoded all its tokens; then on until each has them, so that the same work gives the same hash.
    std::vector<std::vector<TokenId>> answers(batch);
    std::vector<std::size_t> n_decoded(batch);
    std::vector<bool> began(batch);
    while ((!std::ranges::all_of(began, std::identity()) || *std::ranges::min_element(n_decoded) < options.generate) && engine.step()) {
        const engine::StepReport& step = engine.last_step();
        const bool decodes = step.shape.sequences.size() == batch && engine::is_decode(step.shape);
        const std::size_t most = *std::ranges::max_element(n_decoded);
        if (!decodes && most == 0) {
            run.prefill_seconds += step.step_seconds;
        } else if (decodes && most < options.generate) {
            run.add_decode(step, engine.scheduler().speculator().last_choice());
        }
        for (std::uint32_t i = 0; i < batch; ++i) {
            const engine::StreamUpdate update = streams[i]->take();
            if (update.finish && update.finish->error) return *update.finish->error;
            for (const engine::GeneratedToken& token : update.tokens) answers[i].push_back(token.id);
            n_decoded[i] += decodes ? update.tokens.size() : 0;
            if (update.finish || !update.tokens.empty()) began[i] = true;
            if (update.finish) n_decoded[i] = std::max<std::size_t>(n_decoded[i], options.generate);
        }
    }
    if (auto failed = engine.failure()) return *std::move(failed);
    run.speculation = engine.scheduler().speculator().counters();
    run.speculation -= before;
    for (const auto& stream : streams) stream->cancel();
    while (engine.step()) {}
    engine.forget_unused();
    for (const std::vector<TokenId>& answer : answers) {
        for (std::size_t i = 0; i < std::min<std::size_t>(answer.size(), options.generate); ++i) {
            run.tokens_hash = xxh3(static_cast<std::uint64_t>(answer[i]), run.tokens_hash);
        }
    }
    return run;
}

// Where the q-quantile of the values stands.
std::size_t quantile_index(const std::vector<double>& values, double q) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return values[i]; });
    return order[static_cast<std::size_t>(std::lround(q * static_cast<double>(values.size() - 1)))];
}

struct BenchRow {
    std::uint32_t batch = 0;
    std::string drafter;
    std::vector<double> prefill_rates;              // tok/s of all sequences together; [repeat]
    std::vector<double> decode_rates;               // [repeat]
    std::vector<std::vector<double>> step_seconds;  // of each run's decode steps; [repeat]
    std::vector<double> sample_seconds;             // of those; [repeat]
    std::uint64_t tokens_hash = 0;
    engine::SpeculationCounters speculation;  // of all runs
    double decode_tokens = 0.0;
    double n_steps = 0.0;
    double expected_seconds = 0.0;
    double expected_plain_seconds = 0.0;

    void add(const BenchOptions& options, const BenchRun& run);
    [[nodiscard]] bool decodes() const { return !decode_rates.empty(); }
    // The run that all columns are of: the one with the median rate of decoding, or of prefill where nothing is decoded.
    [[nodiscard]] std::size_t shown_run() const { return quantile_index(decodes() ? decode_rates : prefill_rates, 0.5); }
    [[nodiscard]] const std::vector<double>& shown_steps() const { return step_seconds[shown_run()]; }
    [[nodiscard]] double sampling_share() const { return sample_seconds[shown_run()] / sum(shown_steps()); }  // of the decode steps' time
    // How far runs of the same work, or the middle half of the shown run's steps, lie apart: large where others use the machine.
    [[nodiscard]] double disturbance() const;
    [[nodiscard]] double tokens_per_step() const { return n_steps > 0 ? decode_tokens / n_steps / batch : 0.0; }
    [[nodiscard]] double predicted_speedup() const { return expected_seconds > 0 ? expected_plain_seconds / expected_seconds : 1.0; }
};

void BenchRow::add(const BenchOptions& options, const BenchRun& run) {
    prefill_rates.push_back(static_cast<double>(batch) * options.prompt / run.prefill_seconds);
    if (options.generate > 0) decode_rates.push_back(static_cast<double>(run.decode_tokens) / sum(run.decode_seconds));
    step_seconds.push_back(run.decode_seconds);
    tokens_hash = run.tokens_hash;
    speculation += run.speculation;
    sample_seconds.push_back(run.sample_seconds);
    decode_tokens += static_cast<double>(run.decode_tokens);
    n_steps += static_cast<double>(run.decode_seconds.size());
    expected_seconds += run.expected_seconds;
    expected_plain_seconds += run.expected_plain_seconds;
}

double relative_range(const std::vector<double>& values, double low, double high) {
    return values.empty() ? 0.0 : (quantile(values, high) - quantile(values, low)) / quantile(values, 0.5);
}

double BenchRow::disturbance() const {
    double most = std::max(relative_range(prefill_rates, 0.0, 1.0), relative_range(decode_rates, 0.0, 1.0));
    // Steps with draft tokens differ by design.
    if (decodes() && drafter == "off") most = std::max(most, relative_range(shown_steps(), 0.25, 0.75));
    return most;
}

// Says of the rows that were disturbed how much; "" where the machine was quiet.
std::string busy_text(const std::vector<BenchRow>& rows) {
    std::string text;
    for (const BenchRow& row : rows) {
        if (row.disturbance() <= hardware::kNoisySpread) continue;
        text += fmt::format("{}batch {}{}{} by {}", text.empty() ? "" : ", ", row.batch, row.drafter == "off" ? "" : " with " + row.drafter,
                            text.empty() ? " differ" : "", report::percent(row.disturbance()));
    }
    if (text.empty()) return text;
    return fmt::format("The machine was busy: measurements of {}. Measure again when no other program uses the CPUs.\n", text);
}

// Of each run to that of plain decoding beside it.
std::vector<double> speedups(const BenchRow& row, const BenchRow& plain) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < row.decode_rates.size(); ++i) ratios.push_back(row.decode_rates[i] / plain.decode_rates[i]);
    return ratios;
}

ordered_json spread_json(const std::vector<double>& values) {
    return {{"median", quantile(values, 0.5)}, {"least", quantile(values, 0.0)}, {"most", quantile(values, 1.0)}};
}

// plain: the row of the same batch without draft tokens, where there is one.
ordered_json row_json(const BenchRow& row, const BenchRow* plain) {
    ordered_json json{{"batch", row.batch}, {"prefill_tokens_per_second", spread_json(row.prefill_rates)}};
    if (row.decodes()) {
        json["decode_tokens_per_second"] = spread_json(row.decode_rates);
        json["step_seconds"] = {{"median", quantile(row.shown_steps(), 0.5)}, {"p99", quantile(row.shown_steps(), 0.99)}};
        json["sampling_share"] = row.sampling_share();
        json["tokens_hash"] = fmt::format("{:016x}", row.tokens_hash);
    }
    if (row.decodes()) {
        // step_seconds and sampling_share are of this run.
        json["shown_run"] = {{"number", row.shown_run() + 1},
                             {"prefill_tokens_per_second", row.prefill_rates[row.shown_run()]},
                             {"decode_tokens_per_second", row.decode_rates[row.shown_run()]}};
        json["disturbance"] = row.disturbance();
        json["busy"] = row.disturbance() > hardware::kNoisySpread;
    }
    if (row.drafter != "off") {
        json["drafter"] = row.drafter;
        if (plain != nullptr) json["speedup"] = spread_json(speedups(row, *plain));
        json["tokens_per_step"] = row.tokens_per_step();
        json["predicted_speedup"] = row.predicted_speedup();
        json.update(speculation_json(row.speculation));
    }
    return json;
}

// The shown run's rate, and by how much the runs differ to both sides.
std::string with_spread(const std::vector<double>& rates, std::size_t shown) {
    if (rates.empty()) return "-";
    return fmt::format("{} ± {}", report::rate(rates[shown]), report::percent(relative_range(rates, 0.0, 1.0) / 2));
}

// Who drafts: one, or all in turn so that a drifting machine treats them alike.
std::vector<std::string> drafters_of(const BenchOptions& options) {
    if (!options.compares()) return {std::string(options.session.speculation.drafter())};
    std::vector<std::string> drafters{"off", "ngram"};
    if (!options.session.speculation.draft_model.empty()) drafters.emplace_back("draft");
    return drafters;
}

Result<std::vector<BenchRow>> measure(const BenchOptions& options, const Environment& environment, Session& session, const Replay* replay) {
    report::Progress bar(stderr_terminal(environment), "Measuring");
    const std::vector<std::string> drafters = drafters_of(options);
    const double n_runs = static_cast<double>(options.batches.size() * drafters.size()) * options.repeat;
    std::vector<BenchRow> all;
    for (const std::uint32_t batch : options.batches) {
        std::vector<BenchRow> rows;
        for (const std::string& drafter : drafters) {
            rows.emplace_back();
            rows.back().batch = batch;
            rows.back().drafter = drafter;
        }
        for (std::uint32_t i = 0; i < options.repeat; ++i) {
            for (std::size_t j = 0; j < rows.size(); ++j) {
                const auto n_done = static_cast<double>(all.size() * options.repeat + i * rows.size() + j);
                bar.update(n_done / n_runs, fmt::format("{} together", batch));
                session.use_drafter(rows[j].drafter);
                RAFTER_TRY(const BenchRun run, run_once(options, session, batch, replay));
                rows[j].add(options, run);
            }
        }
        std::ranges::move(rows, std::back_inserter(all));
    }
    bar.clear();
    return all;
}

// "4: 61%, 0: 30%, 8: 9%": how many draft tokens a sequence got in a step, the most frequent first.
std::string chosen_text(const engine::SpeculationCounters& counters) {
    std::vector<std::pair<std::uint64_t, std::size_t>> chosen;
    double n = 0.0;
    for (std::size_t k = 0; k < counters.chosen.size(); ++k) {
        if (counters.chosen[k] > 0) chosen.emplace_back(counters.chosen[k], k);
        n += static_cast<double>(counters.chosen[k]);
    }
    std::ranges::sort(chosen, std::greater());
    constexpr std::size_t kMax = 4;
    if (chosen.size() > kMax) chosen.resize(kMax);
    std::vector<std::string> parts;
    for (const auto& [times, k] : chosen) parts.push_back(fmt::format("{}: {}", k, report::percent(static_cast<double>(times) / n)));
    return fmt::format("{}", fmt::join(parts, ", "));
}

// "82 71 64%": of the draft tokens at each place, how many were right.
std::string by_position_text(const engine::SpeculationCounters& counters) {
    constexpr std::size_t kMax = 6;
    std::string text;
    for (std::size_t i = 0; i < std::min(kMax, counters.drafted_per_position.size()); ++i) {
        const std::uint64_t right = i < counters.accepted_per_position.size() ? counters.accepted_per_position[i] : 0;
        text += fmt::format("{}{:.0f}", i == 0 ? "" : " ",
                            100.0 * static_cast<double>(right) / static_cast<double>(counters.drafted_per_position[i]));
    }
    return text.empty() ? "-" : text + "%";
}

std::string comparison_text(const std::vector<BenchRow>& rows, const report::Style& style) {
    report::Table table({{"batch", report::Align::kRight},
                         {"draft tokens", report::Align::kLeft},
                         {"decode tok/s", report::Align::kRight},
                         {"times plain", report::Align::kRight},
                         {"predicted", report::Align::kRight},
                         {"tokens a step", report::Align::kRight},
                         {"right by place", report::Align::kLeft},
                         {"how many, how often", report::Align::kLeft}});
    const BenchRow* plain = nullptr;
    for (const BenchRow& row : rows) {
        if (row.drafter == "off") plain = &row;
        const bool drafting = row.drafter != "off";
        table.add({fmt::format("{}", row.batch), drafting ? row.drafter : "none", with_spread(row.decode_rates, row.shown_run()),
                   drafting ? fmt::format("{:.2f}", quantile(speedups(row, *plain), 0.5)) : "",
                   drafting ? fmt::format("{:.2f}", row.predicted_speedup()) : "", fmt::format("{:.2f}", row.tokens_per_step()),
                   drafting ? by_position_text(row.speculation) : "", drafting ? chosen_text(row.speculation) : ""});
    }
    return table.render(style, "  ");
}

// By the machine's profile, for steps of one token each.
std::optional<planning::MachinePeaks> peaks_of(Session& session, const Environment& environment) {
    const auto machine = probe::saved_profile(profile_store(environment), session.runtime().pool(), session.runtime().isa());
    if (!machine) return std::nullopt;
    const model::StepShape one{.sequences = {{.n_new = 1, .n_past = 0, .n_outputs = 1}}};
    double quantised = 0.0;
    double total = 0.0;
    for (const auto& [type, bytes] : roofline::weight_bytes_by_type(session.loaded().device->program(), one)) {
        total += bytes;
        quantised += tensor::is_float(type) ? 0.0 : bytes;
    }
    const bool in_int8 = quantised > total / 2;
    return planning::MachinePeaks{.bytes_per_s = hardware::best_bandwidth_at(*machine, total, session.runtime().pool().n_threads()),
                                  .flop_per_s = in_int8 ? machine->int8_flop_per_s : machine->float_flop_per_s,
                                  .arithmetic = hardware::arithmetic_name(*machine, in_int8 ? 1.0 : 0.0, in_int8 ? 0.0 : 1.0)};
}

Result<int> say_kv_disk(const Session& session, const report::Style& style) {
    if (session.kv_disk() == nullptr) return 0;
    RAFTER_TRY_VOID(write_stdout(style.dim("KV file: " + kv_disk_text(*session.kv_disk())) + "\n"));
    return 0;
}

// Requests as they come, instead of so many at a time.
Result<int> bench_workload(const BenchOptions& options, const Environment& environment, Session& session) {
    const WorkloadFlags& flags = options.workload;
    RAFTER_TRY(
        engine::Workload workload,
        open_workload(
            "bench", flags,
            {.prompt = options.prompt, .generate = options.generate, .seed = options.seed, .n_vocab = session.opened().config.n_vocab}));
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
    const roofline::CostOptions cost = session.price_options().cost;
    const model::Program& program = session.loaded().device->program();
    engine::EngineWorker worker(session.engine(), [&](const model::StepShape& shape) { return roofline::step_cost(program, shape, cost); });
    report::Progress bar(stderr_terminal(environment), "Working");
    const auto n = static_cast<double>(workload.n_requests());
    RAFTER_TRY(const engine::WorkloadReport report, run_workload(workload, worker, [&](std::uint64_t n_ended) {
                   bar.update(static_cast<double>(n_ended) / n,
                              fmt::format("{} of {} requests", report::grouped(n_ended), report::grouped(workload.n_requests())));
               }));
    bar.clear();
    session.keep_on_disk();
    const engine::SchedulerOptions& limits = session.loaded().scheduler;
    const std::optional<planning::MachinePeaks> peaks = peaks_of(session, environment);
    if (options.json) {
        ordered_json json{{"model", session.opened().config.name},
                          {"threads", session.runtime().pool().n_threads()},
                          {"batch", most},
                          {"kv_type", options.session.kv_type}};
        if (const std::string_view weights = session.held_weights(); !weights.empty()) json["weights"] = weights;
        json.update(planning::workload_json(report, limits, peaks));
        if (session.kv_disk() != nullptr) json["kv_disk"] = kv_disk_json(*session.kv_disk());
        RAFTER_TRY_VOID(write_stdout(json_text(json, 1) + "\n"));
        return 0;
    }
    const report::Style style = stdout_style(environment);
    RAFTER_TRY_VOID(
        write_stdout(fmt::format("{}  {}\n\n{}", style.bold(session.title()), style.dim(fmt::format("at most {} sequences together", most)),
                                 planning::workload_text(report, limits, peaks, style))));
    return say_kv_disk(session, style);
}

Result<int> bench(BenchOptions options, const Environment& environment) {
    RAFTER_TRY_VOID(check_usage(options.session.speculation));
    if (!options.workload.requests.empty() && (options.compares() || !options.replay.empty())) {
        return Error{"--requests: cannot be combined with --speculate compare or --replay", ErrorKind::kUsage};
    }
    if (options.compares() && options.generate == 0)
        return Error{"--speculate compare: expected --generate of at least 1, found 0", ErrorKind::kUsage};
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    if (!options.workload.requests.empty()) return bench_workload(options, environment, *session);
    std::optional<Replay> replay;
    if (!options.replay.empty()) {
        RAFTER_TRY(replay, Replay::read(options.replay, *session->opened().tokenizer));
        if (!replay->prompt.empty()) {
            options.prompt = static_cast<std::uint32_t>(replay->prompt.size());
            options.generate = std::min(options.generate, static_cast<std::uint32_t>(replay->text.size()));
        }
    }
    const std::uint32_t most = *std::max_element(options.batches.begin(), options.batches.end());
    const std::uint32_t context = context_of(options, most, engine::kStepTokens);
    RAFTER_TRY_VOID(session->load({.context = context,
                                   .n_outputs = most,
                                   .n_sequences = most,
                                   .no_more_context = true,
                                   .priced_for = options.session.speculation.on() ? "bench" : ""}));
    RAFTER_TRY(const std::vector<BenchRow> rows, measure(options, environment, *session, replay ? &*replay : nullptr));
    if (options.json) {
        ordered_json json{{"model", session->opened().config.name},
                          {"threads", session->runtime().pool().n_threads()},
                          {"isa", session->runtime().isa()},
                          {"kv_type", options.session.kv_type},
                          {"prompt", options.prompt},
                          {"generate", options.generate},
                          {"repeat", options.repeat},
                          {"load_seconds", session->load_seconds()},
                          {"rows", ordered_json::array()}};
        if (const std::string_view weights = session->held_weights(); !weights.empty()) json["weights"] = weights;
        const BenchRow* plain = nullptr;
        for (const BenchRow& row : rows) {
            if (options.compares() && row.drafter == "off") plain = &row;
            json["rows"].push_back(row_json(row, plain));
        }
        if (session->kv_disk() != nullptr) json["kv_disk"] = kv_disk_json(*session->kv_disk());
        RAFTER_TRY_VOID(write_stdout(json_text(json, 1) + "\n"));
        return 0;
    }
    const report::Style style = stdout_style(environment);
    if (options.compares()) {
        RAFTER_TRY_VOID(
            write_stdout(fmt::format("{}  {}\n\n{}", style.bold(session->title()),
                                     style.dim(fmt::format("prompts of {}, then {} tokens each; {} run{} in turn", options.prompt,
                                                           options.generate, options.repeat, options.repeat == 1 ? "" : "s")),
                                     comparison_text(rows, style) + busy_text(rows))));
        return say_kv_disk(*session, style);
    }
    report::Table table({{"batch", report::Align::kRight},
                         {"prefill tok/s", report::Align::kRight},
                         {"decode tok/s", report::Align::kRight},
                         {"tok/s each", report::Align::kRight},
                         {"step", report::Align::kRight},
                         {"slowest 1%", report::Align::kRight},
                         {"sampling", report::Align::kRight}});
    for (const BenchRow& row : rows) {
        const bool decodes = row.decodes();
        const std::size_t shown = row.shown_run();
        table.add({fmt::format("{}", row.batch), with_spread(row.prefill_rates, shown), with_spread(row.decode_rates, shown),
                   decodes ? report::rate(row.decode_rates[shown] / row.batch) : "-",
                   decodes ? report::duration(quantile(row.shown_steps(), 0.5)) : "-",
                   decodes ? report::duration(quantile(row.shown_steps(), 0.99)) : "-",
                   decodes ? report::percent(row.sampling_share()) : "-"});
    }
    RAFTER_TRY_VOID(write_stdout(fmt::format("{}  {}\n\n{}", style.bold(session->title()),
                                             style.dim(fmt::format("prompts of {}, then {} tokens each; {} run{}", options.prompt,
                                                                   options.generate, options.repeat, options.repeat == 1 ? "" : "s")),
                                             table.render(style, "  ") + busy_text(rows))));
    return say_kv_disk(*session, style);
}

}  // namespace

void add_bench(CLI::App& app, Cli& cli) {
    const auto bench_options = std::make_shared<BenchOptions>();
    BenchOptions& o = *bench_options;
    Verb verb{.name = "bench", .summary = "Measure tokens per second of one and of many sequences"};
    verb.options.add("model", o.session.model, {.required = true});
    verb.options.add("prompt-tokens", o.prompt);
    verb.options.add("generate", o.generate);
    verb.options.add("batch", o.batches, {.default_value = "1"});
    verb.options.add("repeat", o.repeat);
    verb.options.add("replay", o.replay);
    add_workload_options(verb.options, o.workload);
    verb.options.add("seed", o.seed, {.default_value = "0"});
    verb.options.add("temperature", o.temperature);
    verb.options.add("top-p", o.top_p);
    add_session_options(verb.options, o.session);
    add_kv_disk_options(verb.options, o.session.kv_disk);
    add_speculation_options(verb.options, o.session.speculation, {.default_value = "off"});
    verb.options.add("draft-accept", o.session.speculation.forced_acceptance);
    verb.options.add("json", o.json);
    verb.footer =
        "Prompts are random tokens, different for every sequence. Decoding is greedy unless --temperature is\n"
        "set. Several counts, as in --batch 1,4,16, are measured in turn; --requests uses the last one. All\n"
        "columns of a line are of one run, the one with the median rate of decoding; ± is half of the\n"
        "distance between the slowest and the fastest run.\n\n"
        "Examples:\n"
        "  rafter bench SmolLM2-135M-Instruct\n"
        "  rafter bench model.gguf --prompt-tokens 128 --batch 1,4,16,32\n"
        "  rafter bench model.gguf --replay source.cpp --speculate compare --draft small.gguf\n"
        "  rafter bench model.gguf --requests 200 --prompt-tokens 1032 --shared-prefix 1000 --generate 32 --batch 16\n"
        "  rafter bench model.gguf --requests trace.jsonl --batch 32 --target-itl 100";
    verb.run = [bench_options](const Environment& environment) { return bench(*bench_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
