// A model file's metadata: values by key, with lookups that name the key and the types in their errors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "files/gguf_format.h"

namespace rafter::files {

// A metadata value. Numbers are widened (any integer to int64 or uint64, any float to double), strings are views into the mapping
// and need not be UTF-8; arrays are of one type.
using MetadataArray = std::variant<std::vector<std::int64_t>, std::vector<std::uint64_t>, std::vector<double>, std::vector<bool>,
                                   std::vector<std::string_view>>;
using MetadataValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string_view, MetadataArray>;

class Metadata {
  public:
    // Lookups name the key, the expected and the found type in their error. get_* fail when the key is missing; find_* return nullopt then,
    // and still fail on a wrong type. Integers are accepted wherever they fit.
    [[nodiscard]] bool has(std::string_view key) const;
    [[nodiscard]] Result<std::uint64_t> get_uint(std::string_view key) const;
    [[nodiscard]] Result<double> get_float(std::string_view key) const;
    [[nodiscard]] Result<std::string_view> get_string(std::string_view key) const;
    [[nodiscard]] Result<std::optional<std::uint64_t>> find_uint(std::string_view key) const;
    [[nodiscard]] Result<std::optional<double>> find_float(std::string_view key) const;  // an integer is taken too
    [[nodiscard]] Result<std::optional<bool>> find_bool(std::string_view key) const;
    [[nodiscard]] Result<std::optional<std::string_view>> find_string(std::string_view key) const;
    // Arrays; null when the key is missing. Any integer type is converted where every element fits; an empty array is one of any type.
    [[nodiscard]] Result<std::optional<std::vector<std::string_view>>> find_strings(std::string_view key) const;
    [[nodiscard]] Result<std::optional<std::vector<std::int64_t>>> find_ints(std::string_view key) const;
    [[nodiscard]] Result<std::optional<std::vector<double>>> find_floats(std::string_view key) const;  // integers are taken too
    [[nodiscard]] Result<std::optional<std::vector<bool>>> find_bools(std::string_view key) const;

    // In file order, for `rafter info`.
    [[nodiscard]] std::span<const std::pair<std::string, MetadataValue>> entries() const { return entries_; }
    // The type that a GGUF file stores the value of this key in, or the elements of its array; none where the source is no such file.
    // Needed to write the same value again.
    [[nodiscard]] std::optional<GgufType> stored_type(std::string_view key) const;
    // False when the key is there already.
    bool add(std::string key, MetadataValue value, std::optional<GgufType> stored_type = std::nullopt);

  private:
    [[nodiscard]] const MetadataValue* find(std::string_view key) const;

    std::vector<std::pair<std::string, MetadataValue>> entries_;
    std::vector<std::optional<GgufType>> stored_types_;      // [entries]
    std::map<std::string, std::size_t, std::less<>> index_;  // not a hash map: keys chosen to collide would make it quadratic
};

}  // namespace rafter::files
