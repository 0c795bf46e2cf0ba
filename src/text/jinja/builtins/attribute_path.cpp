// Looking up dotted attributes with the rules of x[key].
#include "text/jinja/builtins/attribute_path.h"

#include <string_view>

#include "text/jinja/run/operators.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

// "0" in a path is an index.
Value path_part(Runtime& runtime, std::string_view part) {
    const bool is_index = !part.empty() && part.size() <= 18 && part.find_first_not_of("0123456789") == std::string_view::npos;
    if (!is_index) return runtime.string(std::string(part));
    std::int64_t index = 0;
    for (const char c : part) index = index * 10 + (c - '0');
    return Value::integer(index);
}

}  // namespace

Result<AttributePath> AttributePath::parse(Runtime& runtime, const Value& attribute, LetterCase letter_case, Value otherwise) {
    AttributePath path;
    path.letter_case_ = letter_case;
    path.otherwise_ = otherwise.is(Type::kNone) ? Value() : std::move(otherwise);
    if (attribute.is_missing() || attribute.is(Type::kNone)) return path;
    if (!attribute.is(Type::kString)) {
        path.parts_.push_back(attribute);
        return path;
    }
    std::string_view rest = text_of(attribute);
    while (true) {
        const std::size_t dot = rest.find('.');
        path.parts_.push_back(path_part(runtime, rest.substr(0, dot)));
        if (dot == std::string_view::npos) return path;
        rest.remove_prefix(dot + 1);
    }
}

Result<Value> AttributePath::get(Runtime& runtime, const Value& item) const {
    Value found = item;
    for (const Value& part : parts_) {
        RAFTER_TRY(found, get_item(runtime, found, part));
        if (found.is(Type::kUndefined) && !otherwise_.is_missing()) found = otherwise_;
    }
    if (letter_case_ == LetterCase::kIgnored && found.is(Type::kString)) return runtime.string_like(found, to_lower(text_of(found)));
    return found;
}

}  // namespace rafter::text::jinja
