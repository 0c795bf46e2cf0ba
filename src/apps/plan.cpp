// rafter plan: what a model will do on a machine, and why, before anything runs.
#include <fmt/format.h>

#include <fstream>
#include <memory>

#include "apps/cli.h"
#include "apps/machine_profile.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "backend/backends.h"
#include "base/os_file.h"
#include "base/os_terminal.h"
#include "planning/plan_report.h"
#include "planning/plan_request.h"

namespace rafter::apps {
namespace {

struct PlanVerbOptions {
    planning::PlanOptions plan;
    planning::MeasuredSteps measured;
    std::string list;
    std::string format = "text";
    std::string out;
    bool full = false;
};

Result<void> write_out(const std::string& path, std::string_view text) {
    return path.empty() ? write_stdout(text) : write_file(path, text);
}

Result<std::string> answer(const PlanVerbOptions& options, const Environment& environment, const report::Style& style) {
    const auto measure_this = [&]() -> Result<hardware::Profile> {
        ThreadPool pool({.n_threads = 0});
        return machine_profile(environment, pool, backend::best_instruction_set(), "plan");
    };
    RAFTER_TRY(const planning::PlanRequest request,
               planning::make_request(options.plan, {.models_folders = models_folders(environment), .machine_profile = measure_this}));
    for (const std::string& warning : request.warnings) fmt::print(stderr, "rafter plan: {}\n", warning);
    const roofline::Plan plan = roofline::make_plan(request.scenario);
    if (options.format == "json") return plan_json(request, plan, options.measured);
    if (options.format == "html") return plan_html(request, plan);
    if (options.format == "svg") return plan_svg(request, plan);
    return plan_text(request, plan, style, options.full ? planning::TextDetail::kFull : planning::TextDetail::kAnswer);
}

Result<int> run(const PlanVerbOptions& options, const Environment& environment) {
    const report::Style style = options.out.empty() ? stdout_style(environment) : report::Style{};
    if (!options.list.empty()) {
        const auto format = options.format == "json" ? planning::CatalogFormat::kJson : planning::CatalogFormat::kText;
        const bool in_terminal = options.out.empty() && is_terminal(stdout);
        const std::size_t columns = in_terminal ? terminal_width(stdout) : std::string::npos;
        const auto catalog = options.list == "hardware" ? planning::hardware_catalog : planning::model_catalog;
        RAFTER_TRY_VOID(write_out(options.out, catalog(format, style, columns)));
        return 0;
    }
    if (options.plan.model.empty() == options.plan.model_json.empty()) {
        return Error{options.plan.model.empty() ? "expected a MODEL, --model-json FILE or --list hardware|models"
                                                : "expected MODEL or --model-json, found both",
                     ErrorKind::kUsage};
    }
    RAFTER_TRY(const std::string text, answer(options, environment, style));
    RAFTER_TRY_VOID(write_out(options.out, text));
    return 0;
}

void add_load_options(OptionSet& options, planning::PlanOptions& o) {
    options.add("plan-batch", o.batch);
    options.add("plan-prompt", o.prompt);
    options.add("output", o.output);
    options.add("plan-context", o.context);
    options.add("prefill-batch", o.prefill_batch);
    options.add("prefix-hit", o.prefix_hit);
    options.add("plan-draft", o.draft);
    options.add("alpha", o.alpha);
    options.add("gamma", o.gamma);
    options.add("slo-ttft", o.slo_ttft);
    options.add("slo-itl", o.slo_itl);
}

void add_device_options(OptionSet& options, planning::PlanOptions& o) {
    options.add("hardware", o.hardware);
    options.add("devices", o.devices);
    options.add("parallel", o.parallel);
    options.add("collective", o.collective);
    options.add("efficiency", o.efficiency);
    options.add("engine", o.engine);
    options.add("step-tokens", o.step_tokens);
    options.add("max-sequences", o.max_sequences);
    options.add("reserve-memory", o.reserved_bytes);
    options.add("price", o.price);
    options.add("memory-fraction", o.memory_fraction);
    options.add("block-size", o.block_size);
    options.add("max-length", o.max_length);
}

}  // namespace

void add_plan(CLI::App& app, Cli& cli) {
    const auto plan_options = std::make_shared<PlanVerbOptions>();
    planning::PlanOptions& o = plan_options->plan;
    Verb verb{.name = "plan", .summary = "Predict speed, memory and cost of a model on given hardware"};
    OptionSet& options = verb.options;
    options.add("model", o.model);
    options.add("assume", o.assume);
    options.add("model-json", o.model_json);
    options.add("list", plan_options->list);
    add_load_options(options, o);
    add_device_options(options, o);
    options.add("plan-weights", o.weights);
    options.add("plan-activations", o.activations);
    options.add("kv", o.kv);
    options.add("plan-no-fuse", o.no_fuse);
    options.add("format", plan_options->format);
    options.add("full", plan_options->full);
    options.add("out", plan_options->out);
    options.add("measured-prefill", plan_options->measured.prefill);
    options.add("measured-decode", plan_options->measured.decode);
    verb.footer =
        "Examples:\n"
        "  rafter plan Llama-3.1-70B --hardware H100-SXM --devices 8 --batch 64 --context 4096\n"
        "  rafter plan Llama-3.1-8B --hardware RTX-4090 --weights int4 --kv int8 --format html -o plan.html\n"
        "  rafter plan model.gguf --hardware this --batch 4\n"
        "  rafter plan --model-json dims.json --hardware my-device.json --format json\n"
        "  rafter plan --list hardware";
    verb.run = [plan_options](const Environment& environment) { return run(*plan_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
