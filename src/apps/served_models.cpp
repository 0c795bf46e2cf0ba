// A model at start is loaded before the server listens; the others cost a look at their names until somebody asks for them.
#include "apps/served_models.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "apps/model_title.h"
#include "base/quote.h"
#include "files/model_store.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kUsualContext = 8192;   // of one sequence, where the model has it
constexpr std::uint32_t kFullSequences = 8;     // that the cache has room for at full length
constexpr std::uint32_t kSequencesPerFull = 4;  // and beyond those one in so many: few fill their context

struct NamedModel {
    std::string name, model, draft;  // draft: "": none
};

std::uint32_t usual_full_sequences(std::uint32_t n_together) {
    return std::max(std::min(n_together, kFullSequences), n_together / kSequencesPerFull);
}

Result<NamedModel> named_model(const std::string& text) {
    constexpr std::string_view kDraft = ",draft=";
    const std::size_t equals = text.find('=');
    NamedModel named;
    if (equals != std::string::npos) {
        named.name = text.substr(0, equals);
        named.model = text.substr(equals + 1);
        if (const std::size_t draft = named.model.rfind(kDraft); draft != std::string::npos) {
            named.draft = named.model.substr(draft + kDraft.size());
            named.model.resize(draft);
            if (named.draft.empty()) named.model.clear();
        }
    }
    if (named.name.empty() || named.model.empty()) {
        return Error{fmt::format("--model: expected NAME=MODEL or NAME=MODEL,draft=MODEL, found {}", quote(text)), ErrorKind::kUsage};
    }
    return named;
}

Session::Needs needs_of(const ServedModelsOptions& options, const Session& session) {
    return {.context = std::min<std::uint64_t>(session.opened().config.n_context, kUsualContext),
            .n_outputs = options.n_together,
            .n_sequences = options.kv_memory_bytes ? options.n_together : usual_full_sequences(options.n_together),
            .kv_memory_bytes = options.kv_memory_bytes,
            .prefix_cache = !options.no_prefix_cache,
            .priced_for = "serve",
            .target_itl_seconds = options.target_itl_ms ? std::optional(*options.target_itl_ms * 1e-3) : std::nullopt,
            .learns_texts = true};
}

// What the server knows of the session, which lives as long as the server's pointer to its model.
server::BroughtModel brought(const std::shared_ptr<Session>& session, std::uint64_t planned_bytes) {
    return {.served = {session, &session->served()},
            .file_name = fs::path(session->opened().source->name()).filename(),
            .quantization = quantization_name(*session->opened().source),
            .planned_bytes = planned_bytes};
}

Result<std::uint64_t> planned_bytes(const Environment& environment, const ServedModelsOptions& options, const Session& session) {
    RAFTER_TRY(std::uint64_t bytes, session.planned_bytes(needs_of(options, session)));
    const std::string& draft = options.session.speculation.draft_model;
    if (draft.empty()) return bytes;
    RAFTER_TRY(const fs::path path, find_model(environment, draft));
    std::error_code unknown;
    const std::uintmax_t size = fs::file_size(path, unknown);
    return bytes + (unknown ? 0 : size);
}

// Whenever it is wanted: opened, and then loaded.
std::function<Result<server::PlannedModel>()> plan_of(const Environment& environment, ServedModelsOptions options,
                                                      std::shared_ptr<engine::Runtime> runtime) {
    return [environment, options = std::move(options), runtime = std::move(runtime)]() -> Result<server::PlannedModel> {
        RAFTER_TRY(std::unique_ptr<Session> opened, Session::open(environment, options.session, runtime));
        const std::shared_ptr<Session> session = std::move(opened);
        RAFTER_TRY(const std::uint64_t bytes, planned_bytes(environment, options, *session));
        return server::PlannedModel{.planned_bytes = bytes, .load = [session, options, bytes]() -> Result<server::BroughtModel> {
                                        RAFTER_TRY_VOID(session->load(needs_of(options, *session)));
                                        return brought(session, bytes);
                                    }};
    };
}

// The options of a model that is not MODEL.
ServedModelsOptions options_of(const ServedModelsOptions& all, const NamedModel& named) {
    ServedModelsOptions options = all;
    options.session.model = named.model;
    options.session.quiet = true;  // the server says what happens
    options.session.speculation.draft_model = named.draft;
    return options;
}

Result<void> check_names(const std::vector<server::ModelOffer>& offers) {
    std::set<std::string> names;
    for (const server::ModelOffer& offer : offers) {
        for (const std::string& name : offer.names) {
            if (!names.insert(name).second) return bad_input("two models are called {}: expected names that differ", quote(name));
        }
    }
    return {};
}

std::string name_of_file(const fs::path& model) {
    std::error_code error;
    return fs::is_directory(model, error) ? model.filename() : model.stem();
}

Result<server::ModelOffer> offer_at_start(const Environment& environment, const ServedModelsOptions& options,
                                          const std::shared_ptr<engine::Runtime>& runtime, std::string& title) {
    RAFTER_TRY(std::unique_ptr<Session> opened, Session::open(environment, options.session, runtime));
    const std::shared_ptr<Session> session = std::move(opened);
    RAFTER_TRY_VOID(session->load(needs_of(options, *session)));
    const std::string_view weights = session->held_weights();
    title = model_title(*session->opened().source) + (weights.empty() ? "" : fmt::format(", weights as {}", weights));
    server::ModelOffer offer{.names = options.served_names, .answer_format = options.answer_format, .plan = {}, .at_start = {}};
    if (offer.names.empty()) {
        offer.names.push_back(fs::path(session->opened().source->name()).stem());
        const std::string& model = options.session.model;
        if (model != offer.names.front() && model.find('/') == std::string::npos) offer.names.push_back(model);
    }
    RAFTER_TRY(const std::uint64_t bytes, planned_bytes(environment, options, *session));
    ServedModelsOptions again = options;
    again.session.quiet = true;
    offer.plan = plan_of(environment, std::move(again), runtime);
    offer.at_start = brought(session, bytes);
    return offer;
}

}  // namespace

Result<void> check_usage(const ServedModelsOptions& options) {
    RAFTER_TRY_VOID(check_usage(options.session.speculation));
    for (const std::string& name : options.served_names) {
        if (name.empty()) return Error{"--served-name: expected names that are not empty, found one that is", ErrorKind::kUsage};
    }
    const bool has_several = !options.named.empty() || !options.folder.empty();
    if (options.session.model.empty() && !has_several) {
        return Error{"no model is given: expected MODEL, --model NAME=MODEL or --models FOLDER", ErrorKind::kUsage};
    }
    if (!has_several) return {};
    const SessionOptions& session = options.session;
    if (session.kv_disk.on()) {
        return Error{"--kv-disk: a file is of one model: expected MODEL alone, found several models", ErrorKind::kUsage};
    }
    if (!session.speculation.log_file.empty()) {
        return Error{"--draft-log: a log is of one model: expected MODEL alone, found several models", ErrorKind::kUsage};
    }
    const protocols::AnswerFormatNames standard;
    const std::pair<std::string_view, bool> of_model[] = {{"--served-name", !options.served_names.empty()},
                                                          {"--chat-template", !session.chat_template_file.empty()},
                                                          {"--tool-parser", options.answer_format.tools != standard.tools},
                                                          {"--reasoning-parser", options.answer_format.reasoning != standard.reasoning},
                                                          {"--draft", !session.speculation.draft_model.empty()}};
    for (const auto& [flag, given] : of_model) {
        if (given && session.model.empty()) {
            return Error{fmt::format("{}: it is about MODEL: expected MODEL beside it, found none", flag), ErrorKind::kUsage};
        }
    }
    return {};
}

Result<ServedModels> open_served_models(const Environment& environment, const ServedModelsOptions& options) {
    ServedModels served;
    std::vector<NamedModel> others;
    for (const std::string& text : options.named) {
        RAFTER_TRY(NamedModel named, named_model(text));
        RAFTER_TRY(const fs::path path, find_model(environment, named.model));
        named.model = path;
        others.push_back(std::move(named));
    }
    if (!options.folder.empty()) {
        const std::vector<fs::path> files = files::model_files(options.folder);
        if (files.empty()) {
            return bad_input("--models {}: expected a folder with .gguf files or checkpoints, found none in it", quote(options.folder));
        }
        for (const fs::path& file : files) others.push_back({.name = name_of_file(file), .model = file, .draft = ""});
    }
    RAFTER_TRY(const std::shared_ptr<engine::Runtime> runtime, make_runtime(options.session));
    if (!options.session.model.empty()) {
        RAFTER_TRY(server::ModelOffer offer, offer_at_start(environment, options, runtime, served.title));
        served.offers.push_back(std::move(offer));
    }
    for (const NamedModel& named : others) {
        ServedModelsOptions own = options_of(options, named);
        own.session.chat_template_file.clear();
        own.answer_format = {};
        served.offers.push_back({.names = {named.name},
                                 .answer_format = own.answer_format,
                                 .plan = plan_of(environment, std::move(own), runtime),
                                 .at_start = {}});
    }
    RAFTER_TRY_VOID(check_names(served.offers));
    if (!others.empty()) {
        const std::string count = fmt::format("{} model{} loaded when asked for", others.size(), others.size() == 1 ? "" : "s");
        served.title = served.title.empty() ? count : fmt::format("{} and {}", served.title, count);
    }
    return served;
}

}  // namespace rafter::apps
