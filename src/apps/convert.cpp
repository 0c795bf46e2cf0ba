// rafter convert: a model into GGUF files: of another number type, joined or split.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "apps/cli.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "base/os_terminal.h"
#include "engine/convert/convert.h"
#include "engine/loading/model_source.h"
#include "report/progress.h"
#include "report/units.h"
#include "tensor/formats/formats.h"

namespace rafter::apps {
namespace {

struct ConvertVerbOptions {
    std::string source;
    std::string out;
    std::string type = "auto";
    std::optional<std::uint64_t> split_bytes;
    bool allow_nan = false;
    bool force = false;
    bool quiet = false;
    unsigned n_threads = 0;
};

// "210 Q8_0, 61 F32"
std::string types_text(const std::map<tensor::DType, std::uint32_t>& n_of_type) {
    std::string text;
    for (const auto& [type, n] : n_of_type) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", n, tensor::format_of(type).name);
    return text;
}

std::string summary(const engine::ConversionPlan& plan, const engine::Conversion& conversion) {
    const std::string file = plan.parts.size() == 1 ? plan.parts.front().path.filename().string()
                                                    : fmt::format("{} and {} more", plan.parts.front().path.filename().string(),
                                                                  report::grouped(plan.parts.size() - 1));
    const std::uint64_t written_bytes = conversion.size_bytes - conversion.reused_bytes;
    std::string text = fmt::format("{}: {}, {} tensors: {}", file, report::bytes(static_cast<double>(conversion.size_bytes)),
                                   report::grouped(plan.tensors.size()), types_text(plan.n_of_type));
    if (conversion.reused_bytes > 0) {
        text += fmt::format("; {} were written before", report::bytes(static_cast<double>(conversion.reused_bytes)));
    }
    if (conversion.seconds > 0) {
        text += fmt::format("; {}, {}", report::seconds(conversion.seconds),
                            report::bytes_per_second(static_cast<double>(written_bytes) / conversion.seconds));
    }
    return text;
}

// A folder that is a checkpoint is meant itself, not a GGUF file in it.
Result<std::filesystem::path> source_path(const ConvertVerbOptions& options, const Environment& environment) {
    std::error_code failed;
    if (std::filesystem::exists(std::filesystem::path(options.source) / "config.json", failed)) {
        return std::filesystem::path(options.source);
    }
    return find_model(environment, options.source);
}

Result<int> convert(const ConvertVerbOptions& options, const Environment& environment) {
    if (options.split_bytes && *options.split_bytes == 0) return Error{"--split: expected a size above 0, found 0", ErrorKind::kUsage};
    RAFTER_TRY(const std::filesystem::path path, source_path(options, environment));
    RAFTER_TRY(const std::unique_ptr<files::TensorSource> source, engine::open_source(path));
    RAFTER_TRY(const engine::ConversionPlan plan, engine::plan_conversion(*source, path, options.out,
                                                                          {.type = tensor::dtype_from_name(options.type),
                                                                           .split_bytes = options.split_bytes,
                                                                           .allow_nan = options.allow_nan,
                                                                           .replace = options.force}));
    const report::Terminal terminal = stderr_terminal(environment);
    if (!options.quiet && !plan.n_substituted.empty()) {
        print_note(terminal, fmt::format("rafter convert: rows that blocks of {} do not divide: {} instead", options.type,
                                         types_text(plan.n_substituted)));
    }
    for (const std::string& sentence : plan.warnings) {
        if (!options.quiet) print_note(terminal, "rafter convert: " + sentence);
    }
    ThreadPool pool({.n_threads = options.n_threads});
    const InterruptFlag interrupt;
    engine::Conversion conversion;
    {
        report::Progress bar(terminal, "Converting");
        RAFTER_TRY(conversion, engine::run_conversion(plan, *source, pool,
                                                      {.progress =
                                                           [&](double fraction) {
                                                               if (!options.quiet) bar.update(fraction);
                                                           },
                                                       .is_stopped = [&] { return interrupt.is_set(); },
                                                       .note =
                                                           [&](const std::string& sentence) {
                                                               bar.clear();
                                                               if (!options.quiet) print_note(terminal, "rafter convert: " + sentence);
                                                           }}));
    }
    if (!conversion.complete) {
        if (!options.quiet) print_note(terminal, "rafter convert: interrupted; the same command continues");
        return kExitInterrupted;
    }
    if (!options.quiet) RAFTER_TRY_VOID(write_stdout(summary(plan, conversion) + "\n"));
    return 0;
}

}  // namespace

void add_convert(CLI::App& app, Cli& cli) {
    const auto convert_options = std::make_shared<ConvertVerbOptions>();
    ConvertVerbOptions& o = *convert_options;
    Verb verb{.name = "convert", .summary = "Write a model as GGUF, in any type; join or split files"};
    verb.options.add("convert-source", o.source, {.required = true});
    verb.options.add("convert-out", o.out, {.required = true});
    verb.options.add("convert-type", o.type);
    verb.options.add("split", o.split_bytes);
    verb.options.add("allow-nan", o.allow_nan);
    verb.options.add("replace", o.force);
    verb.options.add("quiet", o.quiet);
    verb.options.add("threads", o.n_threads);
    verb.footer =
        "No output has its name before it is whole and on the disk. The same command continues an interrupted run.\n\n"
        "Examples:\n"
        "  rafter convert Llama-3.2-1B-Instruct/ llama.gguf\n"
        "  rafter convert Llama-3.2-1B-Instruct/ llama-q8.gguf --type Q8_0\n"
        "  rafter convert model-00001-of-00003.gguf model.gguf\n"
        "  rafter convert model.gguf model.gguf --split 2GB";
    verb.run = [convert_options](const Environment& environment) { return convert(*convert_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
