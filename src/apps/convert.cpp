// rafter convert: a model into GGUF files: of another number type, joined or split.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "apps/cli.h"
#include "apps/conversion.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "base/os_terminal.h"
#include "engine/convert/convert.h"
#include "engine/loading/model_source.h"
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

Result<int> convert(const ConvertVerbOptions& options, const Environment& environment) {
    if (options.split_bytes && *options.split_bytes == 0) return Error{"--split: expected a size above 0, found 0", ErrorKind::kUsage};
    RAFTER_TRY(const std::filesystem::path path, conversion_source(environment, options.source));
    RAFTER_TRY(const std::unique_ptr<files::TensorSource> source, engine::open_source(path));
    RAFTER_TRY(const engine::ConversionPlan plan, engine::plan_conversion(*source, path, options.out,
                                                                          {.type = tensor::dtype_from_name(options.type),
                                                                           .split_bytes = options.split_bytes,
                                                                           .allow_nan = options.allow_nan,
                                                                           .replace = options.force}));
    if (!options.quiet && !plan.n_substituted.empty()) {
        print_note(stderr_terminal(environment), fmt::format("rafter convert: rows that blocks of {} do not divide: {} instead",
                                                             options.type, types_text(plan.n_substituted)));
    }
    for (const std::string& sentence : plan.warnings) {
        if (!options.quiet) print_note(stderr_terminal(environment), "rafter convert: " + sentence);
    }
    ThreadPool pool({.n_threads = options.n_threads});
    return carry_out(environment, plan, *source, pool, {.verb = "convert", .progress = "Converting", .quiet = options.quiet});
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
