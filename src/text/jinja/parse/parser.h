// Turns a template's source into its tree. The grammar is jinja2's, with loop controls and {% generation %}, less what reaches other files
// (include, import, extends).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/parse/ast.h"

namespace rafter::text::jinja {

// Errors name the template, line and column.
[[nodiscard]] Result<std::unique_ptr<Template>> parse_template(std::string source, std::string_view name);

}  // namespace rafter::text::jinja
