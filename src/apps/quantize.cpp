// rafter quantize: a model's matrices in fewer bits, with the scales that lose least.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/cli.h"
#include "apps/conversion.h"
#include "apps/machine_profile.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/quantize_target.h"
#include "apps/report_files.h"
#include "base/os_terminal.h"
#include "base/xxh3.h"
#include "engine/convert/convert_journal.h"
#include "engine/convert/convert_units.h"
#include "engine/convert/finite_weights.h"
#include "engine/convert/tensor_types.h"
#include "engine/loading/model_source.h"
#include "engine/quantize/mixes.h"
#include "files/imatrix_file.h"
#include "planning/efficiency.h"
#include "planning/plan_request.h"
#include "report/table.h"
#include "report/units.h"
#include "tensor/formats/formats.h"
#include "text/utf8_stream.h"

namespace rafter::apps {
namespace {

struct QuantizeOptions {
    std::string source;
    std::string out;
    std::string type;
    std::string target;
    std::string text_file;
    std::string imatrix;
    std::string hardware;  // "": this machine, where it is asked for at all
    std::string html_file, svg_file;
    std::vector<std::string> rules;
    std::optional<std::uint64_t> split_bytes;
    bool refine = false;
    bool dry_run = false;
    bool allow_nan = false;
    bool force = false;
    bool quiet = false;
    unsigned n_threads = 0;
};

Result<std::vector<engine::TypeRule>> type_rules(const QuantizeOptions& options) {
    std::vector<engine::TypeRule> rules;
    for (const std::string& text : options.rules) {
        RAFTER_TRY(engine::TypeRule rule, engine::parse_type_rule(text));
        rules.push_back(std::move(rule));
    }
    return rules;
}

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
    RAFTER_TRY(const std::vector<engine::TypeRule> rules, type_rules(options));
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
        notes.push_back(fmt::format("{} of the source {} quantised already: what that lost stays lost",
                                    n_quantized_before == 1 ? "1 tensor" : fmt::format("{} tensors", n_quantized_before),
                                    n_quantized_before == 1 ? "is" : "are"));
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

// The model that is quantised: its tensors alone, or all that running it on a text needs.
struct QuantizeSource {
    std::filesystem::path path;
    std::unique_ptr<files::TensorSource> tensors_alone;
    std::optional<engine::OpenedModel> opened;
    std::optional<engine::Runtime> runtime;  // where the model is opened

    [[nodiscard]] const files::TensorSource& tensors() const { return opened ? *opened->source : *tensors_alone; }
};
Result<QuantizeSource> open_quantize_source(const QuantizeOptions& options, const Environment& environment) {
    QuantizeSource source;
    RAFTER_TRY(source.path, conversion_source(environment, options.source));
    if (options.target.empty() && options.text_file.empty() && !options.refine) {
        RAFTER_TRY(source.tensors_alone, engine::open_source(source.path));
        return source;
    }
    RAFTER_TRY(source.runtime, engine::Runtime::create({.n_threads = options.n_threads}));
    RAFTER_TRY(source.opened, engine::open_model(source.path));
    return source;
}

// Types of the matrices that rules name, as their rows can have them.
Result<engine::TensorTypes> fixed_types(const QuantizeOptions& options, const files::TensorSource& source) {
    RAFTER_TRY(const std::vector<engine::TypeRule> rules, type_rules(options));
    engine::TensorTypes types;
    RAFTER_TRY_VOID(engine::apply_rules(rules, source, types));
    for (auto& [name, type] : types) {
        type = engine::converted_type(*source.find_tensor(name), type, engine::SourceKind::kGguf);
    }
    return types;
}

// Whose tokens a second are meant: "this" is measured where no profile is saved.
struct NamedMachine {
    std::optional<engine::PricedMachine> machine;
    std::string name;
    std::vector<std::string> doubts;
};
Result<NamedMachine> named_machine(const QuantizeOptions& options, const Target& target, const Environment& environment) {
    NamedMachine named;
    if (options.hardware.empty() && target.kind != Target::Kind::kTokensPerSecond) return named;
    named.machine.emplace();
    if (options.hardware.empty() || options.hardware == "this") {
        named.name = "this machine";
        return named;
    }
    std::vector<std::string> warnings;
    RAFTER_TRY(named.machine->device, planning::find_hardware(options.hardware, warnings, named.doubts));
    for (const std::string& warning : warnings) print_note(stderr_terminal(environment), "rafter quantize: " + warning);
    named.name = named.machine->device->name;
    named.machine->efficiency = planning::typical_efficiency(*named.machine->device);
    named.doubts.push_back(fmt::format("{} was not measured: its data sheet's rates are used, and how much of them programs reach is {}.",
                                       named.name, named.machine->efficiency.name));
    return named;
}

std::string quantize_command(const QuantizeOptions& options) {
    const auto file = [](const std::string& path) { return std::filesystem::path(path).filename().string(); };
    std::string command = fmt::format("rafter quantize {} {} --target {}", file(options.source), file(options.out), options.target);
    if (!options.hardware.empty()) command += " --hardware " + file(options.hardware);
    if (!options.text_file.empty()) command += " --text " + file(options.text_file);
    if (!options.imatrix.empty()) command += " --imatrix " + file(options.imatrix);
    if (options.refine) command += " --refine";
    for (const std::string& rule : options.rules) command += " --tensor " + rule;
    return command;
}

Result<void> show_front(const QuantizeOptions& options, const planning::QuantizeFront& front, const Environment& environment) {
    if (!options.quiet) RAFTER_TRY_VOID(write_stdout(planning::front_text(front, stdout_style(environment))));
    return write_report_files({{options.html_file, planning::front_html(front)}, {options.svg_file, planning::front_svg(front)}});
}

// What the text is for, in the order in which it is used: importances, the target, error feedback. Sets wanted.types and wanted.importance,
// which is kept in `importance`, and wanted.refine. None: interrupted.
Result<std::optional<CalibrationText>> measure(const QuantizeOptions& options, const Environment& environment, QuantizeSource& source,
                                               files::ImportanceMatrix& importance, engine::ConvertOptions& wanted) {
    engine::Runtime& runtime = *source.runtime;
    const engine::OpenedModel& opened = *source.opened;
    TargetOptions target{.quiet = options.quiet};
    NamedMachine named;
    std::vector<engine::MatrixChoices> matrices;
    if (!options.target.empty()) {
        RAFTER_TRY(target.target, parse_target(options.target));
        RAFTER_TRY(named, named_machine(options, target.target, environment));
        if (named.machine && !named.machine->device) {
            RAFTER_TRY(named.machine->profile, machine_profile(environment, runtime.pool(), runtime.isa(), "quantize"));
            if (!named.machine->profile.trusted)
                named.doubts.push_back(fmt::format("The machine's profile is in doubt: {}.", named.machine->profile.doubt));
        }
        target.machine = named.machine;
        RAFTER_TRY(target.fixed, fixed_types(options, source.tensors()));
        target.size = [&](const engine::TensorTypes& types) -> Result<QuantizedSize> {
            engine::ConvertOptions trial = wanted;
            trial.types = types;
            trial.importance = nullptr;
            RAFTER_TRY(const engine::ConversionPlan plan, engine::plan_conversion(source.tensors(), source.path, options.out, trial));
            return QuantizedSize{.file_bytes = static_cast<double>(plan.size_bytes), .weights_bytes = tensors_bytes(plan)};
        };
        RAFTER_TRY(matrices, priced_choices(target, runtime, opened));
    }
    const bool wants_more = wanted.importance == nullptr || options.refine;
    RAFTER_TRY(auto text, calibration_text({.file = options.text_file, .for_importances = wants_more, .quiet = options.quiet}, runtime,
                                           opened, environment));
    if (!text) return text;
    if (!options.quiet) print_note(stderr_terminal(environment), fmt::format("rafter quantize: measuring on {}", text->words()));
    if (wanted.importance == nullptr) {
        RAFTER_TRY(auto measured, measure_importance(*text, runtime, opened, options.quiet, environment));
        if (!measured) return std::optional<CalibrationText>();
        importance = *std::move(measured);
        wanted.importance = &importance;
    }
    if (options.refine) {
        wanted.refine = {.text = text::valid_utf8(text->name), .n_tokens = 0, .identity = 0};
        for (const auto& window : importance_windows(*text, opened)) {
            wanted.refine->n_tokens += window.size();
            wanted.refine->identity = xxh3(std::as_bytes(std::span(window)), wanted.refine->identity);
        }
    }
    if (options.target.empty()) return text;
    target.importance = wanted.importance;
    RAFTER_TRY(auto choice, choose_types(target, std::move(matrices), *text, runtime, opened, environment));
    if (!choice) return std::optional<CalibrationText>();
    wanted.types = std::move(choice->types);
    wanted.file_type = engine::main_file_type(source.tensors(), wanted.types);
    choice->front.hardware = named.name;
    choice->front.doubts = named.doubts;
    choice->front.version = version();
    choice->front.command = quantize_command(options);
    RAFTER_TRY_VOID(show_front(options, choice->front, environment));
    return text;
}

// Error feedback for what the plan encodes.
Result<engine::InputFeedback> input_feedback(const QuantizeOptions& options, const engine::ConversionPlan& plan, QuantizeSource& source,
                                             const CalibrationText& text, const Environment& environment) {
    const std::vector<std::string> tensors = engine::refined_tensors(plan);
    RAFTER_TRY(
        engine::InputFeedback feedback,
        engine::InputFeedback::create(*source.runtime, *source.opened, {.windows = importance_windows(text, *source.opened)}, tensors));
    std::size_t n_known = 0;
    for (const std::string& tensor : tensors) n_known += feedback.pass_of(tensor, 0) ? 1 : 0;
    if (n_known == 0)
        return bad_input("--refine: expected matrices that become blocks of another type, of inputs that a text shows, found none");
    if (!options.quiet) {
        print_note(stderr_terminal(environment),
                   fmt::format("rafter quantize: errors of {} of {} tensors will be fed back; {} tokens are read in {} part{}",
                               report::grouped(n_known), report::grouped(tensors.size()), report::grouped(feedback.n_tokens()),
                               report::grouped(feedback.n_passes()), feedback.n_passes() == 1 ? "" : "s"));
    }
    return feedback;
}

Result<void> check_usage(const QuantizeOptions& options) {
    const auto wrong = [](std::string_view message) { return Error{std::string(message), ErrorKind::kUsage}; };
    if (options.type.empty() == options.target.empty()) {
        return wrong("--type: expected a type such as Q4_K, a mix such as Q4_K_M, or --target instead, found neither or both");
    }
    if (!options.target.empty()) {
        RAFTER_TRY_VOID(parse_target(options.target));
        return {};
    }
    if (!options.text_file.empty() && !options.imatrix.empty() && !options.refine) {
        return wrong("--text: expected --refine or --target beside it, as --imatrix has the importances, found neither");
    }
    if (!options.hardware.empty()) return wrong("--hardware: expected --target beside it, found none");
    if (!options.html_file.empty()) return wrong("--html: expected --target, whose front it shows, found none");
    if (!options.svg_file.empty()) return wrong("--svg: expected --target, whose front it shows, found none");
    return {};
}

// What the run reads besides the source.
std::vector<TakenFile> read_files(const QuantizeOptions& options) {
    std::vector<TakenFile> files;
    if (!options.text_file.empty()) files.push_back({.whose = "the text", .path = options.text_file});
    if (!options.imatrix.empty()) files.push_back({.whose = "the importances", .path = options.imatrix});
    if (!options.hardware.empty()) files.push_back({.whose = "the hardware", .path = options.hardware});
    return files;
}

// The conversion as far as it is known before anything is measured: all that can be refused then is. Of a target's types and parts nothing
// is known, so that any type stands for them.
Result<void> check_before(const QuantizeOptions& options, const QuantizeSource& source, engine::ConvertOptions wanted) {
    const bool has_target = !options.target.empty();
    if (has_target) {
        wanted.type = tensor::DType::kQ4_0;
        wanted.split_bytes.reset();
        wanted.replace = wanted.replace || options.split_bytes.has_value();
    }
    RAFTER_TRY(const engine::ConversionPlan plan, engine::plan_conversion(source.tensors(), source.path, options.out, wanted));
    std::vector<TakenFile> taken = read_files(options);
    std::vector<TakenFile> written{{.whose = "the output", .path = engine::journal_path(plan.out)}};
    for (const engine::PlannedPart& part : plan.parts) {
        for (const std::filesystem::path& path : {part.path, engine::partial_path(part.path)}) {
            if (const TakenFile* const other = find_taken(path, taken)) {
                return Error{fmt::format("{}: expected another output than {}, found the same file", path.string(), other->whose),
                             ErrorKind::kUsage};
            }
            written.push_back({.whose = "the output", .path = path});
        }
    }
    std::ranges::move(written, std::back_inserter(taken));
    std::ranges::move(model_files("the source", source.path), std::back_inserter(taken));
    RAFTER_TRY_VOID(check_report_files({{"--html", options.html_file}, {"--svg", options.svg_file}}, std::move(taken)));
    return options.dry_run ? Result<void>() : engine::check_place(plan);
}

Result<int> quantize(const QuantizeOptions& options, const Environment& environment) {
    RAFTER_TRY_VOID(check_usage(options));
    RAFTER_TRY(QuantizeSource source, open_quantize_source(options, environment));
    RAFTER_TRY(engine::ConvertOptions wanted, wanted_types(options, source.tensors()));
    files::ImportanceMatrix importance;
    if (!options.imatrix.empty()) {
        RAFTER_TRY(importance, files::read_imatrix(options.imatrix));
        wanted.importance = &importance;
        wanted.importance_name = options.imatrix;
    }
    RAFTER_TRY_VOID(check_before(options, source, wanted));
    std::optional<CalibrationText> text;
    if (source.opened) {
        if (!options.allow_nan) RAFTER_TRY_VOID(engine::check_finite_weights(source.tensors(), source.runtime->pool()));
        RAFTER_TRY(text, measure(options, environment, source, importance, wanted));
        if (!text) {
            if (!options.quiet) print_note(stderr_terminal(environment), "rafter quantize: interrupted: nothing is written");
            return kExitInterrupted;
        }
    }
    RAFTER_TRY(const engine::ConversionPlan plan, engine::plan_conversion(source.tensors(), source.path, options.out, wanted));
    if (!options.quiet) {
        for (const std::string& note : notes_on(plan, options)) print_note(stderr_terminal(environment), "rafter quantize: " + note);
    }
    std::optional<engine::InputFeedback> feedback;
    if (plan.refine) {
        RAFTER_TRY(feedback, input_feedback(options, plan, source, *text, environment));
    }
    if (options.dry_run) {
        RAFTER_TRY_VOID(write_stdout(fmt::format("{}: {}, {:.2f} bits a weight: {}\n\n{}", options.out,
                                                 report::bytes(static_cast<double>(plan.size_bytes)), bits_per_weight(plan),
                                                 types_text(plan.n_of_type), changes_text(plan, stdout_style(environment)))));
        return 0;
    }
    const ConversionWords words{.verb = "quantize", .progress = "Quantising", .quiet = options.quiet};
    if (source.runtime)
        return carry_out(environment, plan, source.tensors(), source.runtime->pool(), words, feedback ? &*feedback : nullptr);
    ThreadPool pool({.n_threads = options.n_threads});
    return carry_out(environment, plan, source.tensors(), pool, words);
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
    verb.options.add("quantize-hardware", o.hardware);
    verb.options.add("refine", o.refine);
    verb.options.add("text", o.text_file, {.otherwise = "with --target or --refine, a text that the model writes itself; else none"});
    verb.options.add("imatrix", o.imatrix);
    verb.options.add("tensor", o.rules);
    verb.options.add("dry-run", o.dry_run);
    verb.options.add("split", o.split_bytes);
    verb.options.add("allow-nan", o.allow_nan);
    verb.options.add("replace", o.force);
    verb.options.add("html", o.html_file);
    verb.options.add("front-svg", o.svg_file);
    verb.options.add("quiet", o.quiet);
    verb.options.add("threads", o.n_threads);
    verb.footer =
        "Each block's scale is searched for. With --text, or --imatrix (`rafter imatrix` makes one), errors count as much as the column is "
        "used. "
        "With --refine, errors of a column are made good in the columns after it. "
        "With --target, each matrix gets the type with which the model's output loses least: measured on the text, which no later "
        "judgement should use.\n\n"
        "Examples:\n"
        "  rafter quantize Llama-3.2-1B-Instruct/ llama-q4.gguf --type Q4_K_M\n"
        "  rafter quantize model.gguf small.gguf --type Q4_K --imatrix model.imatrix --tensor attn_v=Q6_K\n"
        "  rafter quantize model.gguf small.gguf --type Q4_K_M --refine --text calibration.txt\n"
        "  rafter quantize model.gguf small.gguf --target size=700MB\n"
        "  rafter quantize model.gguf small.gguf --target bpw=4.5 --tensor output=Q8_0 --text calibration.txt --html front.html\n"
        "  rafter quantize model.gguf fast.gguf --target tok/s=30 --text calibration.txt";
    verb.run = [quantize_options](const Environment& environment) { return quantize(*quantize_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
