// What all errors of templates look like.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/jinja/parse/ast.h"

namespace rafter::text::jinja {

// "chat template, line 3, column 7: message"
[[nodiscard]] Error located(const Error& error, std::string_view template_name, Position at);
// Messages may quote the template, which is untrusted: control characters become blanks, what is very long is cut.
[[nodiscard]] Error one_line(Error error);

}  // namespace rafter::text::jinja
