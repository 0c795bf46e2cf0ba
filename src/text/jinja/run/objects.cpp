// Equality, order and lookup of values, as Python does them, and the end of their objects.
#include "text/jinja/run/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <compare>
#include <functional>
#include <string_view>

#include "text/jinja/run/loop.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

// A linear search over so few keys is faster than a tree.
constexpr std::size_t kIndexedFrom = 9;

bool equal_items(const std::vector<Value>& left, const std::vector<Value>& right) {
    if (left.size() != right.size()) return false;
    for (std::size_t i = 0; i < left.size(); ++i) {
        if (!equal(left[i], right[i])) return false;
    }
    return true;
}

bool equal_dicts(const DictObject& left, const DictObject& right) {
    if (left.entries.size() != right.entries.size()) return false;
    for (const auto& [key, value] : left.entries) {
        const Value* other = right.find(key);
        if (other == nullptr || !equal(value, *other)) return false;
    }
    return true;
}

// Views of keys and of items are sets to Python; views of values are equal only to themselves.
bool equal_views(const DictViewObject& left, const DictViewObject& right) {
    if (&left == &right) return true;
    if (left.part != right.part || left.part == DictViewObject::Part::kValues) return false;
    const auto& a = left.dict.as<DictObject>();
    const auto& b = right.dict.as<DictObject>();
    if (left.part == DictViewObject::Part::kItems) return equal_dicts(a, b);
    if (a.entries.size() != b.entries.size()) return false;
    for (const auto& entry : a.entries) {
        if (b.find(entry.first) == nullptr) return false;
    }
    return true;
}

bool equal_ranges(const RangeObject& left, const RangeObject& right) {
    if (left.length != right.length) return false;
    if (left.length == 0) return true;
    return left.start == right.start && (left.length == 1 || left.step == right.step);
}

// Kinds of keys, each with an order of its own.
int rank(const Value& key) {
    if (key.is_number()) return 0;
    if (key.is(Type::kString)) return 1;
    if (key.is(Type::kTuple)) return 2;
    return 3 + static_cast<int>(key.type());
}

bool is_nan(const Value& value) { return value.is(Type::kFloat) && std::isnan(value.as_real()); }

template <typename T>
bool address_before(const T* left, const T* right) {
    return std::less<>()(left, right);
}

}  // namespace

Int Value::as_int() const {
    if (type_ == Type::kBool) return payload_.boolean ? 1 : 0;
    return held_ == Held::kInline ? Int{payload_.integer} : as<IntObject>().value;
}

double Value::as_real() const { return type_ == Type::kFloat ? payload_.real : static_cast<double>(as_int()); }

bool Value::same(const Value& other) const {
    if (type_ != other.type_) return false;
    if (type_ == Type::kInt || type_ == Type::kFloat || type_ == Type::kBool) return compare_numbers(*this, other) == 0;
    // All undefined values look alike to ==, and none is another.
    return type_ == Type::kNone || payload_.object == other.payload_.object;
}

bool equal(const Value& left, const Value& right) {
    if (left.is_number() && right.is_number()) return compare_numbers(left, right) == 0;
    if (left.type() != right.type()) return false;
    switch (left.type()) {
        case Type::kMissing:
        case Type::kUndefined:
        case Type::kNone:
            return true;
        case Type::kString:
            return text_of(left) == text_of(right);
        case Type::kList:
        case Type::kTuple:
            return left.object() == right.object() || equal_items(items_of(left), items_of(right));
        case Type::kDict:
            return left.object() == right.object() || equal_dicts(left.as<DictObject>(), right.as<DictObject>());
        case Type::kDictView:
            return equal_views(left.as<DictViewObject>(), right.as<DictViewObject>());
        case Type::kRange:
            return equal_ranges(left.as<RangeObject>(), right.as<RangeObject>());
        case Type::kFunction:
        case Type::kMethod:
            return left.as<MethodObject>().row == right.as<MethodObject>().row &&
                   left.as<MethodObject>().self.same(right.as<MethodObject>().self);
        default:
            return left.object() == right.object();
    }
}

bool is_hashable(const Value& value) {
    switch (value.type()) {
        case Type::kList:
        case Type::kDict:
        case Type::kDictView:
            return false;
        case Type::kTuple:
            for (const Value& item : items_of(value)) {
                if (!is_hashable(item)) return false;
            }
            return true;
        default:
            return true;
    }
}

std::partial_ordering compare_numbers(const Value& left, const Value& right) {
    if (left.is_integral() && right.is_integral()) return left.as_int() <=> right.as_int();
    if (left.is(Type::kFloat) && right.is(Type::kFloat)) return left.as_real() <=> right.as_real();
    if (left.is(Type::kFloat)) return 0 <=> compare_numbers(right, left);
    const double real = right.as_real();
    if (std::isnan(real)) return std::partial_ordering::unordered;
    if (std::abs(real) >= 0x1p126) return 0.0 <=> real;
    const auto floor = static_cast<Int>(std::floor(real));
    if (left.as_int() != floor) return left.as_int() <=> floor;
    return std::floor(real) <=> real;
}

bool KeyOrder::operator()(const Value& left, const Value& right) const {
    const int left_rank = rank(left);
    const int right_rank = rank(right);
    if (left_rank != right_rank) return left_rank < right_rank;
    switch (left.type()) {
        case Type::kBool:
        case Type::kInt:
        case Type::kFloat:
            // What is no number comes last.
            return compare_numbers(left, right) < 0 || (is_nan(right) && !is_nan(left));
        case Type::kString:
            return text_of(left) < text_of(right);
        case Type::kTuple:
            return std::lexicographical_compare(items_of(left).begin(), items_of(left).end(), items_of(right).begin(),
                                                items_of(right).end(), KeyOrder());
        case Type::kNone:
        case Type::kUndefined:
        case Type::kMissing:
            return false;
        default:
            return !equal(left, right) && address_before(left.object(), right.object());
    }
}

bool KeyOrder::operator()(const Value& left, std::string_view right) const {
    return left.is(Type::kString) ? text_of(left) < right : rank(left) < 1;
}

bool KeyOrder::operator()(std::string_view left, const Value& right) const {
    return right.is(Type::kString) ? left < text_of(right) : rank(right) > 1;
}

const Value* DictObject::find(const Value& key) const {
    if (key.is(Type::kString)) return find(text_of(key));
    if (!is_hashable(key)) return nullptr;
    if (!index.empty()) {
        const auto found = index.find(key);
        return found == index.end() ? nullptr : &entries[found->second].second;
    }
    for (const auto& [other, value] : entries) {
        if (equal(other, key)) return &value;
    }
    return nullptr;
}

const Value* DictObject::find(std::string_view key) const {
    if (!index.empty()) {
        const auto found = index.find(key);
        return found == index.end() ? nullptr : &entries[found->second].second;
    }
    for (const auto& [other, value] : entries) {
        if (other.is(Type::kString) && text_of(other) == key) return &value;
    }
    return nullptr;
}

void DictObject::set(const Value& key, Value value) {
    depth = std::max(depth, 1 + std::max(depth_of(key), depth_of(value)));
    weight = add_weights(weight, add_weights(weight_of(key), weight_of(value)));
    if (const Value* there = find(key)) {
        *const_cast<Value*>(there) = std::move(value);
        return;
    }
    entries.emplace_back(key, std::move(value));
    if (!index.empty()) {
        index.emplace(key, entries.size() - 1);
    } else if (entries.size() >= kIndexedFrom) {
        for (std::size_t i = 0; i < entries.size(); ++i) index.emplace(entries[i].first, i);
    }
}

const Value* NamespaceObject::find(std::string_view name) const {
    for (const auto& [other, value] : attributes) {
        if (other == name) return &value;
    }
    return nullptr;
}

std::string UndefinedObject::message() const {
    if (!hint.empty()) return hint;
    if (owner_type.empty()) return fmt::format("{} is undefined", name);
    return is_element ? fmt::format("{} has no element {}", owner_type, name) : fmt::format("'{}' has no attribute {}", owner_type, name);
}

std::size_t n_code_points(const Value& string) {
    const auto& object = string.as<StringObject>();
    if (!object.n_code_points) object.n_code_points = count_code_points(object.text);
    return *object.n_code_points;
}

std::uint32_t depth_of(const Value& value) {
    switch (value.type()) {
        case Type::kList:
        case Type::kTuple:
            return value.as<SequenceObject>().depth;
        case Type::kDict:
            return value.as<DictObject>().depth;
        case Type::kDictView:
            return value.as<DictViewObject>().dict.as<DictObject>().depth + 1;
        case Type::kIterator:
            return value.as<IteratorObject>().depth;
        case Type::kMethod:
            return depth_of(value.as<MethodObject>().self) + 1;
        default:
            return 0;
    }
}

std::uint64_t weight_of(const Value& value) {
    switch (value.type()) {
        case Type::kString:
            return 1 + text_of(value).size() / kBytesPerStep;
        case Type::kList:
        case Type::kTuple:
            return value.as<SequenceObject>().weight;
        case Type::kDict:
            return value.as<DictObject>().weight;
        case Type::kDictView:
            return value.as<DictViewObject>().dict.as<DictObject>().weight;
        default:
            return 1;
    }
}

std::string_view type_name(const Value& value) {
    // In the order of Type.
    static constexpr std::string_view kNames[] = {
        "Undefined", "Undefined", "NoneType", "bool", "int",       "float",       "str",   "list",     "tuple",
        "dict",      "",          "range",    "",     "Namespace", "LoopContext", "Macro", "function", "builtin_function_or_method"};
    if (is_markup(value)) return "Markup";
    if (value.is(Type::kIterator)) return value.as<IteratorObject>().type_name;
    if (!value.is(Type::kDictView)) return kNames[static_cast<std::size_t>(value.type())];
    const auto part = value.as<DictViewObject>().part;
    return part == DictViewObject::Part::kKeys ? "dict_keys" : part == DictViewObject::Part::kValues ? "dict_values" : "dict_items";
}

}  // namespace rafter::text::jinja
