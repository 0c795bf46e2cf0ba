// Parts of a request's body whose keys must keep the client's order: schemas that a model reads, and whose order its answers take.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rafter::protocols {

// Objects with more keys are refused: looking one up takes time in proportion to their number.
inline constexpr std::size_t kMaxOrderedKeys = 1000;

// The text of a body, which parsed values keep in another order. The text outlives this.
struct BodyText {
    std::string_view text = {};
    std::string_view inside = {};  // the key of the body within the text's object; empty: the text is the body
};

// body[key], which is `value`, with its keys in the text's order; in the value's order where there is no text. where: for messages.
[[nodiscard]] Result<nlohmann::ordered_json> ordered_member(const BodyText& body, std::string_view key, const nlohmann::json& value,
                                                            const std::string& where);
// JSON text that the client sent as a text.
[[nodiscard]] Result<nlohmann::ordered_json> ordered_object(std::string_view text, const std::string& where);

}  // namespace rafter::protocols
