// Both little languages are read from left to right and end in one specification of how a value is written.
#include "text/jinja/builtins/format.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "text/jinja/run/operators.h"
#include "text/jinja/run/print.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

constexpr std::int64_t kMaxWidth = std::int64_t{1} << 31;
// More digits than that would be a template's bomb; doubles have 1074 at most behind the point.
constexpr std::int64_t kMaxPrecision = 5000;

// What stands between a '%' or ':' and the letter that names the conversion.
struct FormatSpec {
    std::string fill = " ";  // one character
    char align = 0;          // < > ^ or = (between sign and digits); 0: the type's own
    char sign = '-';         // + or ' ' or -
    bool alternate = false;  // 0x before hexadecimal digits, ...
    char grouping = 0;       // , or _
    std::int64_t width = 0;
    std::optional<std::int64_t> precision;
    char type = 0;
};

bool is_one_of(char c, std::string_view characters) { return characters.find(c) != std::string_view::npos; }

// Text that is read from its front.
class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {}
    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    [[nodiscard]] char next() const { return rest_.empty() ? '\0' : rest_[0]; }
    [[nodiscard]] std::string_view rest() const { return rest_; }
    std::string_view take(std::size_t n_bytes) {
        const std::string_view taken = rest_.substr(0, n_bytes);
        rest_.remove_prefix(taken.size());
        return taken;
    }
    bool skip(char c) {
        const bool found = !at_end() && rest_[0] == c;
        if (found) rest_.remove_prefix(1);
        return found;
    }
    // 0 where no digit stands.
    Result<std::int64_t> number() {
        std::int64_t value = 0;
        while (next() >= '0' && next() <= '9') {
            value = value * 10 + (take(1)[0] - '0');
            if (value > kMaxWidth) return bad_input("width or precision is too large");
        }
        return value;
    }
    // What stands before the bracket that closes one that was read.
    Result<std::string_view> until_closed(char open, char close) {
        std::size_t end = 0;
        for (int depth = 1; depth > 0; ++end) {
            if (end >= rest_.size()) return bad_input("expected '{}' before end of string", close);
            depth += rest_[end] == open ? 1 : rest_[end] == close ? -1 : 0;
        }
        const std::string_view inside = take(end - 1);
        take(1);
        return inside;
    }

  private:
    std::string_view rest_;
};

// Thousands (or, in other bases, groups of four) separated.
std::string grouped(std::string_view digits, char separator, std::size_t group) {
    std::string out;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (separator != 0 && i > 0 && (digits.size() - i) % group == 0) out += separator;
        out += digits[i];
    }
    return out;
}

// Pads to the width; `=` puts the fill after the prefix.
Result<std::string> padded(Runtime& runtime, const std::string& prefix, const std::string& body, const FormatSpec& spec,
                           char default_align) {
    const auto n_points = static_cast<std::int64_t>(count_code_points(prefix) + count_code_points(body));
    if (spec.width <= n_points) return prefix + body;
    const auto n_fill = static_cast<std::size_t>(spec.width - n_points);
    RAFTER_TRY_VOID(runtime.reserve(n_fill * spec.fill.size()));
    const auto fill = [&](std::size_t n) {
        std::string out;
        for (std::size_t i = 0; i < n; ++i) out += spec.fill;
        return out;
    };
    switch (spec.align == 0 ? default_align : spec.align) {
        case '<':
            return prefix + body + fill(n_fill);
        case '^':
            return fill(n_fill / 2) + prefix + body + fill(n_fill - n_fill / 2);
        case '=':
            return prefix + fill(n_fill) + body;
        default:
            return fill(n_fill) + prefix + body;
    }
}

std::string sign_text(bool negative, char sign) { return negative ? "-" : sign == '-' ? "" : std::string(1, sign); }

Result<std::string> format_real(Runtime& runtime, double value, const FormatSpec& spec) {
    const double magnitude = std::abs(value);
    if (spec.precision && *spec.precision > kMaxPrecision) return bad_input("precision {} is too large", *spec.precision);
    std::string digits;
    if (spec.type == 0 && !spec.precision) {
        digits = float_repr(magnitude);
    } else if (spec.type == '%') {
        digits = real_digits(magnitude * 100, 'f', spec.precision.value_or(6), spec.alternate) + "%";
    } else if (spec.type == 0 || is_one_of(spec.type, "eEfFgG")) {
        digits = real_digits(magnitude, spec.type == 0 ? 'g' : spec.type, spec.precision.value_or(6), spec.alternate);
    } else {
        return bad_input("Unknown format code '{}' for object of type 'float'", spec.type);
    }
    const std::size_t n_whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
    const std::string prefix = sign_text(std::signbit(value) && !std::isnan(value), spec.sign);
    return padded(runtime, prefix, grouped(digits.substr(0, n_whole), spec.grouping, 3) + digits.substr(n_whole), spec, '>');
}

Result<std::string> format_integer(Runtime& runtime, Int value, const FormatSpec& spec) {
    if (is_one_of(spec.type, "eEfFgG%")) return format_real(runtime, static_cast<double>(value), spec);
    const bool decimal = spec.type == 0 || spec.type == 'd';
    if (!decimal && !is_one_of(spec.type, "xXob")) return bad_input("Unknown format code '{}' for object of type 'int'", spec.type);
    if (spec.precision) return bad_input("precision not allowed in integer format specifier");
    const auto magnitude = static_cast<unsigned __int128>(value < 0 ? -value : value);
    const std::string digits = fmt::format(fmt::runtime(fmt::format("{{:{}}}", decimal ? 'd' : spec.type)), magnitude);
    std::string prefix = sign_text(value < 0, spec.sign);
    if (spec.alternate && !decimal) prefix += fmt::format("0{}", spec.type);
    return padded(runtime, prefix, grouped(digits, spec.grouping, decimal ? 3 : 4), spec, '>');
}

Result<std::string> format_text(Runtime& runtime, std::string_view text, const FormatSpec& spec) {
    if (spec.precision) text = text.substr(0, byte_offset(text, static_cast<std::size_t>(*spec.precision)));
    return padded(runtime, "", std::string(text), spec, '<');
}

class PercentFormatter {
  public:
    PercentFormatter(Runtime& runtime, const Value& format, const Value& values)
        : runtime_(runtime), reader_(text_of(format)), values_(values), escape_(is_markup(format)) {}

    Result<std::string> run() {
        std::string out;
        while (true) {
            out += reader_.take(reader_.rest().find('%'));
            if (!reader_.skip('%')) break;
            if (reader_.skip('%')) {
                out += '%';
                continue;
            }
            RAFTER_TRY(const std::string text, conversion());
            RAFTER_TRY_VOID(runtime_.grow(out, text.size()));
            out += text;
        }
        // What can be subscripted is taken for a mapping, so leftovers in it are no error.
        const bool may_be_mapping = values_.is(Type::kDict) || values_.is(Type::kList) || values_.is(Type::kRange);
        const bool unused = values_.is(Type::kTuple) ? n_used_ < items_of(values_).size() : n_used_ == 0 && !may_be_mapping;
        if (unused && !values_.is(Type::kUndefined)) return bad_input("not all arguments converted during string formatting");
        return out;
    }

  private:
    Result<Value> next_value() {
        const bool is_tuple = values_.is(Type::kTuple);
        if (n_used_ >= (is_tuple ? items_of(values_).size() : 1)) return bad_input("not enough arguments for format string");
        const std::size_t index = n_used_++;
        return is_tuple ? items_of(values_)[index] : values_;
    }

    Result<Value> named_value() {
        if (!values_.is(Type::kDict)) return wrong_type("a dict", values_);
        RAFTER_TRY(const std::string_view key, reader_.until_closed('(', ')'));
        n_used_ = 1;
        const Value* found = values_.as<DictObject>().find(key);
        if (found == nullptr) return bad_input("no value for '%({})'", key);
        return *found;
    }

    // A number, or * for the next argument.
    Result<std::int64_t> count() {
        if (!reader_.skip('*')) return reader_.number();
        RAFTER_TRY(const Value value, next_value());
        if (!value.is_integral()) return bad_input("* wants int");
        if (value.as_int() > kMaxWidth || value.as_int() < -kMaxWidth) return bad_input("width or precision is too large");
        return static_cast<std::int64_t>(value.as_int());
    }

    Result<std::string> conversion() {
        std::optional<Value> named;
        if (reader_.skip('(')) {
            RAFTER_TRY(named, named_value());
        }
        FormatSpec spec;
        bool zero = false;
        while (is_one_of(reader_.next(), "#0- +") && !reader_.at_end()) {
            const char flag = reader_.take(1)[0];
            spec.alternate |= flag == '#';
            zero |= flag == '0';
            if (flag == '-') spec.align = '<';
            if (flag == '+' || (flag == ' ' && spec.sign == '-')) spec.sign = flag;
        }
        RAFTER_TRY(spec.width, count());
        if (spec.width < 0) spec.align = '<';
        spec.width = std::abs(spec.width);
        if (reader_.skip('.')) {
            RAFTER_TRY(const std::int64_t precision, count());
            spec.precision = std::max<std::int64_t>(precision, 0);
        }
        if (reader_.at_end()) return bad_input("incomplete format");
        const char letter = reader_.take(1)[0];
        spec.type = letter == 'i' || letter == 'u' ? 'd' : letter;
        if (!is_one_of(spec.type, "srdxXoeEfFgG")) return bad_input("unsupported format character");
        Value value;
        if (named) {
            value = *std::move(named);
        } else {
            RAFTER_TRY(value, next_value());
        }
        return converted(value, zero, std::move(spec));
    }

    Result<std::string> converted(const Value& value, bool zero, FormatSpec spec) {
        if (spec.align == 0) spec.align = '>';
        if (spec.type == 's' || spec.type == 'r') {
            RAFTER_TRY(std::string text, spec.type == 's' ? to_text(runtime_, value) : to_repr(runtime_, value));
            if (escape_ && !(spec.type == 's' && is_markup(value))) text = escape_html(text);
            return format_text(runtime_, text, spec);
        }
        if (!value.is_number()) return wrong_type("a number", value);
        if (zero && spec.align == '>') {
            spec.fill = "0";
            spec.align = '=';
        }
        if (is_one_of(spec.type, "eEfFgG")) return format_real(runtime_, value.as_real(), spec);
        if (value.is_integral()) return format_integer(runtime_, value.as_int(), spec);
        // A float loses its fraction for %d only.
        const double whole = std::trunc(value.as_real());
        if (spec.type != 'd' || !std::isfinite(whole) || std::abs(whole) >= 0x1p126) return wrong_type("an integer", value);
        return format_integer(runtime_, static_cast<Int>(whole), spec);
    }

    Runtime& runtime_;
    Reader reader_;
    const Value& values_;
    bool escape_;
    std::size_t n_used_ = 0;
};

Result<FormatSpec> parse_spec(std::string_view text) {
    FormatSpec spec;
    const auto is_align = [](char c) { return is_one_of(c, "<>^="); };
    const std::size_t first = text.empty() ? 0 : code_point_at(text, 0).size_bytes;
    Reader reader(text);
    if (text.size() > first && is_align(text[first])) spec.fill = std::string(reader.take(first));
    if (!reader.at_end() && is_align(reader.next())) spec.align = reader.take(1)[0];
    if (reader.next() == '+' || reader.next() == ' ' || reader.next() == '-') spec.sign = reader.take(1)[0];
    spec.alternate = reader.skip('#');
    if (reader.skip('0') && spec.align == 0) {
        spec.fill = "0";
        spec.align = '=';
    }
    RAFTER_TRY(spec.width, reader.number());
    if (reader.next() == ',' || reader.next() == '_') spec.grouping = reader.take(1)[0];
    if (reader.skip('.')) {
        if (reader.next() < '0' || reader.next() > '9') return bad_input("Format specifier missing precision");
        RAFTER_TRY(spec.precision, reader.number());
    }
    if (reader.rest().size() > 1) return bad_input("Invalid format specifier");
    if (!reader.at_end()) spec.type = reader.next();
    return spec;
}

// format(value, spec)
Result<std::string> format_value(Runtime& runtime, const Value& value, std::string_view spec_text) {
    if (spec_text.empty()) return to_text(runtime, value);
    RAFTER_TRY(FormatSpec spec, parse_spec(spec_text));
    if (value.is_integral()) return format_integer(runtime, value.as_int(), spec);
    if (value.is(Type::kFloat)) return format_real(runtime, value.as_real(), spec);
    if (!value.is(Type::kString)) return bad_input("unsupported format string passed to {}.__format__", type_name(value));
    if (spec.type != 0 && spec.type != 's') return bad_input("Unknown format code '{}' for object of type 'str'", spec.type);
    if (spec.align == '=') {
        if (spec.fill != "0") return bad_input("'=' alignment not allowed in string format specifier");
        spec.align = '<';
    }
    return format_text(runtime, text_of(value), spec);
}

class BraceFormatter {
  public:
    BraceFormatter(Runtime& runtime, const Bound& arguments, bool escape) : runtime_(runtime), arguments_(arguments), escape_(escape) {}

    Result<std::string> run(std::string_view format, int depth) {
        if (depth > 2) return bad_input("Max string recursion exceeded");
        std::string out;
        Reader reader(format);
        while (true) {
            out += reader.take(reader.rest().find_first_of("{}"));
            if (reader.at_end()) return out;
            const char brace = reader.take(1)[0];
            if (reader.skip(brace)) {
                out += brace;
                continue;
            }
            if (brace == '}') return bad_input("Single '}}' encountered in format string");
            RAFTER_TRY(const std::string_view inside, reader.until_closed('{', '}'));
            RAFTER_TRY(const std::string text, field(inside, depth));
            RAFTER_TRY_VOID(runtime_.grow(out, text.size()));
            out += text;
        }
    }

  private:
    // NAME!CONVERSION:SPECIFICATION
    Result<std::string> field(std::string_view text, int depth) {
        Reader reader(text);
        RAFTER_TRY(Value value, lookup(reader.take(text.find_first_of("!:"))));
        if (reader.skip('!')) {
            const char conversion = reader.at_end() ? '\0' : reader.take(1)[0];
            if (conversion != 's' && conversion != 'r') return bad_input("Unknown conversion specifier '{}'", conversion);
            RAFTER_TRY(std::string converted, conversion == 's' ? to_text(runtime_, value) : to_repr(runtime_, value));
            value = runtime_.string(std::move(converted));
        }
        if (!reader.at_end() && !reader.skip(':')) return bad_input("expected ':' after conversion specifier");
        RAFTER_TRY(const std::string spec, run(reader.rest(), depth + 1));
        RAFTER_TRY(std::string out, format_value(runtime_, value, spec));
        return escape_ && !is_markup(value) ? escape_html(out) : std::move(out);
    }

    // first[key].attribute
    Result<Value> lookup(std::string_view name) {
        Reader reader(name);
        RAFTER_TRY(Value value, argument(reader.take(name.find_first_of(".["))));
        while (!reader.at_end()) {
            if (reader.skip('.')) {
                RAFTER_TRY(value, get_attribute(runtime_, value, reader.take(reader.rest().find_first_of(".["))));
                continue;
            }
            if (!reader.skip('[')) return bad_input("Only '.' or '[' may follow ']' in format field specifier");
            RAFTER_TRY(const std::string_view key, reader.until_closed('[', ']'));
            RAFTER_TRY(value, get_item(runtime_, value, index_or_text(key)));
        }
        return value;
    }

    Value index_or_text(std::string_view key) {
        const bool is_index = !key.empty() && key.size() < 18 && key.find_first_not_of("0123456789") == std::string_view::npos;
        return is_index ? Value::integer(std::strtoll(std::string(key).c_str(), nullptr, 10)) : runtime_.string(std::string(key));
    }

    Result<Value> argument(std::string_view name) {
        const Value key = name.empty() ? Value::integer(n_automatic_) : index_or_text(name);
        if (!key.is(Type::kInt)) {
            for (const auto& [other, value] : arguments_.keywords()) {
                if (other == name) return value;
            }
            return bad_input("no value for '{{{}}}'", name);
        }
        if (name.empty() ? is_manual_ : n_automatic_ > 0) {
            return bad_input("cannot switch between automatic field numbering and manual field specification");
        }
        is_manual_ = !name.empty();
        if (name.empty()) ++n_automatic_;
        const auto index = static_cast<std::size_t>(key.as_int());
        if (index >= arguments_.positional().size()) return bad_input("Replacement index {} out of range for positional args tuple", index);
        return arguments_.positional()[index];
    }

    Runtime& runtime_;
    const Bound& arguments_;
    bool escape_;
    std::int64_t n_automatic_ = 0;  // fields without a name so far
    bool is_manual_ = false;        // there was one with a number
};

// A number's text with the digits of any script in ASCII and without the single underscores between them; none where it cannot be a number.
std::optional<std::string> plain_number(std::string_view text) {
    std::string plain;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        at += c.size_bytes;
        const int digit = decimal_value(c.value);
        if (c.value == '_') {
            const bool separates =
                !plain.empty() && is_word(static_cast<char32_t>(plain.back())) && text[at - 2] != '_' && at < text.size();
            if (!separates) return std::nullopt;
        } else if (c.value >= 0x80 && digit < 0) {
            return std::nullopt;
        } else {
            plain += digit >= 0 ? static_cast<char>('0' + digit) : static_cast<char>(c.value);
        }
    }
    return plain;
}

}  // namespace

std::string real_digits(double value, char type, std::int64_t precision, bool alternate) {
    const std::string format = fmt::format("%{}.*{}", alternate ? "#" : "", type);
    const int digits = static_cast<int>(std::min(precision, kMaxPrecision));
    const int size = std::max(std::snprintf(nullptr, 0, format.c_str(), digits, value), 0);
    std::string out(static_cast<std::size_t>(size) + 1, '\0');
    std::snprintf(out.data(), out.size(), format.c_str(), digits, value);
    out.pop_back();
    return out;
}

Result<Value> format_percent(Runtime& runtime, const Value& format, const Value& values) {
    RAFTER_TRY(std::string text, PercentFormatter(runtime, format, values).run());
    return runtime.string_like(format, std::move(text));
}

Result<Value> format_braces(Runtime& runtime, const Value& format, const Bound& arguments) {
    RAFTER_TRY(std::string text, BraceFormatter(runtime, arguments, is_markup(format)).run(text_of(format), 0));
    return runtime.string_like(format, std::move(text));
}

std::optional<double> parse_float(std::string_view text) {
    const std::optional<std::string> plain = plain_number(strip(text));
    if (!plain || plain->empty()) return std::nullopt;
    // strtod also takes hexadecimal numbers, blanks before one and "nan(...)".
    const std::string name = to_lower(std::string_view(*plain).substr(is_one_of((*plain)[0], "+-") ? 1 : 0));
    const bool is_word = name == "inf" || name == "infinity" || name == "nan";
    if (!is_word && plain->find_first_not_of("0123456789.eE+-") != std::string::npos) return std::nullopt;
    char* end = nullptr;
    const double value = std::strtod(plain->c_str(), &end);
    return end == plain->c_str() + plain->size() ? std::optional(value) : std::nullopt;
}

Result<std::optional<Int>> parse_integer(std::string_view text, int base) {
    using Found = std::optional<Int>;
    const std::optional<std::string> plain = plain_number(strip(text));
    if (!plain) return Found();
    Reader reader(*plain);
    const bool negative = reader.skip('-');
    if (!negative) reader.skip('+');
    if (reader.next() == '0' && reader.rest().size() > 1) {
        const char letter = static_cast<char>(reader.rest()[1] | 0x20);
        const int prefix_base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
        if (prefix_base != 0 && (base == 0 || base == prefix_base)) {
            base = prefix_base;
            reader.take(2);
        }
    }
    if (base == 0) base = 10;
    if (reader.at_end()) return Found();
    Int value = 0;
    for (const char c : reader.rest()) {
        const char letter = static_cast<char>(c | 0x20);
        const int digit = c >= '0' && c <= '9' ? c - '0' : letter >= 'a' && letter <= 'z' ? letter - 'a' + 10 : base;
        if (digit >= base) return Found();
        if (__builtin_mul_overflow(value, Int{base}, &value) || __builtin_add_overflow(value, Int{digit}, &value)) {
            return bad_input("int(): the number is beyond an integer of 128 bits");
        }
    }
    return Found(negative ? -value : value);
}

}  // namespace rafter::text::jinja
