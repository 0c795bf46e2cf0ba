// Formats of strings that a schema may ask for, as regular expressions of the whole text.
#pragma once

#include <optional>
#include <string_view>

namespace rafter::grammar {

// RFC 3339's dates and times (without 29 February and leap seconds), RFC 4122's UUIDs, dotted IPv4 addresses, and the plain forms of host
// names, mail addresses and URIs. None for other formats.
[[nodiscard]] std::optional<std::string_view> regex_of_format(std::string_view format);

}  // namespace rafter::grammar
