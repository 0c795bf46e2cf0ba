// XGrammar's structural tags: literal texts, tokens, schemas and choices of them, as JSON (https://xgrammar.mlc.ai/docs/structural_tag).
// What they hold of schemas and regular expressions is written as EBNF here, so that it means what it means elsewhere in this program.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rafter::grammar {

// The tag as XGrammar gets it. Schemas of other styles than JSON stay XGrammar's to write, once followed_schema() has found nothing in them
// that would be left out.
[[nodiscard]] Result<std::string> followed_tag(std::string_view text);

// What stands for an EBNF grammar, a schema or a regular expression within a tag.
[[nodiscard]] Result<std::string> schema_ebnf(std::string_view schema);
[[nodiscard]] Result<std::string> regex_ebnf(std::string_view regex, std::string_view where);

}  // namespace rafter::grammar
