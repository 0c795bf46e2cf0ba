// The library's exceptions end in parse_json().
#include "base/json_reader.h"

#include <cmath>

#include "base/os_file.h"
#include "base/quote.h"

namespace rafter {
namespace {

constexpr std::size_t kMaxFileBytes = 256'000'000;

constexpr int kMaxDepth = 100;  // the library prints and frees values by recursion

// Brackets that are open at once, outside of texts.
bool is_too_deep(std::string_view text) {
    int depth = 0;
    bool in_text = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (in_text && text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            in_text = !in_text;
        } else if (!in_text && (text[i] == '[' || text[i] == '{')) {
            if (++depth > kMaxDepth) return true;
        } else if (!in_text && (text[i] == ']' || text[i] == '}')) {
            --depth;
        }
    }
    return false;
}

// "0.000001", "1,000,000": without an exponent.
std::string number(double n) {
    if (n < 1e6) {
        std::string text = fmt::format("{:.9f}", n);
        text.erase(text.find_last_not_of('0') + 1);
        if (text.ends_with('.')) text.pop_back();
        return text;
    }
    std::string digits = fmt::format("{:.0f}", n);
    for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
    return digits;
}

}  // namespace

std::string shown_json(const nlohmann::json& value) {
    const std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

Result<nlohmann::json> parse_json(std::string_view text, std::string_view name) {
    if (is_too_deep(text)) return bad_input("{}: expected JSON nested at most {} deep, found deeper", name, kMaxDepth);
    try {
        return nlohmann::json::parse(text);
    } catch (const nlohmann::json::exception& error) {
        std::string why = error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
        if (const std::size_t close = why.find("] "); close != std::string::npos) why.erase(0, close + 2);
        for (char& c : why) {
            if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = ' ';
        }
        const bool is_nan = text.find("NaN") != std::string_view::npos || text.find("Infinity") != std::string_view::npos;
        return bad_input("{}: expected JSON, found {}{}", name, why, is_nan ? " (NaN and Infinity are not numbers in JSON)" : "");
    }
}

Result<nlohmann::json> read_json_file(const std::string& path) {
    RAFTER_TRY(const MappedFile file, MappedFile::open(path));
    if (file.bytes().size() > kMaxFileBytes) {
        return bad_input("{}: expected a JSON file of at most {} bytes, found {}", path, kMaxFileBytes, file.bytes().size());
    }
    return parse_json({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, path);
}

Result<JsonReader> JsonReader::open(const nlohmann::json& value, std::string where) {
    if (!value.is_object()) return bad_input("{}: expected an object, found {}", where, shown_json(value));
    return JsonReader(value, std::move(where));
}

const nlohmann::json* JsonReader::find(const std::string& key) const {
    known_.insert(key);
    const auto found = value_->find(key);
    return found == value_->end() || found->is_null() ? nullptr : &*found;
}

Error JsonReader::missing(const std::string& key, std::string_view expected) const {
    return bad_input("{}: {}: expected {}, found no such key", where_, key, expected);
}

Result<std::optional<double>> JsonReader::find_number(const std::string& key, double low, double high) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::optional<double>();
    const double n = value->is_number() ? value->get<double>() : std::nan("");
    if (!std::isfinite(n) || n < low || n > high) {
        return bad_input("{}: {}: expected a number from {} to {}, found {}", where_, key, number(low), number(high), shown_json(*value));
    }
    return std::optional<double>(n);
}

Result<std::optional<std::uint32_t>> JsonReader::find_uint(const std::string& key, std::uint32_t low, std::uint32_t high) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::optional<std::uint32_t>();
    const double n = value->is_number() ? value->get<double>() : std::nan("");
    if (!(n >= low && n <= high) || n != std::floor(n)) {
        return bad_input("{}: {}: expected a whole number from {} to {}, found {}", where_, key, low, high, shown_json(*value));
    }
    return std::optional<std::uint32_t>(static_cast<std::uint32_t>(n));
}

Result<std::optional<bool>> JsonReader::find_bool(const std::string& key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::optional<bool>();
    if (!value->is_boolean()) return bad_input("{}: {}: expected true or false, found {}", where_, key, shown_json(*value));
    return std::optional<bool>(value->get<bool>());
}

Result<std::optional<std::string>> JsonReader::find_string(const std::string& key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::optional<std::string>();
    if (!value->is_string()) return bad_input("{}: {}: expected a text, found {}", where_, key, shown_json(*value));
    return std::optional<std::string>(value->get<std::string>());
}

Result<std::optional<JsonReader>> JsonReader::find_object(const std::string& key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::optional<JsonReader>();
    RAFTER_TRY(JsonReader reader, open(*value, fmt::format("{}: {}", where_, key)));
    return std::optional<JsonReader>(std::move(reader));
}

Result<double> JsonReader::get_number(const std::string& key, double low, double high) const {
    RAFTER_TRY(const auto found, find_number(key, low, high));
    if (!found) return missing(key, "a number");
    return *found;
}

Result<std::uint32_t> JsonReader::get_uint(const std::string& key, std::uint32_t low, std::uint32_t high) const {
    RAFTER_TRY(const auto found, find_uint(key, low, high));
    if (!found) return missing(key, "a whole number");
    return *found;
}

std::vector<std::string> JsonReader::unknown_keys() const {
    std::vector<std::string> keys;
    for (const auto& [key, value] : value_->items()) {
        if (!known_.contains(key)) keys.push_back(key);
    }
    return keys;
}

}  // namespace rafter
