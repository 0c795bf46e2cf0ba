// A schema's answers as EBNF. The schema is one that followed_schema() wrote: definitions beside each other, one meaning a keyword.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "grammar/ebnf.h"
#include "grammar/json_text.h"

namespace rafter::grammar {

// An expression for a value that is valid by the schema. Fails with kBadInput where no value is, and on what has no expression.
[[nodiscard]] Result<std::string> schema_expression(const nlohmann::ordered_json& followed, EbnfRules& rules, JsonText& text);

}  // namespace rafter::grammar
