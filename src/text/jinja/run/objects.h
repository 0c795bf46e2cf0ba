// The objects behind values that do not fit inline. All but namespaces and loops never change once made: chat templates
// run in an immutable sandbox, so no list or dict can be appended to.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/run/value.h"

namespace rafter::text::jinja {

struct Frame;
struct Statement;
class Runtime;

struct StringObject : Object {
    std::string text;     // valid UTF-8
    bool markup = false;  // went through |safe or |escape: what is joined to it gets escaped
    // Code points in text; counted when first asked for (literals: when parsed, since threads share them).
    mutable std::optional<std::size_t> n_code_points;
};

// An integer that needs more than 64 bits.
struct IntObject : Object {
    Int value = 0;
};

struct SequenceObject : Object {  // list and tuple
    std::vector<Value> items;
    std::uint32_t depth = 1;   // containers inside containers, this one included: what recursion over the value costs in stack
    std::uint64_t weight = 1;  // steps to walk over all of it; a list that holds another twice counts that twice
    bool is_group = false;     // a pair made by groupby, with the names .grouper and .list
};

// A total order over hashable values in which equal ones are equivalent. A string stands for the value that holds it.
struct KeyOrder {
    using is_transparent = void;
    [[nodiscard]] bool operator()(const Value& left, const Value& right) const;
    [[nodiscard]] bool operator()(const Value& left, std::string_view right) const;
    [[nodiscard]] bool operator()(std::string_view left, const Value& right) const;
};

// Keeps the order of insertion. Keys are hashable values: see is_hashable().
struct DictObject : Object {
    std::vector<std::pair<Value, Value>> entries;
    // Position of each key; empty while the dict is small. Not a hash table: keys chosen to collide would make it quadratic.
    std::map<Value, std::size_t, KeyOrder> index;
    std::uint32_t depth = 1;
    std::uint64_t weight = 1;

    [[nodiscard]] const Value* find(const Value& key) const;  // null when missing, also for a key that cannot be hashed
    [[nodiscard]] const Value* find(std::string_view key) const;
    // For who builds the dict; a key that is there already keeps its place and first spelling. The key must be hashable.
    void set(const Value& key, Value value);
};

struct DictViewObject : Object {
    enum class Part : std::uint8_t { kKeys, kValues, kItems };
    Value dict;
    Part part = Part::kKeys;
};

struct RangeObject : Object {
    std::int64_t start = 0, stop = 0, step = 1;
    std::int64_t length = 0;
};

struct IteratorObject : Object {
    std::function<Result<std::optional<Value>>()> next;  // nullopt at the end, and ever after
    std::string_view type_name;                          // static: "generator"
    std::uint32_t depth = 1;                             // iterators that pull from iterators
};

struct UndefinedObject : Object {
    std::string hint;         // says all when there is one
    std::string owner_type;   // "dict object" when an attribute or element was missing
    std::string name;         // of the variable, attribute or element, as Python would print it
    bool is_element = false;  // x[1], not x.name
    [[nodiscard]] std::string message() const;
};

struct NamespaceObject : Object {
    std::vector<std::pair<std::string, Value>> attributes;
    [[nodiscard]] const Value* find(std::string_view name) const;
};

struct MacroObject : Object {
    const Statement* definition = nullptr;  // a macro, or a call block whose body is the caller
    Frame* home = nullptr;                  // the variables that its body sees
};

class Bound;
struct MethodRow;
// Methods, filters, tests and global functions: the value comes first, missing for a global function.
using Method = Result<Value> (*)(Runtime&, const Value&, const Bound&);

struct MethodObject : Object {  // of a function too
    Value self;
    const MethodRow* row = nullptr;  // static
};

// Python's == of any two values. Dicts and lists compare deeply, in no more steps than the lesser weight of the two: callers spend those.
[[nodiscard]] bool equal(const Value& left, const Value& right);
// Of two numbers, exact even where a double cannot hold the integer.
[[nodiscard]] std::partial_ordering compare_numbers(const Value& left, const Value& right);
[[nodiscard]] bool is_hashable(const Value& value);

[[nodiscard]] inline std::string_view text_of(const Value& string) { return string.as<StringObject>().text; }
inline constexpr std::size_t kBytesPerStep = 64;
// Steps that whatever works on a string is charged for looking at all of it; 0 for other values.
[[nodiscard]] inline std::uint64_t text_cost(const Value& value) {
    return value.is(Type::kString) ? text_of(value).size() / kBytesPerStep : 0;
}
[[nodiscard]] inline bool is_markup(const Value& value) { return value.is(Type::kString) && value.as<StringObject>().markup; }
[[nodiscard]] inline const std::vector<Value>& items_of(const Value& sequence) { return sequence.as<SequenceObject>().items; }
[[nodiscard]] std::size_t n_code_points(const Value& string);
// Containers inside containers: 0 for a number, 1 for a flat list.
[[nodiscard]] std::uint32_t depth_of(const Value& value);
// Steps to look at all of the value, saturating: a list can hold itself indirectly very many times over.
[[nodiscard]] std::uint64_t weight_of(const Value& value);
[[nodiscard]] inline std::uint64_t add_weights(std::uint64_t a, std::uint64_t b) { return a + b < a ? ~std::uint64_t{0} : a + b; }

// Python's name of the type: "str", "NoneType", "dict_items".
[[nodiscard]] std::string_view type_name(const Value& value);

}  // namespace rafter::text::jinja
