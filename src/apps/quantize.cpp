// rafter quantize: a model's matrices in fewer bits, with the scales that lose least.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli.h"
#include "apps/conversion.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/quantize_target.h"
#include "base/os_terminal.h"
#include "engine/loading/model_source.h"
#include "engine/quantize/mixes.h"
#include "files/imatrix_file.h"
#include "report/table.h"
#include "report/units.h"
#include "tensor/formats/formats.h"

namespace rafter::apps {
namespace {

struct QuantizeOptions {
    std::string source;
    std::string out;
    std::string type;
    std::string target;
    std::string text_file;
    std::string imatrix;
    std::vector<std::string> rules;
    std::optional<std::uint64_t> split_bytes;
    bool dry_run = false;
    bool allow_nan = false;
    bool force = false;
    bool quiet = false;
    unsigned n_threads = 0;
};

// What is asked of each matrix.
Result<engine::ConvertOptions> wanted_types(const QuantizeOptions& options, const files::TensorSource& source) {
    engine::ConvertOptions wanted{.split_bytes = options.split_bytes, .allow_nan = options.allow_nan, .replace = options.force};
    wanted.encoding = engine::Encoding::kSearched;
    if (const engine::Mix* const mix = engine::mix_from_name(options.type)) {
        wanted.types = engine::types_of_mix(*mix, source);
        wanted.file_type = mix->file_type;
    } else {
        wanted.type = tensor::dtype_from_name(options.type);
    }
    std::vector<engine::TypeRule> rules;
    for (const std::string& text : options.rules) {
        RAFTER_TRY(engine::TypeRule rule, engine::parse_type_rule(text));
        rules.push_back(std::move(rule));
    }
    RAFTER_TRY_VOID(engine::apply_rules(rules, source, wanted.types));
    return wanted;
}

double tensors_bytes(const engine::ConversionPlan& plan) {
    double bytes = 0.0;
    for (const engine::PlannedTensor& tensor : plan.tensors) {
        bytes += static_cast<double>(tensor.source->n_rows() * tensor::format_of(tensor.dtype).row_bytes(tensor.source->shape.back()));
    }
    return bytes;
}

double bits_per_weight(const engine::ConversionPlan& plan) {
    double n = 0.0;
    for (const engine::PlannedTensor& tensor : plan.tensors) n += static_cast<double>(tensor.source->n_elements());
    return n > 0 ? 8.0 * tensors_bytes(plan) / n : 0.0;
}

bool is_quantized(tensor::DType type) { return tensor::format_of(type).block_elements > 1; }

// What a person should know before: in sentences.
std::vector<std::string> notes_on(const engine::ConversionPlan& plan, const QuantizeOptions& options) {
    std::vector<std::string> notes = plan.warnings;
    std::uint32_t n_quantized_before = 0;
    for (const engine::PlannedTensor& tensor : plan.tensors) {
        n_quantized_before += tensor.dtype != tensor.source->dtype && is_quantized(tensor.source->dtype) ? 1U : 0U;
    }
    if (n_quantized_before > 0) {
        notes.push_back(fmt::format("{} tensors of the source are quantised already: what that lost stays lost", n_quantized_before));
    }
    if (!plan.n_substituted.empty()) {
        notes.push_back(fmt::format("rows that blocks of the wanted type do not divide: {} instead", types_text(plan.n_substituted)));
    }
    if (!options.imatrix.empty() && plan.n_with_importance < plan.n_encoded) {
        notes.push_back(fmt::format("{}: expected importances of {} tensors, found those of {}; in the others all columns count the same",
                                    options.imatrix, plan.n_encoded, plan.n_with_importance));
    }
    return notes;
}

// Each tensor: what a dry run shows.
std::string changes_text(const engine::ConversionPlan& plan, const report::Style& style) {
    report::Table table({{"tensor"}, {"from"}, {"to"}, {"size", report::Align::kRight}});
    for (const engine::PlannedTensor& tensor : plan.tensors) {
        const tensor::FormatInfo& format = tensor::format_of(tensor.dtype);
        const auto bytes = static_cast<double>(tensor.source->n_rows() * format.row_bytes(tensor.source->shape.back()));
        table.add({tensor.source->name, std::string(tensor::format_of(tensor.source->dtype).name), std::string(format.name),
                   report::bytes(bytes)});
    }
    return table.render(style);
}

// Sets wanted.types for the target. Rules hold for what they name, whatever the target would choose. False: interrupted.
Result<bool> meet_target(const QuantizeOptions& options, const Environment& environment, const std::filesystem::path& path,
                         const files::TensorSource& source, engine::ConvertOptions& wanted) {
    RAFTER_TRY(const Target target, parse_target(options.target));
    const auto size = [&](const engine::TensorTypes& types) -> Result<QuantizedSize> {
        engine::ConvertOptions trial = wanted;
        trial.types = types;
        trial.importance = nullptr;
        RAFTER_TRY(const engine::ConversionPlan plan, engine::plan_conversion(source, path, options.out, trial));
        return QuantizedSize{.file_bytes = static_cast<double>(plan.size_bytes), .weights_bytes = tensors_bytes(plan)};
    };
    RAFTER_TRY(auto choice, choose_types({.target = target,
                                          .text_file = options.text_file,
                                          .importance = wanted.importance,
                                          .n_threads = options.n_threads,
                                          .quiet = options.quiet,
                                          .size = size},
                                         path, environment));
    if (!choice) return false;
    wanted.types = std::move(choice->types);
    wanted.file_type = engine::main_file_type(source, wanted.types);
    if (!options.quiet) RAFTER_TRY_VOID(write_stdout(choice->report));
    return true;
}

Result<void> check_usage(const QuantizeOptions& options) {
    const auto wrong = [](std::string_view message) { return Error{std::string(message), ErrorKind::kUsage}; };
    if (options.type.empty() == options.target.empty()) {
        return wrong("--type: expected a type such as Q4_K, a mix such as Q4_K_M, or --target instead, found neither or both");
    }
    if (options.target.empty()) return {};
    if (options.text_file.empty()) return wrong("--target: expected --text FILE, the text on which losses are measured, found none");
    if (!options.rules.empty()) return wrong("--target: expected no --tensor beside it, found one");
    return {};
}

Result<int> quantize(const QuantizeOptions& options, const Environment& environment) {
    RAFTER_TRY_VOID(check_usage(options));
    RAFTER_TRY(const std::filesystem::path path, conversion_source(environment, options.source));
    RAFTER_TRY(const std::unique_ptr<files::TensorSource> source, engine::open_source(path));
    RAFTER_TRY(engine::ConvertOptions wanted, wanted_types(options, *source));
    files::ImportanceMatrix importance;
    const auto interrupted = [&] {
        if (!options.quiet) print_note(stderr_terminal(environment), "rafter quantize: interrupted: nothing is written");
        return kExitInterrupted;
    };
    if (!options.imatrix.empty()) {
        RAFTER_TRY(importance, files::read_imatrix(options.imatrix));
        wanted.importance = &importance;
    } else if (!options.text_file.empty()) {
        RAFTER_TRY(auto measured, measure_importance(options.text_file, path, options.n_threads, options.quiet, environment));
        if (!measured) return interrupted();
        importance = *std::move(measured);
        wanted.importance = &importance;
    }
    if (!options.target.empty()) {
        RAFTER_TRY(const bool is_chosen, meet_target(options, environment, path, *source, wanted));
        if (!is_chosen) return interrupted();
    }
    auto planned = engine::plan_conversion(*source, path, options.out, wanted);
    if (!planned && !options.imatrix.empty()) return planned.error().within(options.imatrix);
    RAFTER_TRY(const engine::ConversionPlan plan, std::move(planned));
    if (!options.quiet) {
        for (const std::string& note : notes_on(plan, options)) print_note(stderr_terminal(environment), "rafter quantize: " + note);
    }
    if (options.dry_run) {
        RAFTER_TRY_VOID(write_stdout(fmt::format("{}: {}, {:.2f} bits a weight: {}\n\n{}", options.out,
                                                 report::bytes(static_cast<double>(plan.size_bytes)), bits_per_weight(plan),
                                                 types_text(plan.n_of_type), changes_text(plan, stdout_style(environment)))));
        return 0;
    }
    ThreadPool pool({.n_threads = options.n_threads});
    return carry_out(environment, plan, *source, pool, {.verb = "quantize", .progress = "Quantising", .quiet = options.quiet});
}

}  // namespace

void add_quantize(CLI::App& app, Cli& cli) {
    const auto quantize_options = std::make_shared<QuantizeOptions>();
    QuantizeOptions& o = *quantize_options;
    Verb verb{.name = "quantize", .summary = "Write a model in fewer bits, losing as little as can be"};
    verb.options.add("convert-source", o.source, {.required = true});
    verb.options.add("convert-out", o.out, {.required = true});
    verb.options.add("quantize-type", o.type);
    verb.options.add("target", o.target);
    verb.options.add("text", o.text_file, {.otherwise = "none; --target needs one"});
    verb.options.add("imatrix", o.imatrix);
    verb.options.add("tensor", o.rules);
    verb.options.add("dry-run", o.dry_run);
    verb.options.add("split", o.split_bytes);
    verb.options.add("allow-nan", o.allow_nan);
    verb.options.add("replace", o.force);
    verb.options.add("quiet", o.quiet);
    verb.options.add("threads", o.n_threads);
    verb.footer =
        "Each block's scale is searched for. With --text, or --imatrix (`rafter imatrix` makes one), errors count as much as the column is "
        "used. "
        "With --target, each matrix gets the type with which the model's output loses least: measured on the text, which no later "
        "judgement should use.\n\n"
        "Examples:\n"
        "  rafter quantize Llama-3.2-1B-Instruct/ llama-q4.gguf --type Q4_K_M\n"
        "  rafter quantize model.gguf small.gguf --type Q4_K --imatrix model.imatrix --tensor attn_v=Q6_K\n"
        "  rafter quantize model.gguf small.gguf --target size=700MB --text calibration.txt --imatrix model.imatrix\n"
        "  rafter quantize model.gguf fast.gguf --target tok/s=30 --text calibration.txt";
    verb.run = [quantize_options](const Environment& environment) { return quantize(*quantize_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
