// Strings between quotes: their escapes are Python's.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rafter::text::jinja {

// literal: what stands between the quotes. Errors do not say where.
[[nodiscard]] Result<std::string> unescape_string_literal(std::string_view literal);

}  // namespace rafter::text::jinja
