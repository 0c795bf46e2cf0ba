// Values of a tokenizer.json, with the type that is expected of them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/json_reader.h"
#include "base/result.h"

namespace rafter::text::hf {

[[nodiscard]] inline const nlohmann::json& member(const nlohmann::json& object, const char* key) {
    static const nlohmann::json kNull;
    if (!object.is_object()) return kNull;
    const auto found = object.find(key);
    return found == object.end() ? kNull : *found;
}

[[nodiscard]] inline Result<bool> bool_or(const nlohmann::json& object, const char* key, bool fallback, std::string_view where) {
    const nlohmann::json& value = member(object, key);
    if (value.is_null()) return fallback;
    if (!value.is_boolean()) return bad_input("{}: {}: expected true or false, found {}", where, key, shown_json(value));
    return value.get<bool>();
}

[[nodiscard]] inline Result<std::string> text_or(const nlohmann::json& object, const char* key, std::string_view fallback,
                                                 std::string_view where) {
    const nlohmann::json& value = member(object, key);
    if (value.is_null()) return std::string(fallback);
    if (!value.is_string()) return bad_input("{}: {}: expected a text, found {}", where, key, shown_json(value));
    return value.get<std::string>();
}

// The "type" of a normaliser, a decoder and so on.
[[nodiscard]] inline Result<std::string> type_of(const nlohmann::json& object, std::string_view where) {
    if (!object.is_object()) return bad_input("{}: expected an object, found {}", where, shown_json(object));
    RAFTER_TRY(std::string type, text_or(object, "type", "", where));
    if (type.empty()) return bad_input("{}: expected a type, found none", where);
    return type;
}

// Calls read(part) for a part that is no Sequence, and for each of a Sequence's, which may be nested. Null has none.
template <typename Read>
[[nodiscard]] Result<void> for_each_part(const nlohmann::json& json, const char* list, std::string_view where, const Read& read) {
    if (json.is_null()) return {};
    RAFTER_TRY(const std::string type, type_of(json, where));
    if (type != "Sequence") return read(type, json);
    const nlohmann::json& parts = member(json, list);
    if (!parts.is_array()) return bad_input("{}: expected a list of {}, found {}", where, list, shown_json(parts));
    for (const nlohmann::json& part : parts) RAFTER_TRY_VOID(for_each_part(part, list, where, read));
    return {};
}

}  // namespace rafter::text::hf
