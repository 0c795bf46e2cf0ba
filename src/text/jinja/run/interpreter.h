// Runs a parsed template with its variables.
#pragma once

#include <string>
#include <unordered_map>

#include "base/result.h"
#include "text/jinja/parse/ast.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

// Once for each runtime. Errors say where in the template.
[[nodiscard]] Result<std::string> interpret(const Template& parsed, Runtime& runtime,
                                            const std::unordered_map<std::string, Value>& variables);

}  // namespace rafter::text::jinja
