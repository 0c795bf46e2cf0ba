// rafter compare: models of one vocabulary side by side: bytes, speed, and how far each is from a reference.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>

#include "apps/cli.h"
#include "apps/eval.h"
#include "apps/machine_profile.h"
#include "apps/model_title.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/reference_model.h"
#include "apps/report_files.h"
#include "apps/session.h"
#include "base/os_terminal.h"
#include "planning/comparison.h"
#include "planning/comparison_run.h"
#include "report/progress.h"

namespace rafter::apps {
namespace {

constexpr std::size_t kMaxCompared = 64;

struct CompareVerbOptions {
    std::vector<std::string> models;
    EvalOptions eval;  // text, windows, context, reference, threads
    std::string html_file, json_file, svg_file;
};

// Paths are not shown: reports are shared.
std::string shown_file(const std::string& path) {
    const std::filesystem::path clean = std::filesystem::path(path).lexically_normal();
    return clean.has_filename() ? clean.filename().string() : clean.parent_path().filename().string();
}

std::string compare_command(const CompareVerbOptions& options) {
    std::string command = "rafter compare";
    for (const std::string& model : options.models) command += " " + shown_file(model);
    const EvalOptions& eval = options.eval;
    if (!eval.reference.empty()) command += " --against " + shown_file(eval.reference);
    if (eval.reference_mode != "exact") command += " --reference-mode " + eval.reference_mode;
    if (!eval.text_file.empty()) command += " --text " + shown_file(eval.text_file);
    if (eval.n_windows) command += fmt::format(" --windows {}", *eval.n_windows);
    if (*eval.session.context != 512) command += fmt::format(" --context {}", *eval.session.context);
    if (eval.session.n_threads > 0) command += fmt::format(" --threads {}", eval.session.n_threads);
    if (!eval.session.isa.empty()) command += " --isa " + eval.session.isa;
    return command;
}

Result<std::vector<engine::OpenedModel>> open_all(const CompareVerbOptions& options, const Environment& environment) {
    std::vector<engine::OpenedModel> opened;
    for (const std::string& model : options.models) {
        RAFTER_TRY(const std::filesystem::path path, find_model(environment, model));
        RAFTER_TRY(engine::OpenedModel one, engine::open_model(path));
        if (!opened.empty()) RAFTER_TRY_VOID(engine::check_same_vocabulary(opened.front(), one));
        opened.push_back(std::move(one));
    }
    return opened;
}

Result<bool> compare_all(const CompareVerbOptions& options, const Environment& environment, planning::Comparison& comparison) {
    const EvalOptions& eval = options.eval;
    RAFTER_TRY(const std::vector<engine::OpenedModel> opened, open_all(options, environment));
    RAFTER_TRY(const engine::TextWindows windows, eval_windows(eval, *opened.front().tokenizer));
    RAFTER_TRY(engine::Runtime runtime, engine::Runtime::create({.n_threads = eval.session.n_threads, .isa = eval.session.isa}));
    RAFTER_TRY(const hardware::Profile machine, machine_profile(environment, runtime.pool(), runtime.isa(), "compare"));
    RAFTER_TRY(const std::unique_ptr<ReferenceModel> reference,
               load_reference({.model = eval.reference.empty() ? options.models.front() : eval.reference,
                               .mode = eval.reference_mode,
                               .context = windows.context(),
                               .n_outputs = eval_outputs(opened.front().config, windows.context())},
                              environment, runtime, opened.front(), eval.session));
    comparison.reference_title = model_title(*reference->opened.source);
    comparison.reference_file = shown_file(reference->opened.source->name());
    comparison.n_windows = windows.n_windows();
    comparison.n_prompt = std::min(planning::kComparedPrompt, opened.front().config.n_context);
    comparison.n_context = std::min(planning::kComparedContext, opened.front().config.n_context);
    comparison.hardware =
        fmt::format("{}, {} thread{}, {}", machine.key.cpu, machine.key.n_threads, machine.key.n_threads == 1 ? "" : "s", machine.key.isa);
    if (!machine.trusted) comparison.doubts.push_back(fmt::format("Predictions are not certain: {}.", machine.doubt));

    report::Progress bar(stderr_terminal(environment), "Comparing");
    const InterruptFlag interrupt;
    for (std::size_t i = 0; i < opened.size(); ++i) {
        const auto progress = [&](double fraction, std::string_view what) {
            bar.update((static_cast<double>(i) + fraction) / static_cast<double>(opened.size()),
                       fmt::format("model {} of {}: {}", i + 1, opened.size(), what));
        };
        auto compared = planning::compare_model(
            runtime, opened[i], reference->loaded,
            {.machine = &machine, .windows = &windows, .progress = progress, .is_stopped = [&] { return interrupt.is_set(); }});
        if (!compared) return compared.error().within(opened[i].source->name());
        if (!*compared) {
            comparison.doubts.push_back(fmt::format("Interrupted: {} of {} models were compared.", i, opened.size()));
            return false;
        }
        (*compared)->file = shown_file(opened[i].source->name());
        (*compared)->title = model_title(*opened[i].source);
        comparison.models.push_back(**std::move(compared));
    }
    return true;
}

void doubt_disturbed(planning::Comparison& comparison) {
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < comparison.models.size(); ++i) {
        if (comparison.models[i].disturbed) numbers.push_back(i + 1);
    }
    if (numbers.empty()) return;
    comparison.doubts.push_back(fmt::format("Other programs used the CPUs while model{} {} {} timed: measured speeds are too low.",
                                            numbers.size() == 1 ? "" : "s", fmt::join(numbers, ", "),
                                            numbers.size() == 1 ? "was" : "were"));
}

Result<int> compare(const CompareVerbOptions& options, const Environment& environment) {
    if (options.models.size() < 2 || options.models.size() > kMaxCompared) {
        return Error{fmt::format("MODEL: expected 2 to {} models, found {}", kMaxCompared, options.models.size()), ErrorKind::kUsage};
    }
    RAFTER_TRY_VOID(check_eval_context(options.eval));
    std::vector<TakenFile> taken;
    std::vector<std::string> models = options.models;
    if (!options.eval.reference.empty()) models.push_back(options.eval.reference);
    for (const std::string& model : models) {
        RAFTER_TRY(const std::filesystem::path path, find_model(environment, model));
        std::ranges::move(model_files("a model", path), std::back_inserter(taken));
    }
    if (!options.eval.text_file.empty()) taken.push_back({.whose = "the text", .path = options.eval.text_file});
    RAFTER_TRY_VOID(check_report_files({{"--html", options.html_file}, {"--json", options.json_file}, {"--svg", options.svg_file}}, taken));
    planning::Comparison comparison{.reference_mode = options.eval.reference_mode,
                                    .text = eval_text_name(options.eval),
                                    .context = *options.eval.session.context,
                                    .version = std::string(version()),
                                    .command = compare_command(options)};
    if (!options.eval.text_file.empty()) comparison.text = shown_file(options.eval.text_file);
    RAFTER_TRY(const bool complete, compare_all(options, environment, comparison));
    doubt_disturbed(comparison);
    const std::size_t columns = is_terminal(stdout) ? terminal_width(stdout) : 80;
    RAFTER_TRY_VOID(write_stdout(planning::comparison_text(comparison, stdout_style(environment), columns)));
    if (!comparison.models.empty()) {
        RAFTER_TRY_VOID(write_report_files({{options.json_file, planning::comparison_json(comparison)},
                                            {options.html_file, planning::comparison_html(comparison)},
                                            {options.svg_file, planning::comparison_svg(comparison)}}));
    }
    return complete ? 0 : kExitInterrupted;
}

}  // namespace

void add_compare(CLI::App& app, Cli& cli) {
    const auto compare_options = std::make_shared<CompareVerbOptions>();
    CompareVerbOptions& o = *compare_options;
    Verb verb{.name = "compare", .summary = "Compare models: size, speed, and the quality that is lost"};
    verb.options.add("models", o.models, {.required = true});
    verb.options.add("text", o.eval.text_file, {.otherwise = "a text of 24 kB in the program"});
    verb.options.add("windows", o.eval.n_windows);
    verb.options.add("context", o.eval.session.context, {.default_value = "512"});
    verb.options.add("reference", o.eval.reference, {.otherwise = "the first model"});
    verb.options.add("reference-mode", o.eval.reference_mode);
    verb.options.add("threads", o.eval.session.n_threads);
    verb.options.add("isa", o.eval.session.isa);
    verb.options.add("html", o.html_file);
    verb.options.add("compare-json", o.json_file);
    verb.options.add("compare-svg", o.svg_file);
    verb.footer =
        "All models must have the same vocabulary. Each is loaded beside the reference, timed alone, and held\n"
        "against the reference on the text. Speeds are tokens a second of one sequence.\n\n"
        "Examples:\n"
        "  rafter compare model-F16.gguf model-Q8_0.gguf model-Q4_K_M.gguf\n"
        "  rafter compare a.gguf b.gguf --against original.gguf --text text.txt --html compare.html";
    verb.run = [compare_options](const Environment& environment) { return compare(*compare_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
