// The arguments of a call, and their binding to the parameters of a filter, test, method or function.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

struct Arguments {
    std::vector<Value> positional;
    std::vector<std::pair<std::string, Value>> keywords;
};

// Arguments in the order of the parameters; what was not given is missing. The getters check types and fill in defaults; their errors name
// the function and the parameter.
class Bound {
  public:
    [[nodiscard]] bool has(std::size_t i) const { return !values_[i].is_missing(); }
    [[nodiscard]] const Value& operator[](std::size_t i) const { return values_[i]; }
    // None counts as not given.
    [[nodiscard]] bool has_value(std::size_t i) const { return has(i) && !values_[i].is(Type::kNone); }
    [[nodiscard]] bool truth_or(std::size_t i, bool otherwise) const { return has(i) ? truth(values_[i]) : otherwise; }
    [[nodiscard]] Result<std::int64_t> integer(std::size_t i) const;
    [[nodiscard]] Result<std::int64_t> integer_or(std::size_t i, std::int64_t otherwise) const;
    [[nodiscard]] Result<std::string_view> text(std::size_t i) const;
    [[nodiscard]] Result<std::string_view> text_or(std::size_t i, std::string_view otherwise) const;

    // As they were given, for functions that take any.
    [[nodiscard]] const Arguments& arguments() const { return *given_; }
    [[nodiscard]] const std::vector<Value>& positional() const { return given_->positional; }
    [[nodiscard]] const std::vector<std::pair<std::string, Value>>& keywords() const { return given_->keywords; }

  private:
    friend Result<Bound> bind(const MethodRow& row, const Arguments& arguments);
    const MethodRow* row_ = nullptr;
    const Arguments* given_ = nullptr;
    std::vector<std::string_view> names_;
    std::vector<Value> values_;
};

inline constexpr std::string_view kAnything = "*";

// A filter, test, method or global function.
struct MethodRow {
    std::string_view name;
    Method call;
    std::string_view parameters = "";  // separated by blanks; or kAnything
    std::size_t n_required = 0;        // so many of the parameters must be given
};

// Null when there is none of that name.
template <std::size_t N>
[[nodiscard]] const MethodRow* find_row(const MethodRow (&rows)[N], std::string_view name) {
    const auto* const found = std::ranges::find(rows, name, &MethodRow::name);
    return found == std::end(rows) ? nullptr : found;
}

[[nodiscard]] Result<Bound> bind(const MethodRow& row, const Arguments& arguments);
// Binds and calls. `self` is what a filter or test works on, or whose method it is; missing for a global function.
[[nodiscard]] Result<Value> call(Runtime& runtime, const MethodRow& row, const Value& self, const Arguments& arguments);

}  // namespace rafter::text::jinja
