// Formats of strings that a schema may ask for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "grammar/ebnf.h"

namespace rafter::grammar {

[[nodiscard]] bool is_format(std::string_view format);
// As a regular expression of the whole text: RFC 3339's dates and times (without 29 February and leap seconds), RFC 4122's UUIDs, and
// dotted IPv4 addresses. None for other formats.
[[nodiscard]] std::optional<std::string_view> regex_of_format(std::string_view format);
// The others: plain forms of host names, mail addresses and URIs, as a rule for the text with its quotes. quote: an expression.
[[nodiscard]] std::string word_format(std::string_view format, const std::string& quote, EbnfRules& rules);

}  // namespace rafter::grammar
