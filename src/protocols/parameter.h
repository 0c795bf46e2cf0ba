// A key of a request's body as a row: its name, kind, range, default and meaning. The parsers read keys by their rows, and the JSON Schemas
// are made of them, so that what is documented is what is checked.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/json_reader.h"
#include "base/result.h"

namespace rafter::protocols {

enum class ParameterKind {
    kBool,
    kNumber,        // low..high
    kWhole,         // low..high; 3.0 is whole
    kText,          // low..high characters at most, where high is not 0
    kSchema,        // anything that `schema` says
    kNoEffect,      // read, and counts for nothing
    kNotSupported,  // refused, unless its value says nothing: null, false, 0, "", [], {}
};

struct Parameter {
    const char* name;
    ParameterKind kind;
    double low = 0.0, high = 0.0;
    const char* standard = nullptr;  // the default, as JSON; null: none, or the server's
    const char* help = "";
    const char* schema = nullptr;  // of kSchema: JSON
    bool required = false;
};

// Each by its row, which must be of the function's kind. None: missing or null, as with OpenAI.
[[nodiscard]] Result<std::optional<bool>> read_bool(const JsonReader& body, const Parameter& row);
[[nodiscard]] Result<std::optional<double>> read_number(const JsonReader& body, const Parameter& row);
[[nodiscard]] Result<std::optional<std::uint32_t>> read_whole(const JsonReader& body, const Parameter& row);
[[nodiscard]] Result<std::optional<std::string>> read_text(const JsonReader& body, const Parameter& row);

// null, false, 0, "", [], {}.
[[nodiscard]] bool says_nothing(const nlohmann::json& value);
// "body: tools: expected no such key: this is not supported; found [...]".
[[nodiscard]] Error not_supported(const JsonReader& body, const std::string& key, const nlohmann::json& value,
                                  const std::string& expected = "no such key");
// kNotSupported: fails where it says something. kNoEffect: looked up only.
[[nodiscard]] Result<void> check_unused(const JsonReader& body, const Parameter& row);

}  // namespace rafter::protocols
