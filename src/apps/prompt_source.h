// Where a prompt comes from: an option, a file, standard input, or several of these one after the other.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/options/verb.h"
#include "base/result.h"

namespace rafter::apps {

struct PromptOptions {
    std::optional<std::string> prompt;  // "-": standard input
    std::string file;                   // "-": standard input
    std::string system;
    std::string system_file;
    std::vector<std::string> template_variables;  // "NAME=VALUE"
    bool no_thinking = false;
    bool interactive = false;  // standard input is no part of the prompt unless "-" names it
};

// --prompt, --file, --system, --system-file, --template-var, --no-thinking, --interactive.
void add_prompt_options(OptionSet& options, PromptOptions& prompt);

// --prompt, then --file, then what standard input has where it is no terminal, a line break between them; none where there is nothing at
// all. Windows' line ends (CR LF) become LF; of a file and of standard input one line end at the end and a byte order mark are left out.
[[nodiscard]] Result<std::optional<std::string>> read_prompt(const PromptOptions& options);
// "" for none.
[[nodiscard]] Result<std::string> read_system(const PromptOptions& options);
// The variables of the chat template that the options set: an object.
[[nodiscard]] Result<nlohmann::ordered_json> template_variables(const PromptOptions& options);

// CR LF as LF.
[[nodiscard]] std::string unix_lines(std::string_view text);

}  // namespace rafter::apps
