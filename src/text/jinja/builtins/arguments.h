// The arguments of a call, and their binding to the parameters of a filter, test, method or function.
#pragma once

#include <cstdint>
#include <initializer_list>
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

  private:
    friend Result<Bound> bind(const Arguments&, std::string_view, std::initializer_list<std::string_view>, std::size_t);
    std::string_view function_;
    std::vector<std::string_view> names_;
    std::vector<Value> values_;
};

// names: the parameters, the first n_required of which must be given..
[[nodiscard]] Result<Bound> bind(const Arguments& arguments, std::string_view function, std::initializer_list<std::string_view> names,
                                 std::size_t n_required = 0);

}  // namespace rafter::text::jinja
