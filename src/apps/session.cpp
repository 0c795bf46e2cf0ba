// Names on the command line become the types of the layers below.
#include "apps/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "apps/machine_profile.h"
#include "apps/model_title.h"
#include "apps/output.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "files/model_store.h"
#include "report/progress.h"

namespace rafter::apps {
namespace {

const std::map<std::string, model::ActivationMode> kActivations{
    {"q8", model::ActivationMode::kQ8}, {"q16", model::ActivationMode::kQ16}, {"f32", model::ActivationMode::kF32}};

const std::map<std::string, engine::DrafterKind> kDrafters{
    {"off", engine::DrafterKind::kOff}, {"ngram", engine::DrafterKind::kNgram}, {"draft", engine::DrafterKind::kDraftModel}};

double seconds_since(std::int64_t start_ns) { return static_cast<double>(monotonic_ns() - start_ns) * 1e-9; }

}  // namespace

model::ActivationMode activation_mode_of(const std::string& name) { return kActivations.at(name); }

void add_session_options(OptionSet& options, SessionOptions& session) {
    options.add("threads", session.n_threads);
    options.add("isa", session.isa);
    options.add("activations", session.activations);
    options.add("weights", session.weights);
    options.add("kv-type", session.kv_type);
    options.add("kv-block", session.block_size);
    options.add("no-fuse", session.no_fuse);
}

std::optional<KvTypes> kv_types_of(const std::string& text) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const auto key = backend::kv_type_from_name(std::string_view(text).substr(0, comma));
    const auto value = comma < text.size() ? backend::kv_type_from_name(std::string_view(text).substr(comma + 1)) : key;
    if (!key || !value) return std::nullopt;
    return KvTypes{.key = *key, .value = *value};
}

std::vector<std::filesystem::path> models_folders(const Environment& environment) {
    std::vector<std::filesystem::path> folders;
    if (environment.models_folder) folders.push_back(*environment.models_folder);
    if (environment.cache_folder) folders.push_back(*environment.cache_folder / "models");
    return folders;
}

Result<std::filesystem::path> find_model(const Environment& environment, const std::string& model) {
    return files::find_model(model, models_folders(environment));
}

Result<std::shared_ptr<engine::Runtime>> make_runtime(const SessionOptions& options) {
    RAFTER_TRY(engine::Runtime runtime, engine::Runtime::create({.n_threads = options.n_threads, .isa = options.isa}));
    return std::make_shared<engine::Runtime>(std::move(runtime));
}

Result<std::unique_ptr<Session>> Session::open(const Environment& environment, const SessionOptions& options,
                                               std::shared_ptr<engine::Runtime> runtime) {
    const std::int64_t start_ns = monotonic_ns();
    if (runtime == nullptr) {
        RAFTER_TRY(runtime, make_runtime(options));
    }
    std::unique_ptr<Session> session(new Session(environment, options, std::move(runtime)));
    engine::OpenOptions open;
    if (!options.chat_template_file.empty()) {
        RAFTER_TRY(std::string source, read_file(options.chat_template_file));
        open.chat_template = text::NamedTemplate{.source = std::move(source), .name = options.chat_template_file};
    }
    RAFTER_TRY(session->served_, engine::ServedModel::open(*session->runtime_, options.model, models_folders(environment), open));
    for (const std::string& warning : session->opened().warnings) {
        if (!options.quiet) fmt::print(stderr, "rafter: warning: {}: {}\n", session->opened().source->name(), warning);
    }
    session->load_seconds_ = seconds_since(start_ns);
    return session;
}

engine::LoadModelOptions Session::load_options(const Needs& needs) const {
    engine::LoadModelOptions load;
    load.context = options_.context;
    load.context_needed = needs.context;
    if (needs.no_more_context) load.context = static_cast<std::uint32_t>(needs.context);
    load.n_outputs = needs.n_outputs;
    load.n_sequences = needs.n_sequences;
    load.kv_memory_bytes = needs.kv_memory_bytes;
    load.activations = kActivations.at(options_.activations);
    if (!options_.weights.empty()) load.weights = engine::weights_type_from_name(options_.weights);
    load.block_size = options_.block_size;
    load.key_type = kv_types_of(options_.kv_type)->key;
    load.value_type = kv_types_of(options_.kv_type)->value;
    load.without_fusions = {options_.no_fuse.begin(), options_.no_fuse.end()};
    return load;
}

Result<engine::ServeOptions> Session::serve_options(const Needs& needs) {
    engine::ServeOptions serve;
    serve.load = load_options(needs);
    serve.prefix_cache = needs.prefix_cache;
    serve.profile_store = profile_store(environment_);
    serve.target_itl_seconds = needs.target_itl_seconds;
    serve.kv_disk = {.path = options_.kv_disk.path, .size_bytes = options_.kv_disk.size_bytes};
    const SpeculationOptions& speculation = options_.speculation;
    serve.drafting = {.drafter = kDrafters.at(std::string(speculation.drafter())),
                      .draft_model = speculation.draft_model,
                      .max_drafts = speculation.most,
                      .fixed_drafts = speculation.fixed,
                      .shares_texts = needs.learns_texts,
                      .forced_acceptance = speculation.forced_acceptance,
                      .log = {},
                      .keeps_room = speculation.on()};
    if (!speculation.log_file.empty()) {
        RAFTER_TRY(AppendFile log, AppendFile::open(speculation.log_file));
        if (log.is_regular()) RAFTER_TRY_VOID(log.cut(0));
        log_.emplace(std::move(log));
        serve.drafting.log = [this](const engine::SpeculationLogLine& line) { write_log(line); };
    }
    if (!needs.priced_for.empty()) {
        serve.prices = engine::PriceSource::kMeasured;
    } else if (speculation.on() || options_.kv_disk.on()) {
        serve.prices = engine::PriceSource::kSaved;
    }
    serve.warn = [quiet = options_.quiet](std::string_view option, std::string_view message) {
        if (quiet) return;
        std::string flag(option);
        std::replace(flag.begin(), flag.end(), '_', '-');
        fmt::print(stderr, "rafter: --{}: {}\n", flag, message);
    };
    return serve;
}

Result<void> Session::load(const Needs& needs) {
    const std::int64_t start_ns = monotonic_ns();
    RAFTER_TRY(engine::ServeOptions serve, serve_options(needs));
    report::Terminal terminal = stderr_terminal(environment_);
    const bool shows_progress = options_.shows_progress && !options_.quiet;
    if (!shows_progress) terminal.interactive = false;
    report::Progress loading(terminal, "Loading " + model_title(*opened().source));
    serve.load.progress = [&](double fraction) { loading.update(fraction); };
    std::optional<report::Progress> measuring;
    serve.measuring_progress = [&](double fraction, std::string_view what) {
        if (!measuring) {
            loading.clear();
            if (shows_progress)
                announce_measuring(needs.priced_for, probe::load_profile(profile_store(environment_), runtime_->pool(), runtime_->isa()));
            measuring.emplace(terminal, "Measuring");
        }
        measuring->update(fraction, what);
    };
    RAFTER_TRY_VOID(served_->load(std::move(serve)));
    load_seconds_ += seconds_since(start_ns);
    return {};
}

std::string_view Session::held_weights() {
    const auto changed = [](const model::Weight& weight) { return weight.dtype != weight.source_dtype; };
    return std::ranges::any_of(loaded().device->program().weights, changed) ? std::string_view(options_.weights) : "";
}

std::string Session::title() {
    const std::string_view weights = held_weights();
    return weights.empty() ? opened().config.name : fmt::format("{}, weights as {}", opened().config.name, weights);
}

void Session::use_drafter(const std::string& drafter) { served_->use_drafter(kDrafters.at(drafter)); }

void Session::write_log(const engine::SpeculationLogLine& line) {
    if (log_failed_) return;
    const auto written = log_->append(log_json(line).dump() + "\n");
    if (written) return;
    log_failed_ = true;
    fmt::print(stderr, "rafter: the log of draft tokens ends here: {}\n", written.error().message);
}

}  // namespace rafter::apps
