// Lookups with a remembered error.
#include "model/hf/keys.h"

#include <fmt/format.h>

#include <algorithm>

namespace rafter::model::hf {
namespace {

constexpr std::uint32_t kMax = 1'000'000'000;

}  // namespace

std::uint32_t Keys::uint(Names names, std::uint32_t fallback) {
    std::optional<std::uint32_t> first;
    for (const char* name : names) {
        const nlohmann::json* value = keys_.find(name);
        if (value != nullptr && value->is_array()) {
            if (value->empty() || !value->front().is_number_unsigned()) {
                fail(bad_input("{}: {}: expected a whole number, found {}", keys_.where(), name, shown_json(*value)));
                continue;
            }
            for (const nlohmann::json& item : *value) {
                if (item != value->front()) uneven_.insert(name);
            }
            if (!first) first = static_cast<std::uint32_t>(std::min<std::uint64_t>(value->front().get<std::uint64_t>(), kMax));
            continue;
        }
        const auto found = keys_.find_uint(name, 0, kMax);
        if (!found) fail(found.error());
        if (found && *found && !first) first = *found;
    }
    return first.value_or(fallback);
}

std::uint32_t Keys::need(Names names) {
    const std::uint32_t found = uint(names);
    if (found == 0) {
        const bool is_there = keys_.find(*names.begin()) != nullptr;
        fail(bad_input("{}: {}: expected a whole number above 0, found {}", keys_.where(), *names.begin(), is_there ? "0" : "no such key"));
    }
    return found;
}

double Keys::number(const char* name, double fallback) {
    const auto found = keys_.find_number(name, -1e18, 1e18);
    if (!found) fail(found.error());
    return found && *found ? **found : fallback;
}

bool Keys::flag(const char* name, bool fallback) {
    const auto found = keys_.find_bool(name);
    if (!found) fail(found.error());
    return found && *found ? **found : fallback;
}

std::string Keys::word(const char* name) {
    const nlohmann::json* value = keys_.find(name);
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

std::vector<std::string> Keys::words(const char* name) {
    const nlohmann::json* value = keys_.find(name);
    std::vector<std::string> words;
    if (value == nullptr || !value->is_array()) return words;
    for (const nlohmann::json& item : *value) words.push_back(item.is_string() ? item.get<std::string>() : shown_json(item));
    return words;
}

std::vector<std::uint32_t> Keys::uints(const char* name, std::uint32_t n) {
    const nlohmann::json* value = keys_.find(name);
    uneven_.erase(name);
    std::vector<std::uint32_t> numbers;
    if (value == nullptr) return numbers;
    if (value->is_number_unsigned()) return std::vector<std::uint32_t>(n, uint({name}));
    if (!value->is_array()) {
        fail(bad_input("{}: {}: expected a list of whole numbers, found {}", keys_.where(), name, shown_json(*value)));
        return numbers;
    }
    for (const nlohmann::json& item : *value) {
        if (!item.is_number_unsigned() || item.get<std::uint64_t>() > kMax) {
            fail(bad_input("{}: {}: expected a list of whole numbers, found {}", keys_.where(), name, shown_json(item)));
            return {};
        }
        numbers.push_back(item.get<std::uint32_t>());
    }
    return numbers;
}

bool Keys::is_per_layer(const char* name, std::uint32_t n) {
    const nlohmann::json* value = keys_.find(name);
    if (value == nullptr || (value->is_array() && value->empty())) return false;
    if (!value->is_array() || value->size() < n) {
        const std::string found = value->is_array() ? fmt::format("{}", value->size()) : shown_json(*value);
        fail(bad_input("{}: {}: expected a list of {} values, one a layer, found {}", keys_.where(), name, n, found));
        return false;
    }
    if (value->size() > n) say(fmt::format("{} has {} values for {} layers: the first {} are used", name, value->size(), n, n));
    return true;
}

std::vector<std::string> Keys::words_per_layer(const char* name, std::uint32_t n) {
    if (!is_per_layer(name, n)) return {};
    std::vector<std::string> all = words(name);
    all.resize(n);
    return all;
}

std::vector<std::uint32_t> Keys::uints_per_layer(const char* name, std::uint32_t n) {
    if (!is_per_layer(name, n)) return {};
    std::vector<std::uint32_t> all = uints(name, n);
    if (!all.empty()) all.resize(n);
    return all;
}

std::vector<std::uint32_t> Keys::layer_numbers(const char* name, std::uint32_t n, std::uint32_t first) {
    const nlohmann::json* value = keys_.find(name);
    if (value == nullptr) return {};
    std::vector<std::uint32_t> numbers;
    if (value->is_number_unsigned()) {
        numbers.push_back(uint({name}));
    } else {
        numbers = uints(name, n);
    }
    for (const std::uint32_t i : numbers) {
        if (i >= first && i - first < n) continue;
        fail(bad_input("{}: {}: expected layers from {} to {}, found {}", keys_.where(), name, first, first + n - 1, i));
        break;
    }
    return numbers;
}

std::optional<JsonReader> Keys::object(const char* name) {
    const auto found = keys_.find_object(name);
    if (!found) fail(found.error());
    return found ? *found : std::nullopt;
}

}  // namespace rafter::model::hf
