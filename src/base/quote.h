// Names from untrusted files and requests, made fit for one line of a message: a terminal obeys control characters, and a name can be
// megabytes.
#pragma once

#include <string>
#include <string_view>

namespace rafter {

// "name" in quotes: everything but printable ASCII as \xNN, quotes and backslashes escaped, the middle of what is long replaced by "...".
[[nodiscard]] std::string quote(std::string_view untrusted);

}  // namespace rafter
