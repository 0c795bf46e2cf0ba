// What an answer's thoughts and calls of functions are, by the options of `run`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apps/options/verb.h"
#include "protocols/answers/answer_format.h"
#include "protocols/function_tools.h"

namespace rafter::apps {

struct PartingOptions {
    protocols::AnswerFormatNames format;
    std::string tools_file;
    std::string tool_choice = "auto";
    std::optional<std::uint32_t> thinking_tokens;
};

// --tools, --tool-choice, --tool-parser, --reasoning-parser, --thinking-tokens.
void add_parting_options(OptionSet& options, PartingOptions& parting);

// None where the options name no file. Fails on a file that is no list of functions, and on a choice that is none of them.
[[nodiscard]] Result<protocols::ToolRequest> read_tools(const PartingOptions& options);

}  // namespace rafter::apps
