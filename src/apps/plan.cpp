// rafter plan: what a model will do on a machine, and why, before anything runs.
#include <fmt/format.h>

#include <fstream>
#include <memory>

#include "apps/cli.h"
#include "apps/machine_profile.h"
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

void add_load_options(CLI::App& verb, planning::PlanOptions& o) {
    const auto group = "Load";
    verb.add_option("--batch", o.batch, "Sequences decoded together (default: 1)")->type_name("N")->group(group);
    verb.add_option("--prompt", o.prompt, "Tokens of a prompt (default: 512)")->type_name("N")->group(group);
    verb.add_option("--output", o.output, "Tokens of an answer (default: 128)")->type_name("N")->group(group);
    verb.add_option("--context", o.context, "Positions that a decode step sees (default: prompt and output)")->type_name("N")->group(group);
    verb.add_option("--prefill-batch", o.prefill_batch, "Prompts computed together (default: 1, as they come)")
        ->type_name("N")
        ->group(group);
    verb.add_option("--prefix-hit", o.prefix_hit, "Part of the prompt that the prefix cache has")->type_name("FRACTION")->group(group);
    verb.add_option("--draft", o.draft, "Speculation: a draft model, or its step's share of the target's (c=0.05)")
        ->type_name("MODEL|c=SHARE")
        ->group(group);
    verb.add_option("--alpha", o.alpha, "Chance that a drafted token is accepted (default: 0.7)")->type_name("P")->group(group);
    verb.add_option("--gamma", o.gamma, "Tokens drafted a round (default: the best number)")->type_name("N")->group(group);
    verb.add_option("--slo-ttft", o.slo_ttft, "Target: seconds to the first token")->type_name("S")->group(group);
    verb.add_option("--slo-itl", o.slo_itl, "Target: seconds between tokens")->type_name("S")->group(group);
}

void add_machine_options(CLI::App& verb, planning::PlanOptions& o) {
    const auto group = "Machine";
    verb.add_option("--hardware", o.hardware, "A device of the catalog, a JSON file, or this: the machine as `rafter probe` measured it")
        ->type_name("NAME|FILE|this")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--devices", o.devices, "How many of them; tensor parallel where that divides the heads")->type_name("N")->group(group);
    verb.add_option("--parallel", o.parallel, "How they share the model: tp=8,pp=2,ep=1; cp=N of tp share a sequence's cache")
        ->type_name("SPEC")
        ->group(group);
    verb.add_option("--collective", o.collective, "How collectives are counted")
        ->check(CLI::IsMember({"ring", "flat"}))
        ->type_name("NAME")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--efficiency", o.efficiency,
                    "How much of its rates the device reaches: ideal, calibrated, or a JSON file of fractions")
        ->type_name("ideal|calibrated|FILE")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--engine", o.engine,
                    "Whose memory overheads and sharing of caches to plan with (default: ideal with ideal rates, rafter on this machine, "
                    "vllm elsewhere)")
        ->type_name("ideal|vllm|sglang|llama.cpp|rafter")
        ->group(group);
    verb.add_option("--step-tokens", o.step_tokens, "Tokens of the engine's largest step (default: the engine's)")
        ->type_name("N")
        ->group(group);
    verb.add_option("--max-sequences", o.max_sequences, "Sequences that the engine samples together at most (default: the engine's)")
        ->type_name("N")
        ->group(group);
    verb.add_option("--reserve-memory", o.reserve_memory,
                    "Bytes of a device that weights and cache do not get: 9.4GiB (default: what the engine is taken to need)")
        ->type_name("SIZE")
        ->group(group);
    verb.add_option("--price", o.price, "Dollars an hour of one device (default: the catalog's)")->type_name("PER_HOUR")->group(group);
    verb.add_option("--memory-fraction", o.memory_fraction, "Part of the devices' memory that may be used (default: the engine's)")
        ->type_name("FRACTION")
        ->group(group);
    verb.add_option("--block-size", o.block_size, "Positions a block of the paged cache (default: 16)")->type_name("N")->group(group);
    verb.add_option("--max-length", o.max_length, "Positions that a contiguous cache reserves (default: the model's context)")
        ->type_name("N")
        ->group(group);
}

void add_number_options(CLI::App& verb, planning::PlanOptions& o) {
    const auto group = "Numbers";
    verb.add_option("--weights", o.weights, "Type of the weights, or bits each: fp16, fp8, int8, int4, q4_k, 4.5 (default: the model's)")
        ->type_name("TYPE|BITS")
        ->group(group);
    verb.add_option("--activations", o.activations, "Type of the activations; int8 and fp8 rates need weights and activations of 8 bits")
        ->type_name("TYPE")
        ->group(group);
    verb.add_option("--kv", o.kv, "Type of the KV cache, or of keys and values: fp16, int8, q8, q8,q4")->type_name("TYPE")->group(group);
    verb.add_flag("--no-fuse", o.no_fuse, "Price every op alone, all activations through memory, attention with its scores")->group(group);
}

void add_measured_options(CLI::App& verb, planning::MeasuredSteps& measured) {
    const auto group = "Numbers";
    verb.add_option("--measured-prefill", measured.prefill,
                    "With --format json: a prefill's measured seconds; the answer then has their MBU and MFU")
        ->check(CLI::PositiveNumber)
        ->type_name("S")
        ->group(group);
    verb.add_option("--measured-decode", measured.decode, "With --format json: a decode step's measured seconds")
        ->check(CLI::PositiveNumber)
        ->type_name("S")
        ->group(group);
}

}  // namespace

void add_plan(CLI::App& app, Cli& cli) {
    const auto options = std::make_shared<PlanVerbOptions>();
    planning::PlanOptions& o = options->plan;
    CLI::App* verb = app.add_subcommand("plan", "Say what a model will do on given hardware, and why");
    verb->add_option("MODEL", o.model, "A catalog name, a GGUF file, or a folder or config.json of Hugging Face");
    verb->add_option("--assume", o.assume, "Plan a config.json of an unknown model_type as one of this type; every answer says so first")
        ->type_name("TYPE");
    verb->add_option("--model-json", o.model_json, "A model as plain dimensions in a JSON file")->type_name("FILE");
    verb->add_option("--list", options->list, "List what the catalogs have")
        ->check(CLI::IsMember({"hardware", "models"}))
        ->type_name("WHAT");
    verb->add_option("--format", options->format, "How to answer")
        ->check(CLI::IsMember({"text", "json", "html", "svg"}))
        ->type_name("NAME")
        ->capture_default_str();
    verb->add_flag("--full", options->full, "With --format text: where the time goes, all what-ifs, curves and notes too");
    verb->add_option("-o,--out", options->out, "Write the answer into this file")->type_name("FILE");
    add_load_options(*verb, o);
    add_machine_options(*verb, o);
    add_number_options(*verb, o);
    add_measured_options(*verb, options->measured);
    verb->footer(
        "Examples:\n"
        "  rafter plan Llama-3.1-70B --hardware H100-SXM --devices 8 --batch 64 --context 4096\n"
        "  rafter plan Llama-3.1-8B --hardware RTX-4090 --weights int4 --kv int8 --format html -o plan.html\n"
        "  rafter plan model.gguf --hardware this --batch 4\n"
        "  rafter plan --model-json dims.json --hardware my-device.json --format json\n"
        "  rafter plan --list hardware");
    verb->callback([options, &cli] {
        cli.action = [options, &cli] {
            const Result<int> status = run(*options, cli.environment);
            return status ? *status : report_error("plan", status.error());
        };
    });
}

}  // namespace rafter::apps
