// Binding as Python does it: by position, then by name; nothing twice, nothing unknown.
#include "text/jinja/builtins/arguments.h"

#include <algorithm>
#include <limits>

namespace rafter::text::jinja {

Result<Bound> bind(const MethodRow& row, const Arguments& arguments) {
    Bound bound;
    bound.row_ = &row;
    bound.given_ = &arguments;
    if (row.parameters == kAnything) return bound;
    for (std::string_view rest = row.parameters; !rest.empty();) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        bound.names_.push_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    const std::string_view function = row.name;
    bound.values_.resize(bound.names_.size());
    if (arguments.positional.size() > bound.names_.size()) {
        return bad_input("{}: expected at most {} arguments, found {}", function, bound.names_.size(), arguments.positional.size());
    }
    std::copy(arguments.positional.begin(), arguments.positional.end(), bound.values_.begin());
    for (const auto& [name, value] : arguments.keywords) {
        const auto found = std::find(bound.names_.begin(), bound.names_.end(), name);
        if (found == bound.names_.end()) return bad_input("{}: unexpected keyword argument '{}'", function, name);
        Value& target = bound.values_[static_cast<std::size_t>(found - bound.names_.begin())];
        if (!target.is_missing()) return bad_input("{}: argument '{}' is given twice", function, name);
        target = value;
    }
    for (std::size_t i = 0; i < row.n_required; ++i) {
        if (bound.values_[i].is_missing()) return bad_input("{}: argument '{}' is missing", function, bound.names_[i]);
    }
    return bound;
}

Result<Value> call(Runtime& runtime, const MethodRow& row, const Value& self, const Arguments& arguments) {
    RAFTER_TRY_VOID(runtime.spend(text_cost(self)));
    RAFTER_TRY(const Bound bound, bind(row, arguments));
    return row.call(runtime, self, bound);
}

Result<std::int64_t> Bound::integer(std::size_t i) const {
    const Value& value = values_[i];
    if (!value.is_integral()) return wrong_type("an integer", value).within(names_[i]).within(row_->name);
    const Int wide = value.as_int();
    if (wide < std::numeric_limits<std::int64_t>::min() || wide > std::numeric_limits<std::int64_t>::max()) {
        return bad_input("{}: {}: expected an integer of 64 bits", row_->name, names_[i]);
    }
    return static_cast<std::int64_t>(wide);
}

Result<std::int64_t> Bound::integer_or(std::size_t i, std::int64_t otherwise) const { return has(i) ? integer(i) : otherwise; }

Result<std::string_view> Bound::text(std::size_t i) const {
    if (!values_[i].is(Type::kString)) return wrong_type("a string", values_[i]).within(names_[i]).within(row_->name);
    return text_of(values_[i]);
}

Result<std::string_view> Bound::text_or(std::size_t i, std::string_view otherwise) const {
    if (!has(i)) return otherwise;
    return text(i);
}

}  // namespace rafter::text::jinja
