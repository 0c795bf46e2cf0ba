// What main and the verbs share: the environment, read once, and the action that the command line chose. One file a verb: add_VERB()
// describes its options and, when the verb is given, leaves what to do in Cli::action, which returns the exit status.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/version.h"

namespace rafter::apps {

// Exit statuses: bad input, what the machine refused; and wrong usage.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;  // as a shell reports a program that Ctrl-C ended

inline constexpr std::string_view kSummary = "Runs large language models and says how near to the hardware's limits they ran.";

struct Environment {
    std::optional<std::filesystem::path> cache_folder;          // ${XDG_CACHE_HOME:-~/.cache}/rafter
    std::optional<std::filesystem::path> data_folder;           // ${XDG_DATA_HOME:-~/.local/share}/rafter
    std::optional<std::filesystem::path> home_folder;           // HOME
    std::optional<std::filesystem::path> models_folder;         // RAFTER_MODELS_DIR, looked into before the cache's models/
    std::string python = "python3";                             // RAFTER_PYTHON: fetches models
    std::string hf_endpoint = "https://huggingface.co";         // HF_ENDPOINT, without a slash at its end
    std::string hf_token;                                       // HF_TOKEN; "": none
    bool dumb_terminal = false;                                 // TERM: one that obeys no escape sequences
    bool no_color = false;                                      // NO_COLOR, or a dumb terminal
    std::map<std::string, std::string, std::less<>> variables;  // RAFTER_... that set options
};

struct Verb;

struct Cli {
    Environment environment;
    std::vector<std::shared_ptr<const Verb>> verbs;
    std::function<int()> action;
};

void add_run(CLI::App& app, Cli& cli);
void add_serve(CLI::App& app, Cli& cli);
void add_batch(CLI::App& app, Cli& cli);
void add_eval(CLI::App& app, Cli& cli);
void add_compare(CLI::App& app, Cli& cli);
void add_ladder(CLI::App& app, Cli& cli);
void add_bench(CLI::App& app, Cli& cli);
void add_simulate(CLI::App& app, Cli& cli);
void add_info(CLI::App& app, Cli& cli);
void add_plan(CLI::App& app, Cli& cli);
void add_probe(CLI::App& app, Cli& cli);
void add_explain(CLI::App& app, Cli& cli);
void add_convert(CLI::App& app, Cli& cli);
void add_quantize(CLI::App& app, Cli& cli);
void add_imatrix(CLI::App& app, Cli& cli);
void add_models(CLI::App& app, Cli& cli);
void add_tokenize(CLI::App& app, Cli& cli);
void add_template(CLI::App& app, Cli& cli);
void add_completions(CLI::App& app, Cli& cli);

// Says "rafter VERB: message" on stderr and returns the exit status of this kind of error. A closed stdout is no error: 0 and no word.
[[nodiscard]] int report_error(std::string_view verb, const Error& error);

}  // namespace rafter::apps
