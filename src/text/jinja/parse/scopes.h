// Decides which frame every variable of a template belongs to, as jinja2's compiler does it from the text alone.
#pragma once

#include "base/result.h"
#include "text/jinja/parse/ast.h"

namespace rafter::text::jinja {

// Fills in the scopes of all statements and the places of all variables. Fails on what jinja2 refuses when it compiles: unknown filters and
// tests outside of a condition, a loop that assigns to `loop`, a parameter `caller` without a default.
[[nodiscard]] Result<void> resolve_scopes(Template& parsed);

}  // namespace rafter::text::jinja
