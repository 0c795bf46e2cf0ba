// Both formats become the same flat map; toml++ reads TOML (https://toml.io), and its exceptions end here.
#include "apps/options/config_file.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/options/option_spec.h"
#include "base/json_reader.h"
#include "base/os_file.h"
#include "base/quote.h"
#include "base/suggest.h"

namespace rafter::apps {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 8;

Error wrong(const std::string& path, std::string_view key, std::string_view message) {
    return {fmt::format("{}: {}{}{}", path, key, key.empty() ? "" : ": ", message), ErrorKind::kUsage};
}

// TOML's types as JSON's; dates are no option's value.
Result<json> json_of(const toml::node& node) {
    if (const toml::table* table = node.as_table()) {
        json object = json::object();
        for (const auto& [key, value] : *table) {
            RAFTER_TRY(object[std::string(key.str())], json_of(value));
        }
        return object;
    }
    if (const toml::array* array = node.as_array()) {
        json list = json::array();
        for (const toml::node& value : *array) {
            RAFTER_TRY(json item, json_of(value));
            list.push_back(std::move(item));
        }
        return list;
    }
    if (const auto* text = node.as_string()) return json(text->get());
    if (const auto* whole = node.as_integer()) return json(whole->get());
    if (const auto* number = node.as_floating_point()) return json(number->get());
    if (const auto* flag = node.as_boolean()) return json(flag->get());
    return Error{fmt::format("line {}: expected a text, a number, true or false, or a list, found a date", node.source().begin.line),
                 ErrorKind::kUsage};
}

Result<json> read_toml(const std::string& path) {
    RAFTER_TRY(const std::string text, read_file(path));
    try {
        auto read = json_of(toml::parse(text, path));
        if (!read) return read.error().within(path);
        return read;
    } catch (const toml::parse_error& error) {
        return Error{fmt::format("{}:{}: {}", path, error.source().begin.line, error.description()), ErrorKind::kUsage};
    }
}

Result<std::string> text_of(const json& value, const std::string& path, const std::string& key) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_boolean()) return std::string(value.get<bool>() ? "true" : "false");
    if (value.is_number()) return value.dump();
    return wrong(path, key, "expected a text, a number, true or false, or a list of these, found " + shown_json(value));
}

// A key that only lacks its section, or the nearest by spelling.
std::string suggestion(std::string_view key) {
    std::vector<std::string> keys;
    for (const OptionSpec& spec : option_table()) {
        if (spec.has_key) keys.push_back(spec.key());
    }
    const std::string_view last = key.substr(key.rfind('.') + 1);
    for (const std::string& known : keys) {
        if (std::string_view(known).substr(known.rfind('.') + 1) == last) return fmt::format("; did you mean {}?", known);
    }
    return did_you_mean(key, keys);
}

Result<void> collect(const json& object, const std::string& section, int depth, ConfigFile& config) {
    for (const auto& [name, value] : object.items()) {
        std::string key = section.empty() ? name : section + "." + name;
        std::replace(key.begin(), key.end(), '-', '_');
        if (value.is_object() && depth < kMaxDepth) {
            RAFTER_TRY_VOID(collect(value, key, depth + 1, config));
            continue;
        }
        const auto table = option_table();
        const bool known =
            std::any_of(table.begin(), table.end(), [&](const OptionSpec& spec) { return spec.has_key && spec.key() == key; });
        if (!known) return wrong(config.path, "", fmt::format("unknown key {}{}", quote(key), suggestion(key)));
        std::vector<std::string> texts;
        if (value.is_array()) {
            for (const json& item : value) {
                RAFTER_TRY(std::string text, text_of(item, config.path, key));
                texts.push_back(std::move(text));
            }
        } else {
            RAFTER_TRY(std::string text, text_of(value, config.path, key));
            texts.push_back(std::move(text));
        }
        config.values[key] = std::move(texts);
    }
    return {};
}

}  // namespace

Result<ConfigFile> read_config(const std::string& path) {
    ConfigFile config{.path = path, .values = {}};
    RAFTER_TRY(const json read, path.ends_with(".json") ? read_json_file(path) : read_toml(path));
    if (!read.is_object()) return wrong(path, "", "expected an object, found " + shown_json(read));
    RAFTER_TRY_VOID(collect(read, "", 0, config));
    return config;
}

}  // namespace rafter::apps
