// Typed look-ups in a file's metadata.
#include "files/metadata.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/quote.h"

namespace rafter::files {
namespace {

constexpr std::uint64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();

std::size_t size_of(const MetadataArray& array) {
    return std::visit([](const auto& values) { return values.size(); }, array);
}

std::string describe(const MetadataValue& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) return fmt::format("the integer {}", *number);
    if (const auto* number = std::get_if<std::uint64_t>(&value)) return fmt::format("the integer {}", *number);
    if (const auto* number = std::get_if<double>(&value)) return fmt::format("the number {}", *number);
    if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "the bool true" : "the bool false";
    if (const auto* text = std::get_if<std::string_view>(&value)) return "the string " + quote(*text);
    constexpr const char* kElements[] = {"integers", "integers", "numbers", "bools", "strings"};  // in the order of MetadataArray
    const auto& array = std::get<MetadataArray>(value);
    return fmt::format("an array of {} {}", size_of(array), kElements[array.index()]);
}

Error wrong_type(std::string_view key, std::string_view expected, const MetadataValue& found) {
    return bad_input("{}: expected {}, found {}", quote(key), expected, describe(found));
}

template <typename T>
Result<T> required(std::string_view key, std::string_view expected, const Result<std::optional<T>>& found) {
    if (!found) return found.error();
    if (!found->has_value()) return bad_input("{}: expected {}, found no such key", quote(key), expected);
    return **found;
}

// An array of T as it is, or an empty one of any type.
template <typename T>
std::optional<std::vector<T>> same_or_empty(const MetadataValue& value) {
    const auto* array = std::get_if<MetadataArray>(&value);
    if (array == nullptr) return std::nullopt;
    if (size_of(*array) == 0) return std::vector<T>();
    const auto* same = std::get_if<std::vector<T>>(array);
    return same != nullptr ? std::optional(*same) : std::nullopt;
}

template <typename T>
const std::vector<T>* array_of(const MetadataValue& value) {
    const auto* array = std::get_if<MetadataArray>(&value);
    return array != nullptr ? std::get_if<std::vector<T>>(array) : nullptr;
}

}  // namespace

const MetadataValue* Metadata::find(std::string_view key) const {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &entries_[found->second].second;
}

std::optional<GgufType> Metadata::stored_type(std::string_view key) const {
    const auto found = index_.find(key);
    return found == index_.end() ? std::nullopt : stored_types_[found->second];
}

bool Metadata::add(std::string key, MetadataValue value, std::optional<GgufType> stored_type) {
    if (!index_.try_emplace(key, entries_.size()).second) return false;
    stored_types_.push_back(stored_type);
    entries_.emplace_back(std::move(key), std::move(value));
    return true;
}

bool Metadata::has(std::string_view key) const { return find(key) != nullptr; }

Result<std::uint64_t> Metadata::get_uint(std::string_view key) const { return required(key, "a non-negative integer", find_uint(key)); }
Result<double> Metadata::get_float(std::string_view key) const { return required(key, "a number", find_float(key)); }
Result<std::string_view> Metadata::get_string(std::string_view key) const { return required(key, "a string", find_string(key)); }

Result<std::optional<std::uint64_t>> Metadata::find_uint(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::optional<std::uint64_t>();
    if (const auto* number = std::get_if<std::uint64_t>(value)) return std::optional(*number);
    const auto* number = std::get_if<std::int64_t>(value);
    if (number != nullptr && *number >= 0) return std::optional(static_cast<std::uint64_t>(*number));
    return wrong_type(key, "a non-negative integer", *value);
}

Result<std::optional<double>> Metadata::find_float(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::optional<double>();
    if (const auto* number = std::get_if<double>(value)) return std::optional(*number);
    if (const auto* number = std::get_if<std::uint64_t>(value)) return std::optional(static_cast<double>(*number));
    if (const auto* number = std::get_if<std::int64_t>(value)) return std::optional(static_cast<double>(*number));
    return wrong_type(key, "a number", *value);
}

Result<std::optional<bool>> Metadata::find_bool(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::optional<bool>();
    if (const auto* flag = std::get_if<bool>(value)) return std::optional(*flag);
    return wrong_type(key, "a bool", *value);
}

Result<std::optional<std::string_view>> Metadata::find_string(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::optional<std::string_view>();
    if (const auto* text = std::get_if<std::string_view>(value)) return std::optional(*text);
    return wrong_type(key, "a string", *value);
}

Result<std::optional<std::vector<std::string_view>>> Metadata::find_strings(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::optional<std::vector<std::string_view>>();
    if (auto same = same_or_empty<std::string_view>(*value)) return same;
    return wrong_type(key, "an array of strings", *value);
}

Result<std::optional<std::vector<std::int64_t>>> Metadata::find_ints(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::optional<std::vector<std::int64_t>>();
    if (auto same = same_or_empty<std::int64_t>(*value)) return same;
    const auto* numbers = array_of<std::uint64_t>(*value);
    if (numbers == nullptr) return wrong_type(key, "an array of integers", *value);
    const auto too_large = std::find_if(numbers->begin(), numbers->end(), [](std::uint64_t number) { return number > kMaxInt64; });
    if (too_large != numbers->end()) {
        return bad_input("{}: element {}: expected an integer below 2^63, found {}", quote(key), too_large - numbers->begin(), *too_large);
    }
    return std::optional(std::vector<std::int64_t>(numbers->begin(), numbers->end()));
}

Result<std::optional<std::vector<double>>> Metadata::find_floats(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::optional<std::vector<double>>();
    if (auto same = same_or_empty<double>(*value)) return same;
    if (const auto* numbers = array_of<std::uint64_t>(*value)) return std::optional(std::vector<double>(numbers->begin(), numbers->end()));
    if (const auto* numbers = array_of<std::int64_t>(*value)) return std::optional(std::vector<double>(numbers->begin(), numbers->end()));
    return wrong_type(key, "an array of numbers", *value);
}

Result<std::optional<std::vector<bool>>> Metadata::find_bools(std::string_view key) const {
    const MetadataValue* value = find(key);
    if (value == nullptr) return std::optional<std::vector<bool>>();
    if (auto same = same_or_empty<bool>(*value)) return same;
    return wrong_type(key, "an array of bools", *value);
}

}  // namespace rafter::files
