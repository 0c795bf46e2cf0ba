// rafter template MODEL|FILE.jinja --messages FILE.json [--tools FILE.json] [--no-generation-prompt] [--var NAME=JSON]...
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace rafter::apps {

struct TemplateOptions {
    std::filesystem::path source;    // a GGUF file, or the text of a template
    std::filesystem::path messages;  // JSON: [{"role": "user", "content": "..."}], or {"messages": [...]}; "-" is standard input
    std::optional<std::filesystem::path> tools;  // JSON: an array of function descriptions
    bool generation_prompt = true;
    std::vector<std::string> variables;  // NAME=JSON
};

// Writes the prompt to `out` as it is, with no line end added.
[[nodiscard]] Result<void> run_template(const TemplateOptions& options, std::istream& in, std::ostream& out);

}  // namespace rafter::apps
