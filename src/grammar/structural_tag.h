// XGrammar's structural tags: literal texts, tokens, schemas and choices of them, as JSON (https://xgrammar.mlc.ai/docs/structural_tag).
// What they hold of schemas and regular expressions is written as EBNF here, so that it means what it means elsewhere in this program.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/json_text.h"

namespace rafter::grammar {

// The tag as XGrammar gets it. A schema of the style "marked" is of values with marks in place of quotes: its "mark" is a TextMark's text,
// its "mark_token" the token, if that stands for it. Schemas of other styles than this one and JSON stay XGrammar's to write, once
// followed_schema() has found nothing in them that would be left out.
[[nodiscard]] Result<std::string> followed_tag(std::string_view text);

// What stands for an EBNF grammar, a schema or a regular expression within a tag.
[[nodiscard]] Result<std::string> schema_ebnf(std::string_view schema, std::optional<TextMark> mark = std::nullopt);
[[nodiscard]] Result<std::string> regex_ebnf(std::string_view regex, std::string_view where);

}  // namespace rafter::grammar
