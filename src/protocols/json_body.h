// A request's body as JSON: bounded before it is parsed, and strict. What is wrong is said with its place.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace rafter::protocols {

// Arrays and objects within each other; values are freed and printed by recursion.
inline constexpr std::size_t kMaxJsonDepth = 64;
// A value takes 16 bytes and more, whatever its text takes: "0," are two.
inline constexpr std::size_t kMaxJsonValues = 2'000'000;

// Fails on invalid UTF-8, on JSON that is deeper or has more values, on a number that a double cannot hold (whose key the message names),
// and on whatever is not JSON. Where a key stands twice in an object, the last one counts. Time and memory are linear in the text.
[[nodiscard]] Result<nlohmann::json> parse_json_body(std::string_view text);

}  // namespace rafter::protocols
