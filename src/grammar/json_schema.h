// A JSON schema as XGrammar follows it to the letter. XGrammar leaves out, in silence or with a warning, what it cannot follow: keywords
// beside $ref, enum or anyOf, several schemas in allOf, multipleOf of numbers, and more. Here such a schema is refused by the keyword's
// name, or written in another form that means the same, so that every answer that the grammar accepts is valid by the schema. The opposite
// does not hold: answers have the properties in the schema's order, and none that the schema does not name unless it says
// additionalProperties.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rafter::grammar {

// Time and memory are linear in the text. Fails with kBadInput: "schema: properties.age: multipleOf: is not supported with type number".
[[nodiscard]] Result<std::string> followed_schema(std::string_view text);

}  // namespace rafter::grammar
