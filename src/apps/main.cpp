// The rafter command line: reads the environment, finds the verb and runs it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <new>
#include <span>
#include <sstream>

#include "apps/cli.h"
#include "apps/options/option_spec.h"
#include "apps/options/verb.h"
#include "apps/options/words.h"
#include "apps/output.h"
#include "base/os_process.h"
#include "base/quote.h"
#include "base/suggest.h"

namespace rafter::apps {
namespace {

std::optional<std::string> variable(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
}

Environment read_environment() {
    Environment environment;
    if (const auto cache = variable("XDG_CACHE_HOME")) {
        environment.cache_folder = std::filesystem::path(*cache) / "rafter";
    } else if (const auto home = variable("HOME")) {
        environment.cache_folder = std::filesystem::path(*home) / ".cache" / "rafter";
    }
    if (const auto home = variable("HOME")) environment.home_folder = *home;
    if (const auto data = variable("XDG_DATA_HOME")) {
        environment.data_folder = std::filesystem::path(*data) / "rafter";
    } else if (environment.home_folder) {
        environment.data_folder = *environment.home_folder / ".local" / "share" / "rafter";
    }
    if (const auto models = variable("RAFTER_MODELS_DIR")) environment.models_folder = *models;
    environment.python = variable("RAFTER_PYTHON").value_or("python3");
    environment.hf_endpoint = variable("HF_ENDPOINT").value_or(environment.hf_endpoint);
    while (environment.hf_endpoint.ends_with('/')) environment.hf_endpoint.pop_back();
    environment.hf_token = variable("HF_TOKEN").value_or("");
    environment.dumb_terminal = variable("TERM").value_or("dumb") == "dumb";
    environment.no_color = variable("NO_COLOR").has_value() || environment.dumb_terminal;
    for (const OptionSpec& spec : option_table()) {
        if (!spec.has_variable) continue;
        if (const auto value = variable(spec.variable().c_str())) environment.variables[spec.variable()] = *value;
    }
    return environment;
}

int usage_error(const std::string& name, const std::string& message) {
    fmt::print(stderr, "{}: {}\nTry: {} --help\n", name, message, name);
    return kExitUsage;
}

std::vector<std::string> verb_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) names.push_back(verb->get_name());
    return names;
}

// What is wrong with the first word, which is a verb or asks for help.
std::optional<std::string> wrong_first_word(const CLI::App& app, std::span<const std::string> words) {
    const std::vector<std::string> verbs = verb_names(app);
    const std::string all = fmt::format(" (there are {})", fmt::join(verbs, ", "));
    if (words.empty()) return "expected a verb" + all;
    const std::string& word = words[0];
    for (const char* known : {"-h", "--help", "-V", "--version"}) {
        if (word == known) return std::nullopt;
    }
    if (std::find(verbs.begin(), verbs.end(), word) != verbs.end()) return std::nullopt;
    if (word.starts_with('-')) return fmt::format("unknown option {}; options follow the verb{}", word, all);
    const auto close = closest(word, verbs);
    return fmt::format("no verb {}{}{}", quote(word), close ? fmt::format("; did you mean \"{}\"?", *close) : "", all);
}

// The innermost verb that the words name, and what follows it; null for one that is not of the table.
const Verb* find_verb(const Cli& cli, std::span<const std::string>& words) {
    const Verb* verb = nullptr;
    for (const auto& known : cli.verbs) {
        if (known->name == words[0]) verb = known.get();
    }
    if (verb == nullptr) return nullptr;
    words = words.subspan(1);
    for (const Verb& inner : verb->inner) {
        if (words.empty() || inner.name != fmt::format("{} {}", verb->name, words[0])) continue;
        words = words.subspan(1);
        return &inner;
    }
    return verb;
}

int parse_and_run(CLI::App& app, Cli& cli, std::vector<std::string> words) {
    if (!words.empty() && words[0] == "help") {
        words.erase(words.begin());
        words.emplace_back("--help");
    }
    if (const auto wrong = wrong_first_word(app, words)) return usage_error("rafter", *wrong);
    std::span<const std::string> rest = words;
    if (const Verb* verb = find_verb(cli, rest)) {
        if (const Result<void> checked = check_words(*verb, rest); !checked) {
            return usage_error("rafter " + verb->name, checked.error().message);
        }
    }
    try {
        app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    } catch (const CLI::Success& asked) {  // --help, --version
        std::ostringstream text;
        app.exit(asked, text, text);
        const Result<void> written = write_stdout(text.str());
        return written ? 0 : report_error("--help", written.error());
    } catch (const CLI::ParseError& error) {
        return usage_error("rafter " + words[0], error.what());
    }
    return cli.action();
}

int run_main(int argc, char** argv) {
    fail_writes_without_signals();
    Cli cli{.environment = read_environment(), .verbs = {}, .action = {}};
    CLI::App app(std::string(kSummary), "rafter");
    app.set_version_flag("-V,--version", fmt::format("rafter {}", version()), "Print the version");
    app.set_help_flag("-h,--help", "Print this help");
    app.require_subcommand(1);
    app.get_formatter()->column_width(18);
    app.get_formatter()->label("SUBCOMMAND", "VERB");
    app.footer("`rafter help VERB` lists the options of a verb.");
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    for (auto* add :
         {add_run, add_serve, add_batch, add_eval, add_compare, add_info, add_plan, add_probe, add_explain, add_ladder, add_bench,
          add_simulate, add_convert, add_quantize, add_imatrix, add_models, add_tokenize, add_template, add_completions}) {
        add(app, cli);
    }
    return parse_and_run(app, cli, {argv + 1, argv + argc});
}

}  // namespace

int report_error(std::string_view verb, const Error& error) {
    if (error.kind == ErrorKind::kCancelled) return 0;
    const char* const whose = error.kind == ErrorKind::kInternal ? " (internal error of rafter, not of its input)" : "";
    fmt::print(stderr, "rafter {}: {}{}\n", verb, error.message, whose);
    return error.kind == ErrorKind::kUsage ? kExitUsage : kExitFailed;
}

}  // namespace rafter::apps

int main(int argc, char** argv) {
    try {
        return rafter::apps::run_main(argc, argv);
    } catch (const std::bad_alloc&) {
        fmt::print(stderr, "rafter: out of memory\n");
    } catch (const std::exception& error) {
        fmt::print(stderr, "rafter: {} (internal error of rafter, not of its input)\n", error.what());
    }
    return rafter::apps::kExitFailed;
}
