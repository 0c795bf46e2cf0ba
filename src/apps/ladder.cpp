// rafter ladder: each optimisation on this machine and model, predicted, measured and checked, from the naive program to all of them
// together; as text, and as a page to share.
#include <fmt/format.h>

#include <memory>

#include "apps/cli.h"
#include "apps/model_title.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/report_files.h"
#include "apps/session.h"
#include "base/os_file.h"
#include "base/os_terminal.h"
#include "model/catalog.h"
#include "planning/ladder/climb.h"
#include "planning/ladder/outlook.h"
#include "planning/ladder/report.h"
#include "planning/ladder/words.h"
#include "report/progress.h"

namespace rafter::apps {
namespace {

constexpr std::string_view kEfficiency = "calibrated";  // of other hardware: what engines reach

struct LadderOptions {
    std::string model;
    std::string html_file;
    std::string json_file;
    std::string svg_file;
    std::string against;
    planning::PlanOptions plan{.efficiency = std::string(kEfficiency)};  // of other hardware
    unsigned n_threads = 0;
    std::string isa;
    bool quick = false;
};

Result<planning::Ladder> climbed(const LadderOptions& options, const Environment& environment) {
    RAFTER_TRY(engine::Runtime runtime, engine::Runtime::create({.n_threads = options.n_threads, .isa = options.isa}));
    const auto found = find_model(environment, options.model);
    if (!found && model::find_in_catalog(options.model) != nullptr) {
        return bad_input("{}; `rafter plan` knows this model without a file: --hardware NAME predicts its ladder", found.error().message);
    }
    RAFTER_TRY(const std::filesystem::path path, found);
    RAFTER_TRY(const engine::OpenedModel opened, engine::open_model(path));
    report::Progress bar(stderr_terminal(environment), "Climbing");
    const InterruptFlag interrupt;
    return planning::climb(runtime, opened,
                           {.quick = options.quick,
                            .version = version(),
                            .model = model_title(*opened.source),
                            .file = path.filename().string(),
                            .progress = [&](double fraction, std::string_view what) { bar.update(fraction, what); },
                            .is_stopped = [&] { return interrupt.is_set(); }});
}

Result<planning::Ladder> foreseen(const LadderOptions& options, const Environment& environment) {
    planning::PlanOptions plan = options.plan;
    plan.model = options.model;
    return planning::ladder_outlook(plan, {.models_folders = models_folders(environment), .machine_profile = {}}, version());
}

// On this machine the model is run, elsewhere it is planned.
Result<void> check_usage(const LadderOptions& options) {
    const bool is_here = options.plan.hardware == "this";
    const char* given = is_here ? (options.plan.devices                     ? "--devices"
                                   : !options.plan.parallel.empty()         ? "--parallel"
                                   : options.plan.efficiency != kEfficiency ? "--efficiency"
                                                                            : nullptr)
                                : (options.quick           ? "--quick"
                                   : options.n_threads > 0 ? "--threads"
                                   : !options.isa.empty()  ? "--isa"
                                                           : nullptr);
    if (given == nullptr) return {};
    return Error{fmt::format("{}: goes {} --hardware NAME", given, is_here ? "with" : "without"), ErrorKind::kUsage};
}

// What makes the report again, without the folder of a file: reports are shared.
std::string command_of(const LadderOptions& options) {
    std::string command = "rafter ladder " + std::filesystem::path(options.model).filename().string();
    const planning::PlanOptions& plan = options.plan;
    if (plan.hardware != "this") {
        command += " --hardware " + std::filesystem::path(plan.hardware).filename().string();
        if (plan.devices) command += fmt::format(" --devices {}", *plan.devices);
        if (!plan.parallel.empty()) command += " --parallel " + plan.parallel;
        if (plan.efficiency != kEfficiency) command += " --efficiency " + plan.efficiency;
    }
    if (options.n_threads > 0) command += fmt::format(" --threads {}", options.n_threads);
    if (!options.isa.empty()) command += " --isa " + options.isa;
    if (options.quick) command += " --quick";
    return command;
}

// Known before minutes of measuring: files that cannot be written, or that would take the place of another.
Result<void> check_outputs(const LadderOptions& options, const Environment& environment) {
    std::vector<TakenFile> taken;
    if (const auto model = find_model(environment, options.model)) taken.push_back({.whose = "the model", .path = model->string()});
    if (!options.against.empty()) taken.push_back({.whose = "--against", .path = options.against});
    return check_report_files({{"--html", options.html_file}, {"--json", options.json_file}, {"--svg", options.svg_file}},
                              std::move(taken));
}

Result<std::optional<planning::Ladder>> read_earlier(const std::string& path) {
    if (path.empty()) return std::optional<planning::Ladder>();
    RAFTER_TRY(const std::string text, read_file(path));
    RAFTER_TRY(planning::Ladder ladder, planning::read_ladder(text, path));
    return std::optional(std::move(ladder));
}

Result<int> ladder(const LadderOptions& options, const Environment& environment) {
    RAFTER_TRY_VOID(check_usage(options));
    RAFTER_TRY_VOID(check_outputs(options, environment));
    // Read first: a file that cannot be compared with is known before minutes of measuring.
    RAFTER_TRY(const std::optional<planning::Ladder> earlier, read_earlier(options.against));
    RAFTER_TRY(planning::Ladder now, options.plan.hardware == "this" ? climbed(options, environment) : foreseen(options, environment));
    now.command = command_of(options);
    const report::Style style = stdout_style(environment);
    const std::size_t columns = is_terminal(stdout) ? terminal_width(stdout) : 80;
    RAFTER_TRY_VOID(write_stdout(planning::ladder_text(now, style, columns)));
    RAFTER_TRY_VOID(write_report_files({{options.json_file, planning::ladder_json(now)},
                                        {options.html_file, planning::ladder_html(now)},
                                        {options.svg_file, planning::ladder_svg(now)}}));
    if (!now.complete) return kExitInterrupted;
    if (!earlier) return 0;
    const planning::LadderComparison comparison = planning::compare_ladders(now, *earlier, style);
    RAFTER_TRY_VOID(write_stdout("\n" + comparison.text));
    return comparison.n_worse > 0 || comparison.n_compared == 0 ? kExitFailed : 0;
}

}  // namespace

void add_ladder(CLI::App& app, Cli& cli) {
    const auto ladder_options = std::make_shared<LadderOptions>();
    LadderOptions& o = *ladder_options;
    Verb verb{.name = "ladder", .summary = "Show what each optimisation brings on this machine"};
    verb.options.add("model", o.model, {.required = true});
    verb.options.add("quick", o.quick);
    verb.options.add("hardware", o.plan.hardware);
    verb.options.add("devices", o.plan.devices);
    verb.options.add("parallel", o.plan.parallel);
    verb.options.add("efficiency", o.plan.efficiency, {.default_value = kEfficiency});
    verb.options.add("threads", o.n_threads);
    verb.options.add("isa", o.isa);
    verb.options.add("html", o.html_file);
    verb.options.add("json-file", o.json_file);
    verb.options.add("ladder-svg", o.svg_file);
    verb.options.add("against", o.against);
    verb.footer =
        "Each rung is predicted from a probe of the machine, measured, and its outputs are checked. Weights of other types than the\n"
        "file's are decoded and rounded again, in memory. Ctrl-C ends it early, with what was measured.\n\n"
        "Examples:\n"
        "  rafter ladder SmolLM2-135M-Instruct --quick\n"
        "  rafter ladder model.gguf --html ladder.html --json ladder.json\n"
        "  rafter ladder model.gguf --against ladder.json\n"
        "  rafter ladder llama-3.1-8b --hardware H100-SXM";
    verb.run = [ladder_options](const Environment& environment) { return ladder(*ladder_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
