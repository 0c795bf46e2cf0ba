// rafter explain: runs a few steps of a chosen shape and says in plain lines which roof binds, what fraction of it is reached, where the
// rest of the time went, and what would help most. With --grid: the prediction against the measurement for the usual shapes.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli.h"
#include "apps/machine_profile.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "backend/backends.h"
#include "base/median.h"
#include "base/os_cpu.h"
#include "engine/measure/host_times.h"
#include "engine/measure/step_lab.h"
#include "planning/phase_report.h"
#include "planning/verdict.h"
#include "report/progress.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

using engine::LabShape;
using nlohmann::ordered_json;

constexpr double kMinSeconds = 1.0;  // of repeats
constexpr std::uint32_t kBlock = 16;

struct ExplainOptions {
    SessionOptions session;
    std::uint32_t batch = 1;
    std::uint32_t context = 512;
    std::optional<std::uint32_t> prompt;  // explain the prefill of so many tokens instead
    std::string profile_file;
    bool grid = false;
    bool table = false;
    bool json = false;
};

// A shape's steps, priced and measured.
struct Explained {
    engine::PhaseProfile phase;   // of one repeat
    std::vector<double> seconds;  // of each repeat
};

Result<Explained> explain_shape(Session& session, engine::StepLab& lab, const hardware::Profile& machine, const LabShape& shape,
                                double least_seconds) {
    RAFTER_TRY(const engine::LabResult result, lab.run(shape, {.n_repeats = 5, .least_seconds = least_seconds, .timing = true}));
    return Explained{.phase = engine::profile_of(session.runtime().backend(), shape, result, session.loaded().scheduler.limits.n_tokens,
                                                 session.loaded().device->program(), machine, session.price_options()),
                     .seconds = result.seconds};
}

// ---- the grid

std::vector<LabShape> grid_shapes(std::uint32_t most_context) {
    std::vector<LabShape> shapes;
    for (const std::uint32_t batch : {1U, 4U, 16U}) {
        for (const std::uint32_t context : {128U, 2048U}) {
            if (context <= most_context) shapes.push_back({.n_sequences = batch, .n_new = 1, .n_past = context - 1});
        }
    }
    for (const std::uint32_t prompt : {128U, 1024U}) {
        if (prompt <= most_context) shapes.push_back({.n_sequences = 1, .n_new = prompt, .n_past = 0});
    }
    return shapes;
}

Result<int> run_grid(const ExplainOptions& options, const Environment& environment, Session& session, const hardware::Profile& machine) {
    engine::StepLab lab(session.loaded());
    report::Progress bar(stderr_terminal(environment), "Measuring");
    ordered_json rows = ordered_json::array();
    report::Table table({{"step"},
                         {"batch", report::Align::kRight},
                         {"tokens", report::Align::kRight},
                         {"predicted ms", report::Align::kRight},
                         {"measured ms", report::Align::kRight},
                         {"off by", report::Align::kRight},
                         {"GB/s", report::Align::kRight},
                         {"lies in"}});
    const std::vector<LabShape> shapes = grid_shapes(session.loaded().scheduler.context);
    std::vector<double> errors;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        bar.update(static_cast<double>(i) / static_cast<double>(shapes.size()));
        RAFTER_TRY(const Explained e, explain_shape(session, lab, machine, shapes[i], 0.5));
        const double error = e.phase.predicted_seconds / e.phase.forward_seconds - 1;
        errors.push_back(std::abs(error));
        const std::uint32_t n_positions = shapes[i].n_past + shapes[i].n_new;
        rows.push_back({{"phase", e.phase.phase},
                        {"batch", shapes[i].n_sequences},
                        {"context", n_positions},
                        {"predicted_seconds", e.phase.predicted_seconds},
                        {"measured_seconds", e.phase.forward_seconds},
                        {"error", error},
                        {"n_repeats", e.seconds.size()},
                        {"least_seconds", *std::min_element(e.seconds.begin(), e.seconds.end())},
                        {"median_seconds", median_of(e.seconds)},
                        {"read_bytes", e.phase.read_bytes},
                        {"level", e.phase.level}});
        table.add({e.phase.phase, fmt::format("{}", shapes[i].n_sequences), fmt::format("{}", n_positions),
                   fmt::format("{:.2f}", e.phase.predicted_seconds * 1e3), fmt::format("{:.2f}", e.phase.forward_seconds * 1e3),
                   fmt::format("{:+.0f}%", 100 * error), fmt::format("{:.1f}", e.phase.read_bytes / e.phase.forward_seconds / 1e9),
                   e.phase.level});
    }
    bar.clear();
    if (options.json) {
        ordered_json json{{"model", session.opened().config.name}};
        if (const std::string_view weights = session.held_weights(); !weights.empty()) json["weights"] = weights;
        json["grid"] = std::move(rows);
        RAFTER_TRY_VOID(write_stdout(json_text(json, 1) + "\n"));
        return 0;
    }
    const report::Style style = stdout_style(environment);
    RAFTER_TRY_VOID(write_stdout(fmt::format("{}  {}\n\n{}\nThe median error of the predictions is {:.0f}%, the largest {:.0f}%.\n",
                                             style.bold(session.title()), style.dim("time of the model's steps"), table.render(style, "  "),
                                             100 * median_of(errors), 100 * *std::max_element(errors.begin(), errors.end()))));
    return 0;
}

Result<hardware::Profile> profile_for(const ExplainOptions& options, const Environment& environment, Session& session) {
    if (options.profile_file.empty()) return machine_profile(environment, session.runtime().pool(), session.runtime().isa(), "explain");
    return hardware::read_profile(options.profile_file);
}

Result<int> explain(const ExplainOptions& options, const Environment& environment) {
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    const std::uint32_t n_context = session->opened().config.n_context;
    const std::uint32_t batch = options.grid ? 16 : options.batch;
    const std::uint32_t wanted = options.grid ? 2048 : options.prompt.value_or(options.context);
    if (!options.grid && wanted > n_context) {
        return bad_input("expected at most {} tokens, which the model was trained for, found {}", report::grouped(n_context),
                         report::grouped(wanted));
    }
    RAFTER_TRY(const hardware::Profile machine, profile_for(options, environment, *session));
    // The cache has whole blocks.
    const std::uint32_t context = std::min(n_context, (std::min(wanted, n_context) + kBlock - 1) / kBlock * kBlock);
    RAFTER_TRY_VOID(session->load({.context = context, .n_outputs = batch, .n_sequences = batch, .no_more_context = true}));
    if (options.grid) return run_grid(options, environment, *session, machine);

    engine::StepLab lab(session->loaded());
    const LabShape shape = options.prompt ? LabShape{.n_sequences = batch, .n_new = *options.prompt, .n_past = 0}
                                          : LabShape{.n_sequences = batch, .n_new = 1, .n_past = options.context - 1};
    RAFTER_TRY(const Explained e, explain_shape(*session, lab, machine, shape, kMinSeconds));
    RAFTER_TRY(const engine::HostTimes host,
               engine::measure_host_times(
                   session->engine(),
                   {.n_sequences = batch, .n_vocab = session->opened().config.n_vocab, .context = session->loaded().scheduler.context}));
    const planning::Verdict verdict = planning::verdict_of({.phase = e.phase,
                                                            .backend = session->runtime().backend(),
                                                            .program = session->loaded().device->program(),
                                                            .machine = machine,
                                                            .shape = shape,
                                                            .model_name = options.json ? session->opened().config.name : session->title(),
                                                            .price = session->price_options(),
                                                            .host = host,
                                                            .best_isa = std::string(backend::best_instruction_set()),
                                                            .usable_cpus = usable_cpus()});
    const report::Style style = stdout_style(environment);
    if (options.json) {
        ordered_json json = to_json(verdict);
        if (const std::string_view weights = session->held_weights(); !weights.empty()) json["weights"] = weights;
        if (options.table) json["profile"] = planning::phase_json(e.phase, session->loaded().device->program());
        RAFTER_TRY_VOID(write_stdout(json_text(json, 1) + "\n"));
        return 0;
    }
    std::string text = render(verdict, style);
    if (options.table) text += "\n" + planning::phase_table(e.phase, session->loaded().device->program(), style);
    text += "\n" + style.dim(fmt::format("Compared with the machine profile, which is {} old{}.\n", probe::age_of(machine),
                                         machine.trusted ? "" : " and measured on a busy machine: `rafter probe` measures it again"));
    RAFTER_TRY_VOID(write_stdout(text));
    return 0;
}

}  // namespace

void add_explain(CLI::App& app, Cli& cli) {
    const auto explain_options = std::make_shared<ExplainOptions>();
    ExplainOptions& o = *explain_options;
    Verb verb{.name = "explain", .summary = "Run a few steps; show where the time goes and what would help"};
    verb.options.add("model", o.session.model, {.required = true});
    verb.options.add("batch", o.batch, {.default_value = "1"});
    verb.options.add("context", o.context, {.default_value = "512"});
    verb.options.add("prompt-tokens", o.prompt, {.otherwise = "none: decoding is explained instead of a prefill"});
    verb.options.add("grid", o.grid);
    add_session_options(verb.options, o.session);
    verb.options.add("machine", o.profile_file);
    verb.options.add("table", o.table);
    verb.options.add("json", o.json);
    verb.footer =
        "The steps compute random tokens over a KV cache of zeros: their time depends on shapes alone.\n\n"
        "Examples:\n"
        "  rafter explain SmolLM2-135M-Instruct --batch 4 --context 2048\n"
        "  rafter explain model.gguf --prompt-tokens 512 --table";
    verb.run = [explain_options](const Environment& environment) { return explain(*explain_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
