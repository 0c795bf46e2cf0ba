// A JSON schema as its grammar follows it to the letter: what the grammar could not follow is refused by the keyword's name, and the rest
// is written in one form, so that every answer that the grammar accepts is valid by the schema. The opposite does not hold: answers have
// the properties in the schema's order, and none that the schema does not name unless it says additionalProperties.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace rafter::grammar {

// Time and memory are linear in the text. Fails with kBadInput: "schema: multipleOf: this keyword is not
// supported with type number, found at properties.age".
[[nodiscard]] Result<nlohmann::ordered_json> followed_schema(std::string_view text);

}  // namespace rafter::grammar
