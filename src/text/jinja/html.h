// HTML and URLs, as far as jinja2's filters touch them.
#pragma once

#include <string>
#include <string_view>

namespace rafter::text::jinja {

// Without tags and comments, white space collapsed, entities back to characters (by number, and the best known by name).
[[nodiscard]] std::string strip_tags(std::string_view html);

enum class UrlPart { kPath, kQuery };  // a query quotes / too, and writes blanks as +
[[nodiscard]] std::string quote_url(std::string_view text, UrlPart part);

}  // namespace rafter::text::jinja
