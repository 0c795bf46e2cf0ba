// rafter simulate: a workload on a machine that need not be there. The engine's own scheduler decides, and the price of each step is the
// clock: of this machine by its profile, of another by its data sheet.
#include <fmt/format.h>

#include <memory>

#include "apps/cli.h"
#include "apps/machine_profile.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "apps/workload_flags.h"
#include "base/json_reader.h"
#include "engine/loading/loaded_model.h"
#include "engine/measure/simulator.h"
#include "planning/simulated_devices.h"
#include "planning/workload_report.h"
#include "report/progress.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

using nlohmann::ordered_json;

struct SimulateOptions {
    planning::PlanOptions plan;  // model and hardware
    WorkloadFlags workload;
    std::uint32_t prompt = 512;
    std::uint32_t generate = 64;
    std::uint32_t batch = 16;
    std::uint32_t step_tokens = 0;
    std::uint64_t seed = 0;
    double host_us = 0.0;
    std::string measured;  // a report of `bench`
    std::string kv_type = "f16";
    bool json = false;
};

// How steps differ from their prices, by what `bench --requests --json` saw of them.
struct MeasuredSteps {
    double over_priced = 1.0;
    double host_seconds = 0.0;  // of a step
};

Result<MeasuredSteps> read_measured(const std::string& path) {
    RAFTER_TRY(const nlohmann::json json, read_json_file(path));
    RAFTER_TRY(const JsonReader report, JsonReader::open(json, path));
    constexpr double kMax = 1e12;
    RAFTER_TRY(const double n_steps, report.get_number("steps", 1.0, kMax));
    RAFTER_TRY(const double step_seconds, report.get_number("step_seconds", 0.0, kMax));
    RAFTER_TRY(const double forward_seconds, report.get_number("forward_seconds", 1e-12, step_seconds));
    RAFTER_TRY(const double priced_seconds, report.get_number("priced_seconds", 1e-12, kMax));
    return MeasuredSteps{.over_priced = forward_seconds / priced_seconds, .host_seconds = (step_seconds - forward_seconds) / n_steps};
}

// On this machine the engine's own sizes hold, and there is one of it.
Result<void> check_usage(const SimulateOptions& o) {
    if (!o.measured.empty() && o.plan.hardware != "this") {
        return Error{"--measured: is of this machine, and goes with --hardware this", ErrorKind::kUsage};
    }
    if (o.plan.hardware != "this") return {};
    const planning::PlanOptions defaults;
    const char* given = o.plan.devices                             ? "--devices"
                        : !o.plan.parallel.empty()                 ? "--parallel"
                        : o.plan.collective != defaults.collective ? "--collective"
                        : o.plan.memory_fraction                   ? "--memory-fraction"
                        : !o.plan.engine.empty()                   ? "--engine"
                        : !o.plan.activations.empty()              ? "--activations"
                        : !o.plan.weights.empty()                  ? "--weights"
                        : o.plan.efficiency != defaults.efficiency ? "--efficiency"
                        : o.step_tokens > 0                        ? "--step-tokens"
                                                                   : nullptr;
    if (given == nullptr) return {};
    return Error{fmt::format("{}: is of other hardware, and goes with --hardware NAME", given), ErrorKind::kUsage};
}

Result<planning::SimulatedDevices> simulated_here(const SimulateOptions& options, const Environment& environment, std::uint32_t context) {
    RAFTER_TRY(const std::filesystem::path path, find_model(environment, options.plan.model));
    RAFTER_TRY(engine::OpenedModel opened, engine::open_model(path));
    RAFTER_TRY(engine::Runtime runtime, engine::Runtime::create({}));
    engine::LoadModelOptions load;
    load.context = context;
    load.n_outputs = options.batch;
    load.n_sequences = options.batch;
    load.kv_memory_bytes = options.workload.kv_memory_bytes;
    const KvTypes types = *kv_types_of(options.kv_type);
    load.key_type = types.key;
    load.value_type = types.value;
    RAFTER_TRY(engine::PreparedModel prepared, prepare_model(runtime.backend(), opened, load));
    RAFTER_TRY(const hardware::Profile machine, machine_profile(environment, runtime.pool(), runtime.isa(), "simulate"));
    roofline::PriceOptions price;
    price.cost.kv = prepared.kv_element_bytes;
    price.key_type = backend::to_string(types.key);
    price.value_type = backend::to_string(types.value);
    prepared.scheduler.cost =
        engine::StepCost(runtime.backend(), prepared.program, machine, price, prepared.scheduler.limits.n_tokens, context);
    planning::SimulatedDevices here;
    here.model = opened.config.name;
    here.description = "this machine";
    here.engine = "rafter";
    here.scheduler = std::move(prepared.scheduler);
    return here;
}

Result<planning::SimulatedDevices> simulated_elsewhere(const SimulateOptions& options, const Environment& environment,
                                                       std::uint32_t context) {
    planning::PlanOptions wanted = options.plan;
    wanted.kv = options.kv_type;
    RAFTER_TRY(planning::SimulatedDevices devices,
               planning::simulated_devices(wanted, {.models_folders = models_folders(environment), .machine_profile = {}},
                                           {.context = context,
                                            .step_tokens = options.step_tokens,
                                            .n_sequences = options.batch,
                                            .kv_memory_bytes = options.workload.kv_memory_bytes}));
    for (const std::string& warning : devices.warnings) fmt::print(stderr, "rafter simulate: {}\n", warning);
    return devices;
}

std::string answer_json(const SimulateOptions& options, const planning::SimulatedDevices& devices, const engine::WorkloadReport& report) {
    const roofline::Parallel& p = devices.parallel;
    const auto whole = [](double n) { return static_cast<std::uint64_t>(n); };
    ordered_json json{{"assumed", devices.assumed},
                      {"model", devices.model},
                      {"hardware", devices.description},
                      {"devices", whole(p.devices())},
                      {"parallel", {{"tp", whole(p.tp)}, {"pp", whole(p.pp)}, {"ep", whole(p.ep)}, {"cp", whole(p.cp)}}},
                      {"engine", devices.engine},
                      {"batch", options.batch},
                      {"users", options.workload.users},
                      {"think_seconds", options.workload.think_seconds},
                      {"kv_type", options.kv_type},
                      {"simulated", true},
                      {"notes", devices.notes}};
    json.update(planning::workload_json(report, devices.scheduler, std::nullopt));
    return json_text(json, 1) + "\n";
}

std::string answer_text(const SimulateOptions& options, const planning::SimulatedDevices& devices, const engine::WorkloadReport& report,
                        const report::Style& style) {
    std::string text;
    for (const std::string& assumed : devices.assumed) text += style.warning(fmt::format("Not certain: {}", assumed)) + "\n";
    text += fmt::format("{}  {}\n\n{}", style.bold(devices.model),
                        style.dim(fmt::format("simulated on {}, at most {} sequences together", devices.description, options.batch)),
                        planning::workload_text(report, devices.scheduler, std::nullopt, style));
    if (!devices.engine_note.empty()) text += style.dim("Engine " + devices.engine_note) + "\n";
    for (const std::string& note : devices.notes) text += style.dim("Note: " + note) + "\n";
    return text;
}

Result<int> simulate(const SimulateOptions& options, const Environment& environment) {
    if (options.generate == 0) return Error{"--generate: expected at least 1, found 0", ErrorKind::kUsage};
    RAFTER_TRY_VOID(check_usage(options));
    MeasuredSteps measured{.host_seconds = options.host_us * 1e-6};
    if (!options.measured.empty()) {
        RAFTER_TRY(measured, read_measured(options.measured));
    }
    const WorkloadFlags& flags = options.workload;
    engine::WorkloadOptions wanted{.prompt = options.prompt, .generate = options.generate, .seed = options.seed, .n_vocab = 1U << 16U};
    RAFTER_TRY(engine::Workload workload, open_workload("simulate", flags, wanted));
    const std::uint32_t context = workload.longest() + 1;
    RAFTER_TRY(planning::SimulatedDevices devices, options.plan.hardware == "this" ? simulated_here(options, environment, context)
                                                                                   : simulated_elsewhere(options, environment, context));
    engine::SchedulerOptions& scheduler = devices.scheduler;
    scheduler.prefix_cache = scheduler.prefix_cache && !flags.no_prefix_cache;
    scheduler.target_itl_seconds =
        flags.target_itl_ms > 0.0 ? flags.target_itl_ms * 1e-3 : scheduler.cost.usual_itl_seconds(context, options.batch);
    scheduler.cost.scale(measured.over_priced);  // after the target, which the engine too sets before its first step
    engine::SimulatedWorker worker(scheduler, measured.host_seconds, devices.step_seconds);
    report::Progress bar(stderr_terminal(environment), "Simulating");
    const auto n = static_cast<double>(workload.n_requests());
    std::uint64_t last = 0;
    RAFTER_TRY(const engine::WorkloadReport report, run_workload(workload, worker, [&](std::uint64_t n_ended) {
                   if (n_ended < last + 100) return;
                   last = n_ended;
                   bar.update(static_cast<double>(n_ended) / n, fmt::format("{} of {:.0f} requests", n_ended, n));
               }));
    bar.clear();
    if (options.json) {
        RAFTER_TRY_VOID(write_stdout(answer_json(options, devices, report)));
    } else {
        RAFTER_TRY_VOID(write_stdout(answer_text(options, devices, report, stdout_style(environment))));
    }
    return 0;
}

}  // namespace

void add_simulate(CLI::App& app, Cli& cli) {
    const auto simulate_options = std::make_shared<SimulateOptions>();
    SimulateOptions& o = *simulate_options;
    Verb verb{.name = "simulate", .summary = "Predict how a workload of many requests runs on given hardware"};
    OptionSet& options = verb.options;
    options.add("model", o.plan.model, {.required = true});
    options.add("prompt-tokens", o.prompt);
    options.add("generate", o.generate);
    options.add("batch", o.batch);
    add_workload_options(options, o.workload, {.required = true});
    options.add("host-us", o.host_us);
    options.add("measured", o.measured);
    options.add("seed", o.seed, {.default_value = "0"});
    options.add("hardware", o.plan.hardware);
    options.add("devices", o.plan.devices);
    options.add("parallel", o.plan.parallel);
    options.add("collective", o.plan.collective);
    options.add("efficiency", o.plan.efficiency);
    options.add("engine", o.plan.engine);
    options.add("step-tokens", o.step_tokens);
    options.add("memory-fraction", o.plan.memory_fraction);
    options.add("plan-weights", o.plan.weights);
    options.add("plan-activations", o.plan.activations);
    options.add("kv-type", o.kv_type);
    options.add("json", o.json);
    verb.footer =
        "Examples:\n"
        "  rafter simulate SmolLM2-135M-Instruct --requests 200 --prompt-tokens 1032 --shared-prefix 1000 --generate 32\n"
        "  rafter bench model.gguf --requests 100 --json > seen.json; rafter simulate model.gguf --requests 100 --measured seen.json\n"
        "  rafter simulate llama-3.1-8b --hardware h100-sxm --requests 100000 --rate 40 --batch 256\n"
        "  rafter simulate llama-3.1-70b --hardware h100-sxm --devices 8 --parallel tp=8 --memory-fraction 0.9 --requests 2000 --users 64 "
        "--think 20\n"
        "  rafter simulate DeepSeek-V3 --hardware h200 --parallel tp=8,ep=2 --requests mooncake_trace.jsonl --batch 512";
    verb.run = [simulate_options](const Environment& environment) { return simulate(*simulate_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
