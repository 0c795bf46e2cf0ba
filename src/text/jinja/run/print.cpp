// str() and repr(): the printer walks a value once, appending to one text and asking the budget as it grows.
#include "text/jinja/run/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/builtins/arguments.h"
#include "text/jinja/run/loop.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

constexpr std::size_t kShortReprBytes = 60;

class Printer {
  public:
    explicit Printer(Runtime* runtime) : runtime_(runtime) {}

    Result<void> repr(const Value& value) {
        // A namespace can hold itself, and only a namespace can: the depth of other values is bounded.
        if (++depth_ > kMaxDepth) return bad_input("printing a value that is nested more than {} deep", kMaxDepth);
        RAFTER_TRY_VOID(repr_of_type(value));
        --depth_;
        if (out_.size() < checked_bytes_) return {};
        if (runtime_ == nullptr) return bad_input("long enough");
        checked_bytes_ = out_.size() * 2 + 4096;
        return runtime_->reserve(checked_bytes_);
    }

    std::string take() { return std::move(out_); }
    [[nodiscard]] const std::string& text() const { return out_; }

  private:
    static constexpr int kMaxDepth = 450;

    Result<void> repr_of_type(const Value& value) {
        switch (value.type()) {
            case Type::kMissing:
            case Type::kUndefined:
                out_ += "Undefined";
                return {};
            case Type::kNone:
                out_ += "None";
                return {};
            case Type::kBool:
                out_ += value.as_bool() ? "True" : "False";
                return {};
            case Type::kInt:
                out_ += integer_text(value.as_int());
                return {};
            case Type::kFloat:
                out_ += float_repr(value.as_real());
                return {};
            case Type::kString:
                string(value);
                return {};
            case Type::kList:
                return sequence("[", value, "]");
            case Type::kTuple:
                return sequence("(", value, items_of(value).size() == 1 ? ",)" : ")");
            case Type::kDict:
                return dict(value.as<DictObject>());
            case Type::kDictView:
                return view(value);
            case Type::kNamespace:
                return name_space(value.as<NamespaceObject>());
            case Type::kRange: {
                const auto& range = value.as<RangeObject>();
                out_ += fmt::format("range({}, {}", range.start, range.stop);
                out_ += range.step == 1 ? ")" : fmt::format(", {})", range.step);
                return {};
            }
            case Type::kLoop: {
                auto& loop = value.as<LoopObject>();
                RAFTER_TRY(const std::int64_t length, loop.length(*runtime_));
                out_ += fmt::format("<LoopContext {}/{}>", loop.index0 + 1, length);
                return {};
            }
            case Type::kMacro:
                out_ += fmt::format("<Macro {}>", macro_name(value.as<MacroObject>()));
                return {};
            case Type::kFunction:
                out_ += fmt::format("<function {}>", value.as<MethodObject>().row->name);
                return {};
            case Type::kMethod: {
                const auto& method = value.as<MethodObject>();
                out_ += fmt::format("<built-in method {} of {} object>", method.row->name, type_name(method.self));
                return {};
            }
            default:
                out_ += fmt::format("<{} object>", type_name(value));
                return {};
        }
    }

    void string(const Value& value) {
        std::string_view text = text_of(value);
        if (runtime_ == nullptr) text = text.substr(0, byte_offset(text, kShortReprBytes));
        out_ += is_markup(value) ? fmt::format("Markup({})", string_repr(text)) : string_repr(text);
    }

    static std::string macro_name(const MacroObject& macro) {
        const std::string_view name = name_of_macro(macro);
        return name.empty() ? "anonymous" : string_repr(name);
    }

    Result<void> joined(std::string_view open, const std::vector<Value>& items, std::string_view close) {
        out_ += open;
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (i > 0) out_ += ", ";
            RAFTER_TRY_VOID(repr(items[i]));
        }
        out_ += close;
        return {};
    }

    Result<void> sequence(std::string_view open, const Value& value, std::string_view close) {
        return joined(open, items_of(value), close);
    }

    Result<void> dict(const DictObject& value) {
        out_ += '{';
        for (std::size_t i = 0; i < value.entries.size(); ++i) {
            if (i > 0) out_ += ", ";
            RAFTER_TRY_VOID(repr(value.entries[i].first));
            out_ += ": ";
            RAFTER_TRY_VOID(repr(value.entries[i].second));
        }
        out_ += '}';
        return {};
    }

    Result<void> view(const Value& value) {
        const auto& entries = value.as<DictViewObject>().dict.as<DictObject>().entries;
        const auto part = value.as<DictViewObject>().part;
        out_ += type_name(value);
        out_ += "([";
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const auto& [key, item] = entries[i];
            if (i > 0) out_ += ", ";
            if (part == DictViewObject::Part::kItems) {
                RAFTER_TRY_VOID(joined("(", {key, item}, ")"));
            } else {
                RAFTER_TRY_VOID(repr(part == DictViewObject::Part::kKeys ? key : item));
            }
        }
        out_ += "])";
        return {};
    }

    Result<void> name_space(const NamespaceObject& value) {
        out_ += "<Namespace {";
        for (std::size_t i = 0; i < value.attributes.size(); ++i) {
            if (i > 0) out_ += ", ";
            out_ += string_repr(value.attributes[i].first);
            out_ += ": ";
            // A copy: printing a loop may run the template, which may set attributes.
            const Value attribute = value.attributes[i].second;
            RAFTER_TRY_VOID(repr(attribute));
        }
        out_ += "}>";
        return {};
    }

    Runtime* runtime_;  // null: for a message, cut when long
    std::string out_;
    std::size_t checked_bytes_ = kShortReprBytes;
    int depth_ = 0;
};

}  // namespace

Result<std::string> to_text(Runtime& runtime, const Value& value) {
    if (value.is(Type::kString)) return std::string(text_of(value));
    if (value.is(Type::kUndefined)) return std::string();
    return to_repr(runtime, value);
}

Result<std::string> to_repr(Runtime& runtime, const Value& value) {
    Printer printer(&runtime);
    RAFTER_TRY_VOID(printer.repr(value));
    return printer.take();
}

std::string short_repr(const Value& value) {
    if (value.is(Type::kLoop)) return "loop";
    Printer printer(nullptr);
    if (printer.repr(value) && printer.text().size() <= kShortReprBytes) return printer.take();
    const std::string_view text = printer.text();
    // Cut between characters.
    std::size_t end = std::min(kShortReprBytes, text.size());
    while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return fmt::format("{}...", text.substr(0, end));
}

std::string integer_text(Int value) { return fmt::format("{}", value); }

std::string float_repr(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    // The shortest digits that read back as the same number, as d.ddde±xx.
    std::array<char, 40> buffer{};
    const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::abs(value), std::chars_format::scientific);
    const std::string_view scientific(buffer.data(), static_cast<std::size_t>(written.ptr - buffer.data()));
    const std::size_t e = scientific.find('e');
    std::string digits(scientific.substr(0, e));
    if (digits.size() > 1) digits.erase(1, 1);
    const std::string_view exponent_text = scientific.substr(e + 1);
    int exponent = 0;
    std::from_chars(exponent_text.data() + (exponent_text[0] == '+' ? 1 : 0), exponent_text.data() + exponent_text.size(), exponent);

    std::string out = std::signbit(value) ? "-" : "";
    const int n_digits = static_cast<int>(digits.size());
    if (exponent < -4 || exponent >= 16) {
        out += digits[0];
        if (n_digits > 1) out += "." + digits.substr(1);
        return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
    }
    if (exponent < 0) return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
    const auto point = static_cast<std::size_t>(exponent + 1);
    if (n_digits <= exponent + 1) return out + digits + std::string(point - digits.size(), '0') + ".0";
    return out + digits.substr(0, point) + "." + digits.substr(point);
}

std::string string_repr(std::string_view text) {
    const bool double_quoted = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
    const char quote = double_quoted ? '"' : '\'';
    std::string out(1, quote);
    const auto is_plain = [quote](char c) { return c >= 0x20 && c < 0x7F && c != '\\' && c != quote; };
    for (std::size_t at = 0; at < text.size();) {
        const auto* const plain_end = std::find_if_not(text.begin() + at, text.end(), is_plain);
        out.append(text.begin() + at, plain_end);
        at = static_cast<std::size_t>(plain_end - text.begin());
        if (at == text.size()) break;
        const CodePoint c = code_point_at(text, at);
        if (c.value == '\\' || c.value == static_cast<char32_t>(quote)) {
            out += '\\';
            out += static_cast<char>(c.value);
        } else if (c.value == '\n') {
            out += "\\n";
        } else if (c.value == '\r') {
            out += "\\r";
        } else if (c.value == '\t') {
            out += "\\t";
        } else if (is_printable(c.value)) {
            out += text.substr(at, c.size_bytes);
        } else if (c.value < 0x100) {
            out += fmt::format("\\x{:02x}", static_cast<std::uint32_t>(c.value));
        } else if (c.value < 0x10000) {
            out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c.value));
        } else {
            out += fmt::format("\\U{:08x}", static_cast<std::uint32_t>(c.value));
        }
        at += c.size_bytes;
    }
    out += quote;
    return out;
}

std::string escape_html(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '\'':
                out += "&#39;";
                break;
            case '"':
                out += "&#34;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

}  // namespace rafter::text::jinja
