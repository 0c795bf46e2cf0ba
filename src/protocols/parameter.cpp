// Ranges are base/json_reader's matter; rows bring them there.
#include "protocols/parameter.h"

#include "protocols/openai_error.h"

namespace rafter::protocols {
namespace {

std::size_t n_code_points(std::string_view text) {
    std::size_t n = 0;
    for (const char byte : text) n += (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U ? 1 : 0;
    return n;
}

}  // namespace

Result<std::optional<bool>> read_bool(const JsonReader& body, const Parameter& row) {
    RAFTER_CHECK(row.kind == ParameterKind::kBool, "{} is not a bool", row.name);
    return body.find_bool(row.name);
}

Result<std::optional<double>> read_number(const JsonReader& body, const Parameter& row) {
    RAFTER_CHECK(row.kind == ParameterKind::kNumber, "{} is not a number", row.name);
    return body.find_number(row.name, row.low, row.high);
}

Result<std::optional<std::uint32_t>> read_whole(const JsonReader& body, const Parameter& row) {
    RAFTER_CHECK(row.kind == ParameterKind::kWhole, "{} is not a whole number", row.name);
    return body.find_uint(row.name, static_cast<std::uint32_t>(row.low), static_cast<std::uint32_t>(row.high));
}

Result<std::optional<std::string>> read_text(const JsonReader& body, const Parameter& row) {
    RAFTER_CHECK(row.kind == ParameterKind::kText, "{} is not a text", row.name);
    RAFTER_TRY(auto text, body.find_string(row.name));
    if (!text || row.high == 0.0) return text;
    const auto size = static_cast<double>(n_code_points(*text));
    if (size < row.low || size > row.high) {
        return bad_input("{}: {}: expected a text of {} to {} characters, found {}", body.where(), row.name, row.low, row.high, size);
    }
    return text;
}

bool says_nothing(const nlohmann::json& value) {
    if (value.is_string()) return value.get_ref<const std::string&>().empty();
    if (value.is_array() || value.is_object()) return value.empty();
    return value.is_null() || value == false || value == 0;
}

Error not_supported(const JsonReader& body, const std::string& key, const nlohmann::json& value, const std::string& expected) {
    return bad_input("{}: {}: expected {}: {}; found {}", body.where(), key, expected, kNotSupportedWords, shown_json(value));
}

Result<void> check_unused(const JsonReader& body, const Parameter& row) {
    const nlohmann::json* value = body.find(row.name);
    const bool is_refused = row.kind == ParameterKind::kNotSupported && value != nullptr && !says_nothing(*value);
    if (is_refused) return not_supported(body, row.name, *value);
    return {};
}

}  // namespace rafter::protocols
