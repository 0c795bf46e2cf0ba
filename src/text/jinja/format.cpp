// "%s" % x and "{}".format(x): their little languages, read from left to right.
#include "text/jinja/format.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace rafter::text::jinja {

namespace {

constexpr std::int64_t kMaxWidth = std::int64_t{1} << 31;

// repr() with everything beyond ASCII escaped.
std::string ascii_only(std::string_view repr) {
    std::string out;
    for (std::size_t at = 0; at < repr.size();) {
        const CodePoint c = code_point_at(repr, at);
        const auto code = static_cast<std::uint32_t>(c.value);
        if (code < 0x80) {
            out += static_cast<char>(code);
        } else {
            out += code < 0x100     ? fmt::format("\\x{:02x}", code)
                   : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                                    : fmt::format("\\U{:08x}", code);
        }
        at += c.size_bytes;
    }
    return out;
}

// An integer for %d, %x, ...: floats are cut for %d only.
Result<Int> integer_argument(const Value& value, char type) {
    if (value.is_integral()) return value.as_int();
    if (value.is(Type::kFloat) && type == 'd') {
        const double real = std::trunc(value.as_real());
        if (std::isfinite(real) && std::abs(real) < 0x1p126) return static_cast<Int>(real);
        return bad_input("cannot convert float {} to integer", float_repr(value.as_real()));
    }
    if (value.is(Type::kUndefined)) return wrong_type("", value);
    return bad_input("%{} format: expected a number, found {}", type, type_name(value));
}

class PercentFormatter {
  public:
    PercentFormatter(Runtime& runtime, const Value& format, const Value& values)
        : runtime_(runtime), rest_(text_of(format)), values_(values), escape_(is_markup(format)) {
        // What can be subscripted is taken for a mapping, so leftovers in it are no error.
        const Type type = values.type();
        is_mapping_ = type == Type::kDict || type == Type::kList || type == Type::kRange || type == Type::kUndefined;
    }

    Result<std::string> run() {
        std::string out;
        while (true) {
            const std::size_t percent = rest_.find('%');
            out += rest_.substr(0, percent);
            if (percent == std::string_view::npos) break;
            rest_.remove_prefix(percent + 1);
            if (!rest_.empty() && rest_[0] == '%') {
                rest_.remove_prefix(1);
                out += '%';
                continue;
            }
            RAFTER_TRY(const std::string text, conversion());
            RAFTER_TRY_VOID(runtime_.grow(out, text.size()));
            out += text;
        }
        const bool unused = values_.is(Type::kTuple) ? n_used_ < items_of(values_).size() : n_used_ == 0;
        if (unused && !is_mapping_) return bad_input("not all arguments converted during string formatting");
        return out;
    }

  private:
    Result<Value> next_value() {
        if (values_.is(Type::kTuple)) {
            if (n_used_ >= items_of(values_).size()) return bad_input("not enough arguments for format string");
            return items_of(values_)[n_used_++];
        }
        if (n_used_++ > 0) return bad_input("not enough arguments for format string");
        return values_;
    }

    char take() {
        if (rest_.empty()) return 0;
        const char c = rest_[0];
        rest_.remove_prefix(1);
        return c;
    }

    // A number, or * for the next argument.
    Result<std::int64_t> count() {
        if (!rest_.empty() && rest_[0] == '*') {
            take();
            RAFTER_TRY(const Value value, next_value());
            if (!value.is_integral()) return bad_input("* wants int");
            if (value.as_int() > kMaxWidth || value.as_int() < -kMaxWidth) return bad_input("width or precision is too large");
            return static_cast<std::int64_t>(value.as_int());
        }
        std::int64_t value = 0;
        while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
            value = value * 10 + (take() - '0');
            if (value > kMaxWidth) return bad_input("width or precision is too large");
        }
        return value;
    }

    Result<std::string> conversion() {
        std::optional<Value> named;
        if (!rest_.empty() && rest_[0] == '(') {
            RAFTER_TRY(named, named_value());
        }
        FormatSpec spec;
        bool zero = false;
        while (!rest_.empty() && std::string_view("#0- +").find(rest_[0]) != std::string_view::npos) {
            const char flag = take();
            if (flag == '#') spec.alternate = true;
            if (flag == '0') zero = true;
            if (flag == '-') spec.align = '<';
            if (flag == '+') spec.sign = '+';
            if (flag == ' ' && spec.sign != '+') spec.sign = ' ';
        }
        RAFTER_TRY(spec.width, count());
        if (spec.width < 0) {
            spec.align = '<';
            spec.width = -spec.width;
        }
        if (!rest_.empty() && rest_[0] == '.') {
            take();
            RAFTER_TRY(const std::int64_t precision, count());
            spec.precision = std::max<std::int64_t>(precision, 0);
        }
        if (!rest_.empty() && (rest_[0] == 'l' || rest_[0] == 'h' || rest_[0] == 'L')) take();
        if (rest_.empty()) return bad_input("incomplete format");
        const CodePoint letter = code_point_at(rest_, 0);
        rest_.remove_prefix(letter.size_bytes);
        if (letter.value == '%') return std::string("%");
        Value value;
        if (named) {
            value = *named;
        } else {
            RAFTER_TRY(value, next_value());
        }
        if (letter.value >= 0x80) return bad_input("unsupported format character");
        return converted(value, static_cast<char>(letter.value), zero, spec);
    }

    Result<Value> named_value() {
        if (!is_mapping_) return bad_input("format requires a mapping");
        take();
        std::size_t end = 0;
        for (int open = 1; open > 0; ++end) {
            if (end >= rest_.size()) return bad_input("incomplete format key");
            if (rest_[end] == '(') ++open;
            if (rest_[end] == ')') --open;
        }
        const std::string_view key = rest_.substr(0, end - 1);
        rest_.remove_prefix(end);
        n_used_ = 1;
        if (!values_.is(Type::kDict)) return wrong_type("a dict", values_);
        const Value* found = values_.as<DictObject>().find(key);
        if (found == nullptr) return bad_input("no value for '%({})'", key);
        return *found;
    }

    Result<std::string> converted(const Value& value, char letter, bool zero, FormatSpec spec) {
        switch (letter) {
            case 's':
            case 'r':
            case 'a': {
                RAFTER_TRY(std::string text, letter == 's' ? to_text(runtime_, value) : to_repr(runtime_, value));
                if (letter == 'a') text = ascii_only(text);
                if (escape_ && !(letter == 's' && is_markup(value))) text = escape_html(text);
                if (spec.align == 0) spec.align = '>';
                return format_text(runtime_, text, spec);
            }
            case 'c': {
                if (spec.align == 0) spec.align = '>';
                spec.precision.reset();
                if (value.is(Type::kString)) {
                    if (n_code_points(value) != 1) return bad_input("%c requires int or char");
                    return format_text(runtime_, text_of(value), spec);
                }
                if (!value.is_integral()) return bad_input("%c requires int or char");
                spec.type = 'c';
                return format_integer(runtime_, value.as_int(), spec);
            }
            case 'd':
            case 'i':
            case 'u':
            case 'x':
            case 'X':
            case 'o':
                return integer(value, letter, zero, spec);
            case 'e':
            case 'E':
            case 'f':
            case 'F':
            case 'g':
            case 'G': {
                if (!value.is_number()) return wrong_type("a real number", value);
                if (zero && spec.align == 0) {
                    spec.fill = "0";
                    spec.align = '=';
                }
                spec.type = letter;
                return format_real(runtime_, value.as_real(), spec);
            }
            default:
                return bad_input("unsupported format character '{}'", letter);
        }
    }

    // Here a precision asks for at least so many digits.
    Result<std::string> integer(const Value& value, char letter, bool zero, FormatSpec spec) {
        const char type = letter == 'i' || letter == 'u' ? 'd' : letter;
        RAFTER_TRY(const Int number, integer_argument(value, type));
        const std::int64_t n_digits = std::exchange(spec.precision, std::nullopt).value_or(0);
        spec.type = type;
        FormatSpec bare;
        bare.type = type;
        RAFTER_TRY(std::string digits, format_integer(runtime_, number < 0 ? -number : number, bare));
        if (static_cast<std::int64_t>(digits.size()) < n_digits) {
            RAFTER_TRY_VOID(runtime_.reserve(static_cast<std::size_t>(n_digits)));
            digits.insert(0, static_cast<std::size_t>(n_digits) - digits.size(), '0');
        }
        std::string prefix = number < 0 ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
        if (spec.alternate && type != 'd') prefix += fmt::format("0{}", type);
        if (zero && spec.align == 0) {
            const auto n_used = static_cast<std::int64_t>(prefix.size() + digits.size());
            if (n_used < spec.width) {
                RAFTER_TRY_VOID(runtime_.reserve(static_cast<std::size_t>(spec.width)));
                digits.insert(0, static_cast<std::size_t>(spec.width - n_used), '0');
            }
        }
        if (spec.align == 0) spec.align = '>';
        return format_text(runtime_, prefix + digits, spec);
    }

    Runtime& runtime_;
    std::string_view rest_;
    const Value& values_;
    bool escape_;
    bool is_mapping_ = false;
    std::size_t n_used_ = 0;
};

Result<FormatSpec> parse_spec(std::string_view text) {
    FormatSpec spec;
    const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
    if (!text.empty()) {
        const std::size_t first = code_point_at(text, 0).size_bytes;
        if (text.size() > first && is_align(text[first])) {
            spec.fill = std::string(text.substr(0, first));
            spec.align = text[first];
            text.remove_prefix(first + 1);
        } else if (is_align(text[0])) {
            spec.align = text[0];
            text.remove_prefix(1);
        }
    }
    const auto skip = [&](char c) {
        if (text.empty() || text[0] != c) return false;
        text.remove_prefix(1);
        return true;
    };
    const auto number = [&]() -> Result<std::int64_t> {
        std::int64_t value = 0;
        while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
            value = value * 10 + (text[0] - '0');
            if (value > kMaxWidth) return bad_input("Too many decimal digits in format string");
            text.remove_prefix(1);
        }
        return value;
    };
    if (skip('+'))
        spec.sign = '+';
    else if (skip(' '))
        spec.sign = ' ';
    else
        skip('-');
    spec.alternate = skip('#');
    if (skip('0') && spec.align == 0) {
        spec.fill = "0";
        spec.align = '=';
    }
    RAFTER_TRY(spec.width, number());
    if (skip(','))
        spec.grouping = ',';
    else if (skip('_'))
        spec.grouping = '_';
    if (skip('.')) {
        if (text.empty() || text[0] < '0' || text[0] > '9') return bad_input("Format specifier missing precision");
        RAFTER_TRY(spec.precision, number());
    }
    if (text.size() > 1) return bad_input("Invalid format specifier");
    if (!text.empty()) spec.type = text[0];
    return spec;
}

class BraceFormatter {
  public:
    BraceFormatter(Runtime& runtime, const Arguments& arguments, bool escape) : runtime_(runtime), arguments_(arguments), escape_(escape) {}

    Result<std::string> run(std::string_view format, int depth) {
        if (depth > 2) return bad_input("Max string recursion exceeded");
        std::string out;
        while (!format.empty()) {
            const std::size_t brace = format.find_first_of("{}");
            out += format.substr(0, brace);
            if (brace == std::string_view::npos) break;
            const char c = format[brace];
            format.remove_prefix(brace + 1);
            if (!format.empty() && format[0] == c) {
                format.remove_prefix(1);
                out += c;
                continue;
            }
            if (c == '}') return bad_input("Single '}}' encountered in format string");
            std::size_t end = 0;
            for (int open = 1; open > 0; ++end) {
                if (end >= format.size())
                    return bad_input("{}",
                                     format.empty() ? "Single '{' encountered in format string" : "expected '}' before end of string");
                if (format[end] == '{') ++open;
                if (format[end] == '}') --open;
            }
            RAFTER_TRY(const std::string text, field(format.substr(0, end - 1), depth));
            RAFTER_TRY_VOID(runtime_.grow(out, text.size()));
            out += text;
            format.remove_prefix(end);
        }
        return out;
    }

  private:
    Result<std::string> field(std::string_view text, int depth) {
        // A conversion or specification begins at the first ! or : outside of [brackets].
        std::size_t end = 0;
        for (bool bracket = false; end < text.size() && (bracket || (text[end] != '!' && text[end] != ':')); ++end) {
            if (text[end] == '[') bracket = true;
            if (text[end] == ']') bracket = false;
        }
        const std::string_view name = text.substr(0, end);
        text.remove_prefix(end);
        char conversion = 0;
        if (!text.empty() && text[0] == '!') {
            if (text.size() < 2 || (text.size() > 2 && text[2] != ':')) return bad_input("expected ':' after conversion specifier");
            conversion = text[1];
            text.remove_prefix(2);
        }
        if (!text.empty()) text.remove_prefix(1);
        RAFTER_TRY(Value value, lookup(name));
        if (conversion != 0) {
            if (conversion != 's' && conversion != 'r' && conversion != 'a')
                return bad_input("Unknown conversion specifier '{}'", conversion);
            RAFTER_TRY(std::string converted, conversion == 's' ? to_text(runtime_, value) : to_repr(runtime_, value));
            value = runtime_.string(conversion == 'a' ? ascii_only(converted) : std::move(converted));
        }
        RAFTER_TRY(const std::string spec, run(text, depth + 1));
        RAFTER_TRY(std::string out, format_value(runtime_, value, spec));
        return escape_ && !is_markup(value) ? escape_html(out) : std::move(out);
    }

    Result<Value> lookup(std::string_view name) {
        const std::size_t end = std::min(name.find_first_of(".["), name.size());
        RAFTER_TRY(Value value, argument(name.substr(0, end)));
        name.remove_prefix(end);
        while (!name.empty()) {
            const char open = name[0];
            name.remove_prefix(1);
            if (open == '.') {
                const std::size_t n = std::min(name.find_first_of(".["), name.size());
                if (n == 0) return bad_input("Empty attribute in format string");
                RAFTER_TRY(value, get_attribute(runtime_, value, name.substr(0, n)));
                name.remove_prefix(n);
                continue;
            }
            const std::size_t n = name.find(']');
            if (open != '[' || n == std::string_view::npos || n == 0) return bad_input("Missing ']' in format string");
            const std::string_view key = name.substr(0, n);
            name.remove_prefix(n + 1);
            RAFTER_TRY(value, get_item(runtime_, value, index_or_text(key)));
            if (!name.empty() && name[0] != '.' && name[0] != '[')
                return bad_input("Only '.' or '[' may follow ']' in format field specifier");
        }
        return value;
    }

    Value index_or_text(std::string_view key) {
        if (!key.empty() && key.size() < 18 && key.find_first_not_of("0123456789") == std::string_view::npos) {
            std::int64_t index = 0;
            for (const char c : key) index = index * 10 + (c - '0');
            return Value::integer(index);
        }
        return runtime_.string(std::string(key));
    }

    Result<Value> argument(std::string_view name) {
        const Value key = index_or_text(name);
        if (!name.empty() && !key.is(Type::kInt)) {
            for (const auto& [other, value] : arguments_.keywords) {
                if (other == name) return value;
            }
            return bad_input("no value for '{{{}}}'", name);
        }
        if ((name.empty() && n_automatic_ < 0) || (!name.empty() && n_automatic_ > 0)) {
            return bad_input("cannot switch between automatic field numbering and manual field specification");
        }
        std::size_t index = 0;
        if (name.empty()) {
            index = static_cast<std::size_t>(n_automatic_++);
        } else {
            n_automatic_ = -1;
            index = static_cast<std::size_t>(key.as_int());
        }
        if (index >= arguments_.positional.size()) return bad_input("Replacement index {} out of range for positional args tuple", index);
        return arguments_.positional[index];
    }

    Runtime& runtime_;
    const Arguments& arguments_;
    bool escape_;
    std::int64_t n_automatic_ = 0;  // fields numbered so far; -1 once fields number themselves
};

}  // namespace

Result<Value> format_percent(Runtime& runtime, const Value& format, const Value& values) {
    RAFTER_TRY(std::string text, PercentFormatter(runtime, format, values).run());
    return runtime.string_like(format, std::move(text));
}

Result<Value> format_braces(Runtime& runtime, const Value& format, const Arguments& arguments) {
    RAFTER_TRY(std::string text, BraceFormatter(runtime, arguments, is_markup(format)).run(text_of(format), 0));
    return runtime.string_like(format, std::move(text));
}

Result<std::string> format_value(Runtime& runtime, const Value& value, std::string_view spec_text) {
    if (spec_text.empty()) return to_text(runtime, value);
    RAFTER_TRY(const FormatSpec spec, parse_spec(spec_text));
    if (value.is_integral()) return format_integer(runtime, value.as_int(), spec);
    if (value.is(Type::kFloat)) return format_real(runtime, value.as_real(), spec);
    if (!value.is(Type::kString)) return bad_input("unsupported format string passed to {}.__format__", type_name(value));
    if (spec.type != 0 && spec.type != 's') return bad_input("Unknown format code '{}' for object of type 'str'", spec.type);
    if (spec.sign != '-' || spec.grouping != 0 || spec.alternate)
        return bad_input("Sign, '#', ',' and '_' not allowed in string format specifier");
    if (spec.align == '=' && spec.fill != "0") return bad_input("'=' alignment not allowed in string format specifier");
    FormatSpec text_spec = spec;
    if (text_spec.align == '=') text_spec.align = '<';
    return format_text(runtime, text_of(value), text_spec);
}

}  // namespace rafter::text::jinja
