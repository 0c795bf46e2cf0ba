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
#include "text/utf8_stream.h"

namespace rafter::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kUsualContext = 8192;   // of one sequence, where the model has it
constexpr std::uint32_t kFullSequences = 8;     // that the cache has room for at full length
constexpr std::uint32_t kSequencesPerFull = 4;  // and beyond those one in so many: few fill their context

constexpr std::string_view kKvFileEnding = ".kv";

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
    options.session.shows_progress = false;  // the server says what happens
    options.session.speculation.draft_model = named.draft;
    return options;
}

bool has_several(const ServedModelsOptions& options) { return !options.named.empty() || !options.folder.empty(); }

// The models' files in the folder of --kv-disk: each has one, and an equal share of --kv-disk-size.
class KvFolder {
  public:
    // Makes the folder if need be. Where --kv-disk is not given, nothing happens here or later.
    static Result<KvFolder> open(const KvDiskOptions& wanted, std::size_t n_models) {
        if (!wanted.on()) return KvFolder(wanted);
        std::error_code failed;
        fs::create_directory(wanted.path, failed);
        if (!fs::is_directory(wanted.path, failed)) {
            return bad_input("--kv-disk {}: expected a folder, or none, with several models: each has a file in it; found {}",
                             quote(wanted.path), fs::exists(wanted.path, failed) ? "something else" : "no place for one");
        }
        KvDiskOptions each = wanted;
        each.size_bytes /= n_models;
        return KvFolder(std::move(each));
    }
    // Of a model, whatever its name: names that differ get files that differ.
    KvDiskOptions of(std::string_view name) {
        if (!each_.on()) return each_;
        KvDiskOptions file = each_;
        std::string file_name = file_name_of(name);
        file.path = fs::path(each_.path) / file_name;
        files_.insert(std::move(file_name));
        return file;
    }
    // Files that no model has any more: nobody else would ever miss them.
    [[nodiscard]] std::vector<fs::path> left_over() const {
        std::vector<fs::path> found;
        std::error_code failed;
        if (!each_.on()) return found;
        for (const fs::directory_entry& entry : fs::directory_iterator(each_.path, failed)) {
            const fs::path& path = entry.path();
            if (path.extension() == kKvFileEnding && !files_.contains(path.filename().string())) found.push_back(path);
        }
        std::ranges::sort(found);
        return found;
    }

  private:
    explicit KvFolder(KvDiskOptions each) : each_(std::move(each)) {}
    static std::string file_name_of(std::string_view name) {
        std::string file;
        for (const char c : name) {
            const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                                  (c == '.' && !file.empty());
            file += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
        return file + std::string(kKvFileEnding);
    }

    KvDiskOptions each_;
    std::set<std::string> files_;
};

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

// kv_folder: null: MODEL is alone, and --kv-disk is its file.
Result<server::ModelOffer> offer_at_start(const Environment& environment, ServedModelsOptions options,
                                          const std::shared_ptr<engine::Runtime>& runtime, KvFolder* kv_folder, std::string& title) {
    RAFTER_TRY(std::unique_ptr<Session> opened, Session::open(environment, options.session, runtime));
    const std::shared_ptr<Session> session = std::move(opened);
    server::ModelOffer offer{.names = options.served_names, .answer_format = options.answer_format, .plan = {}, .at_start = {}};
    if (offer.names.empty()) {
        offer.names.push_back(fs::path(session->opened().source->name()).stem());
        const std::string& model = options.session.model;
        if (model != offer.names.front() && model.find('/') == std::string::npos) offer.names.push_back(model);
    }
    if (kv_folder != nullptr) {
        options.session.kv_disk = kv_folder->of(offer.names.front());
        session->use_kv_disk(options.session.kv_disk);
    }
    RAFTER_TRY_VOID(session->load(needs_of(options, *session)));
    const std::string_view weights = session->held_weights();
    title = model_title(*session->opened().source) + (weights.empty() ? "" : fmt::format(", weights as {}", weights));
    RAFTER_TRY(const std::uint64_t bytes, planned_bytes(environment, options, *session));
    options.session.shows_progress = false;  // from now on the server says what happens
    offer.plan = plan_of(environment, std::move(options), runtime);
    offer.at_start = brought(session, bytes);
    return offer;
}

}  // namespace

Result<void> check_usage(const ServedModelsOptions& options) {
    RAFTER_TRY_VOID(check_usage(options.session.speculation));
    for (const std::string& name : options.served_names) {
        if (name.empty()) return Error{"--served-name: expected names that are not empty, found one that is", ErrorKind::kUsage};
    }
    if (options.session.model.empty() && !has_several(options)) {
        return Error{"no model is given: expected MODEL, --model NAME=MODEL or --models FOLDER", ErrorKind::kUsage};
    }
    if (!has_several(options)) return {};
    const SessionOptions& session = options.session;
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
    const std::size_t n_models = others.size() + (options.session.model.empty() ? 0 : 1);
    std::optional<KvFolder> kv_folder;
    if (has_several(options)) {
        RAFTER_TRY(kv_folder, KvFolder::open(options.session.kv_disk, n_models));
    }
    RAFTER_TRY(const std::shared_ptr<engine::Runtime> runtime, make_runtime(options.session));
    if (!options.session.model.empty()) {
        RAFTER_TRY(server::ModelOffer offer,
                   offer_at_start(environment, options, runtime, kv_folder ? &*kv_folder : nullptr, served.title));
        served.offers.push_back(std::move(offer));
    }
    for (const NamedModel& named : others) {
        ServedModelsOptions own = options_of(options, named);
        own.session.chat_template_file.clear();
        own.session.kv_disk = kv_folder->of(named.name);
        own.answer_format = {};
        served.offers.push_back({.names = {named.name},
                                 .answer_format = own.answer_format,
                                 .plan = plan_of(environment, std::move(own), runtime),
                                 .at_start = {}});
    }
    // Names of files may be any bytes, and what clients read is UTF-8.
    for (server::ModelOffer& offer : served.offers) {
        for (std::string& name : offer.names) name = text::valid_utf8(name);
    }
    RAFTER_TRY_VOID(check_names(served.offers));
    if (kv_folder) served.kv_files_left_over = kv_folder->left_over();
    if (!others.empty()) {
        const std::string count = fmt::format("{} model{} loaded when asked for", others.size(), others.size() == 1 ? "" : "s");
        served.title = served.title.empty() ? count : fmt::format("{} and {}", served.title, count);
    }
    return served;
}

}  // namespace rafter::apps
