// Reading JSON that people write: settings, dimensions, hardware. Every lookup checks type and range and says file, key, expected and
// found; what nobody asked for is left over for a warning.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rafter {

// An error says the place. NaN and Infinity are no JSON numbers, nor is what a double cannot hold.
[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text, std::string_view name);
// Of a file of at most 256 MB.
[[nodiscard]] Result<nlohmann::json> read_json_file(const std::string& path);

// A value as messages show it: printable ASCII, its end left out where it is long.
[[nodiscard]] std::string shown_json(const nlohmann::json& value);

// One object; views the JSON, which the caller keeps. `where` stands before each message: "hw.json" or "model.json: mla".
class JsonReader {
  public:
    [[nodiscard]] static Result<JsonReader> open(const nlohmann::json& value, std::string where);

    // Nothing when the key is missing or null.
    [[nodiscard]] Result<std::optional<double>> find_number(const std::string& key, double low, double high) const;
    [[nodiscard]] Result<std::optional<std::uint32_t>> find_uint(const std::string& key, std::uint32_t low, std::uint32_t high) const;
    [[nodiscard]] Result<std::optional<bool>> find_bool(const std::string& key) const;
    [[nodiscard]] Result<std::optional<std::string>> find_string(const std::string& key) const;
    [[nodiscard]] Result<std::optional<JsonReader>> find_object(const std::string& key) const;
    [[nodiscard]] const nlohmann::json* find(const std::string& key) const;  // marks it as known; null when missing or null

    // The same, as an error when missing.
    [[nodiscard]] Result<double> get_number(const std::string& key, double low, double high) const;
    [[nodiscard]] Result<std::uint32_t> get_uint(const std::string& key, std::uint32_t low, std::uint32_t high) const;

    [[nodiscard]] const std::string& where() const { return where_; }
    // Keys that no find has asked for so far, in the object's order.
    [[nodiscard]] std::vector<std::string> unknown_keys() const;
    [[nodiscard]] std::vector<std::string> known_keys() const { return {known_.begin(), known_.end()}; }

  private:
    JsonReader(const nlohmann::json& value, std::string where) : value_(&value), where_(std::move(where)) {}
    [[nodiscard]] Error missing(const std::string& key, std::string_view expected) const;

    const nlohmann::json* value_;
    std::string where_;
    mutable std::set<std::string> known_;
};

}  // namespace rafter
