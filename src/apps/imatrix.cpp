// rafter imatrix: an importance matrix of a model on a text, or on text that the model first writes itself, for quantising it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "apps/cli.h"
#include "apps/model_title.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/report_files.h"
#include "apps/session.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "base/os_terminal.h"
#include "base/os_text_file.h"
#include "engine/importance/collect.h"
#include "engine/importance/own_text.h"
#include "engine/loading/loaded_model.h"
#include "report/progress.h"
#include "report/units.h"
#include "text/utf8_stream.h"

namespace rafter::apps {
namespace {

using engine::TokenId;
using nlohmann::ordered_json;

constexpr std::uint32_t kMinImatrixContext = 4;
constexpr std::size_t kSelfWindows = 32;         // where --windows says nothing: 16,384 tokens
constexpr std::uint32_t kMaxSelfDocuments = 16;  // written at once

struct ImatrixOptions {
    SessionOptions session;
    std::string text_file;
    std::string out;
    bool self = false;
    std::optional<std::uint32_t> n_windows;
    std::optional<std::uint64_t> seed;
    bool no_head = false;
    bool partial = false;
    bool force = false;
    bool json = false;

    [[nodiscard]] std::size_t context() const { return *session.context; }
};

struct CalibrationText {
    std::vector<TokenId> tokens;
    std::string name;  // for the file's datasets
    bool interrupted = false;
};

struct Collection {
    files::ImportanceMatrix matrix;
    std::size_t n_tokens = 0;  // of the text
    std::size_t n_windows = 0;
    std::size_t n_collected = 0;  // windows, unless interrupted all
    double seconds = 0.0;
    bool interrupted = false;
};

double imatrix_seconds_since(std::int64_t start_ns) { return static_cast<double>(monotonic_ns() - start_ns) * 1e-9; }

// Before anything is computed: that the result will have a place.
Result<void> check_out(const ImatrixOptions& options, const std::filesystem::path& model) {
    const std::filesystem::path out = options.out;
    std::error_code failed;
    if (std::filesystem::exists(out, failed)) {
        std::vector<TakenFile> taken = model_files("the model", model);
        if (!options.text_file.empty()) taken.push_back({.whose = "the text", .path = options.text_file});
        if (const TakenFile* const other = find_taken(options.out, taken)) {
            return bad_input("--out {}: expected another file than {}, found {} itself", options.out, other->whose, other->whose);
        }
        if (!options.force) return bad_input("{}: expected no such file yet, found one: --force replaces it", options.out);
    }
    RAFTER_TRY(const AtomicFile probe, AtomicFile::create(out));  // removed again: nothing is committed
    return {};
}

bool adds_bos(const engine::OpenedModel& opened) {
    const text::SpecialIds& special = opened.tokenizer->special();
    return special.add_bos && special.bos;
}

Result<CalibrationText> read_text(const ImatrixOptions& options, const engine::OpenedModel& opened) {
    RAFTER_TRY(const std::string text, read_whole_text(options.text_file));
    CalibrationText calibration{.tokens = opened.tokenizer->encode(text, text::SpecialTokens::kAsText), .name = options.text_file};
    if (adds_bos(opened)) calibration.tokens.insert(calibration.tokens.begin(), *opened.tokenizer->special().bos);
    if (calibration.tokens.size() < options.context()) {
        return bad_input("{}: expected at least {} tokens (one window), found {}", options.text_file, options.context(),
                         calibration.tokens.size());
    }
    return calibration;
}

Result<CalibrationText> write_text(const ImatrixOptions& options, Session& session, const Environment& environment,
                                   const InterruptFlag& interrupt) {
    const std::uint32_t context = *options.session.context;
    const std::size_t n_windows = options.n_windows.value_or(kSelfWindows);
    const auto n_together = static_cast<std::uint32_t>(std::min<std::size_t>(n_windows, kMaxSelfDocuments));
    RAFTER_TRY_VOID(session.load({.context = context, .n_outputs = n_together, .n_sequences = n_together, .prefix_cache = false}));
    const std::size_t n_tokens = n_windows * options.context();
    const std::uint64_t seed = options.seed.value_or(0);
    report::Progress bar(stderr_terminal(environment), "Writing");
    const std::int64_t start_ns = monotonic_ns();
    const auto written = [&](std::size_t n) {
        const double done = std::min(1.0, static_cast<double>(n) / static_cast<double>(n_tokens));
        bar.update(done, fmt::format("{} tokens, {} left", report::grouped(n),
                                     report::seconds(imatrix_seconds_since(start_ns) / done * (1.0 - done))));
        return !interrupt.is_set();
    };
    RAFTER_TRY(auto text, engine::write_own_text(
                              session.engine(), session.opened(),
                              {.n_tokens = n_tokens, .context = context, .n_together = n_together, .seed = seed, .written = written}));
    CalibrationText calibration{.name = fmt::format("self: written by {} at temperature 1, seed {}", session.opened().config.name, seed)};
    if (!text) {
        calibration.interrupted = true;
    } else {
        calibration.tokens = *std::move(text);
    }
    return calibration;
}

// The same weights as those of a model that is loaded already, where there is one.
Result<engine::LoadedModel> load_observing(const ImatrixOptions& options, Session& session, const Environment& environment) {
    engine::LoadModelOptions load =
        session.load_options({.context = options.context(), .n_outputs = std::min(engine::kStepTokens, *options.session.context)});
    load.observe_inputs = true;
    if (options.self) load.weights_of = session.loaded().device.get();
    report::Progress loading(stderr_terminal(environment), "Loading " + model_title(*session.opened().source));
    load.progress = [&](double fraction) { loading.update(fraction); };
    return engine::load_model(session.runtime(), session.opened(), load);
}

Result<Collection> collect(const ImatrixOptions& options, const Environment& environment) {
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    RAFTER_TRY_VOID(check_out(options, session->opened().source->name()));
    InterruptFlag interrupt;
    RAFTER_TRY(const CalibrationText text,
               options.self ? write_text(options, *session, environment, interrupt) : read_text(options, session->opened()));
    Collection collection{.n_tokens = text.tokens.size(), .interrupted = text.interrupted};
    if (text.interrupted) return collection;
    RAFTER_TRY(engine::LoadedModel model, load_observing(options, *session, environment));
    collection.n_windows = std::min<std::size_t>(text.tokens.size() / options.context(), options.n_windows.value_or(~0U));

    engine::ImportanceCollector collector(model);
    report::Progress bar(stderr_terminal(environment), "Collecting");
    const std::int64_t start_ns = monotonic_ns();
    while (collection.n_collected < collection.n_windows && !collection.interrupted) {
        const auto start = text.tokens.begin() + static_cast<std::ptrdiff_t>(collection.n_collected * options.context());
        std::vector<TokenId> window(start, start + static_cast<std::ptrdiff_t>(options.context()));
        if (adds_bos(session->opened())) window[0] = *session->opened().tokenizer->special().bos;
        collector.add(window);
        const auto n_done = static_cast<double>(++collection.n_collected);
        collection.seconds = imatrix_seconds_since(start_ns);
        const auto n_all = static_cast<double>(collection.n_windows);
        bar.update(n_done / n_all,
                   fmt::format("window {} of {}, {} left", report::grouped(collection.n_collected), report::grouped(collection.n_windows),
                               report::seconds(collection.seconds / n_done * (n_all - n_done))));
        collection.interrupted = interrupt.take() && collection.n_collected < collection.n_windows;
    }
    bar.clear();
    RAFTER_TRY(collection.matrix, collector.result());
    collection.matrix.datasets = {text::valid_utf8(text.name)};
    if (options.no_head) {
        for (const char* head : {"output.weight", "token_embd.weight"}) collection.matrix.entries.erase(head);
    }
    return collection;
}

// Of all experts' matrices: how many there are, and how many saw no row.
struct ExpertCount {
    std::size_t n = 0;
    std::size_t n_unseen = 0;
};
ExpertCount count_experts(const files::ImportanceMatrix& matrix) {
    ExpertCount count;
    for (const auto& [name, entry] : matrix.entries) {
        if (entry.n_matrices == 1) continue;
        count.n += entry.counts.size();
        count.n_unseen += static_cast<std::size_t>(std::ranges::count(entry.counts, 0.0F));
    }
    return count;
}

Result<void> print_collection(const ImatrixOptions& options, const Collection& collection, bool written, const Environment& environment) {
    const ExpertCount experts = count_experts(collection.matrix);
    const std::size_t n_seen = collection.n_collected * options.context();
    const double rate = collection.seconds > 0 ? static_cast<double>(n_seen) / collection.seconds : 0.0;
    if (options.json) {
        ordered_json result{{"file", written ? ordered_json(options.out) : ordered_json(nullptr)},
                            {"n_tensors", collection.matrix.entries.size()},
                            {"n_windows", collection.n_collected},
                            {"context", options.context()},
                            {"n_tokens", collection.n_tokens},
                            {"complete", !collection.interrupted},
                            {"datasets", collection.matrix.datasets},
                            {"n_expert_matrices", experts.n},
                            {"n_unseen_expert_matrices", experts.n_unseen},
                            {"seconds", collection.seconds},
                            {"tokens_per_second", rate}};
        return write_stdout(result.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
    }
    const report::Terminal terminal = stderr_terminal(environment);
    if (experts.n_unseen > 0 && written && !options.session.quiet) {
        print_note(terminal, fmt::format("rafter imatrix: {} of {} experts' matrices saw no token: a longer text would reach more of them",
                                         report::grouped(experts.n_unseen), report::grouped(experts.n)));
    }
    if (!written) {
        print_note(terminal, "rafter imatrix: interrupted: nothing is written");
        return {};
    }
    if (options.session.quiet) return {};
    return write_stdout(fmt::format(
        "{}: {} tensors, {} window{} of {} tokens{}, {}, {} tok/s\n", options.out, report::grouped(collection.matrix.entries.size()),
        report::grouped(collection.n_collected), collection.n_collected == 1 ? "" : "s", options.context(),
        collection.interrupted ? fmt::format(" of {} (interrupted)", report::grouped(collection.n_windows)) : "",
        report::seconds(collection.seconds), report::rate(rate)));
}

Result<int> imatrix(const ImatrixOptions& options, const Environment& environment) {
    const auto usage = [](std::string message) { return Error{std::move(message), ErrorKind::kUsage}; };
    if (options.self != options.text_file.empty()) return usage("expected --text FILE, or --self for text that the model writes itself");
    if (options.seed && !options.self) return usage("--seed: only text that the model writes itself has a seed: expected --self");
    if (options.context() < kMinImatrixContext) {
        return usage(fmt::format("--context: expected at least {}, found {}", kMinImatrixContext, options.context()));
    }
    RAFTER_TRY(const Collection collection, collect(options, environment));
    const bool written = !collection.interrupted || (options.partial && collection.n_collected > 0);
    if (written) RAFTER_TRY_VOID(files::write_imatrix(options.out, collection.matrix));
    RAFTER_TRY_VOID(print_collection(options, collection, written, environment));
    return collection.interrupted ? kExitInterrupted : 0;
}

}  // namespace

void add_imatrix(CLI::App& app, Cli& cli) {
    const auto imatrix_options = std::make_shared<ImatrixOptions>();
    ImatrixOptions& o = *imatrix_options;
    Verb verb{.name = "imatrix", .summary = "Collect an importance matrix, for quantising a model"};
    verb.options.add("model", o.session.model, {.required = true});
    verb.options.add("text", o.text_file);
    verb.options.add("self", o.self);
    verb.options.add("imatrix-out", o.out);
    verb.options.add("windows", o.n_windows, {.otherwise = "all of the text; with --self 32"});
    verb.options.add("context", o.session.context, {.default_value = "512"});
    verb.options.add("seed", o.seed, {.otherwise = "0"});
    verb.options.add("no-head", o.no_head);
    verb.options.add("partial", o.partial);
    verb.options.add("replace", o.force);
    verb.options.add("threads", o.session.n_threads);
    verb.options.add("isa", o.session.isa);
    // Sums of squares are then those of float activations to 0.1%, in two thirds of the time.
    verb.options.add("activations", o.session.activations, {.default_value = "q16"});
    verb.options.add("weights", o.session.weights);
    verb.options.add("kv-type", o.session.kv_type);
    verb.options.add("kv-block", o.session.block_size);
    verb.options.add("json", o.json);
    verb.options.add("quiet", o.session.quiet);
    verb.footer =
        "The text is cut into windows of --context tokens. For each matrix, and each expert, the file has the sum of squares of each input "
        "column and how many rows there were, as llama.cpp's tools read and write it. Do not judge a quantised model by the text that it "
        "was "
        "quantised with.\n\n"
        "Examples:\n"
        "  rafter imatrix SmolLM2-135M-Instruct --text calibration.txt --out smollm2.imatrix.gguf\n"
        "  rafter imatrix SmolLM2-135M-Instruct --self --windows 64";
    verb.run = [imatrix_options](const Environment& environment) { return imatrix(*imatrix_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
