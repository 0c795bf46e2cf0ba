// JSON text whose members keep their order, as schemas need it: parsed only after it has been found small and flat enough, because looking
// up an ordered object's members takes time linear in their number.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace rafter::grammar {

inline constexpr std::size_t kMaxGrammarBytes = 1 << 20;
inline constexpr int kMaxJsonDepth = 64;
inline constexpr std::size_t kMaxJsonMembers = 1000;  // of one object

// `name` stands before messages: "schema: expected ...".
[[nodiscard]] Result<nlohmann::ordered_json> parse_bounded_json(std::string_view text, std::string_view name);

}  // namespace rafter::grammar
