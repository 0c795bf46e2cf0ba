// str(), repr() and json.dumps(): the printer walks a value once, appending to one text and asking the budget as it grows.
#include "text/jinja/run/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

#include "text/jinja/builtins/arguments.h"
#include "text/jinja/run/loop.h"
#include "text/jinja/run/operators.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

constexpr std::size_t kShortReprBytes = 60;

// An escape of a character by its number: \x41, \u0041 or \U00000041.
std::string numbered_escape(char32_t c) {
    const auto code = static_cast<std::uint32_t>(c);
    return code < 0x100 ? fmt::format("\\x{:02x}", code) : code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
}

// A string between quotes. `escape` gives what stands for a character that is not plain ASCII.
template <typename Escape>
std::string quoted(std::string_view text, char quote, const Escape& escape) {
    std::string out(1, quote);
    const auto is_plain = [quote](char c) { return c >= 0x20 && c < 0x7F && c != '\\' && c != quote; };
    for (std::size_t at = 0; at < text.size();) {
        const auto* const plain_end = std::find_if_not(text.begin() + at, text.end(), is_plain);
        out.append(text.begin() + at, plain_end);
        at = static_cast<std::size_t>(plain_end - text.begin());
        if (at == text.size()) break;
        const CodePoint c = code_point_at(text, at);
        out += escape(c.value, text.substr(at, c.size_bytes));
        at += c.size_bytes;
    }
    out += quote;
    return out;
}

// Backslash and the letter for what both ways of writing escape so; empty for other characters.
std::string_view common_escape(char32_t c) { return c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : ""; }

std::string json_string(std::string_view text, bool ensure_ascii) {
    return quoted(text, '"', [&](char32_t c, std::string_view bytes) -> std::string {
        if (const std::string_view escape = common_escape(c); !escape.empty()) return std::string(escape);
        if (c == '"' || c == '\f' || c == '\b') return c == '"' ? "\\\"" : c == '\f' ? "\\f" : "\\b";
        if (c >= 0x20 && (c < 0x7F || !ensure_ascii)) return std::string(bytes);
        if (c < 0x10000) return fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
        const auto rest = static_cast<std::uint32_t>(c) - 0x10000;
        return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
    });
}

// repr() and json.dumps(): lists and dicts look alike in both, but for white space.
class Printer {
  public:
    // runtime: null for a message, cut when long. json: null for repr().
    Printer(Runtime* runtime, const JsonOptions* json) : runtime_(runtime), json_(json) {}

    Result<void> write(const Value& value) {
        // A namespace can hold itself, and only a namespace can: the depth of other values is bounded.
        if (++depth_ > kMaxDepth) return bad_input("printing a value that is nested more than {} deep", kMaxDepth);
        RAFTER_TRY_VOID(json_ == nullptr ? write_repr(value) : write_json(value));
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

    Result<void> append(std::string_view text) {
        out_ += text;
        return {};
    }

    Result<void> write_json(const Value& value) {
        switch (value.type()) {
            case Type::kNone:
            case Type::kBool:
            case Type::kInt:
            case Type::kFloat:
            case Type::kString:
                return append(value.is(Type::kString) ? json_string(text_of(value), json_->ensure_ascii) : json_scalar(value));
            case Type::kList:
            case Type::kTuple:
                return list("[", items_of(value), "]");
            case Type::kDict:
                return dict(value.as<DictObject>().entries);
            default:
                return bad_input("Object of type {} is not JSON serializable", type_name(value));
        }
    }

    static std::string json_scalar(const Value& value) {
        if (value.is(Type::kNone)) return "null";
        if (value.is(Type::kBool)) return value.as_bool() ? "true" : "false";
        if (value.is(Type::kInt)) return integer_text(value.as_int());
        const double real = value.as_real();
        return std::isnan(real) ? "NaN" : std::isinf(real) ? (real > 0 ? "Infinity" : "-Infinity") : float_repr(real);
    }

    Result<void> write_repr(const Value& value) {
        switch (value.type()) {
            case Type::kMissing:
            case Type::kUndefined:
                return append("Undefined");
            case Type::kNone:
                return append("None");
            case Type::kBool:
                return append(value.as_bool() ? "True" : "False");
            case Type::kInt:
                return append(integer_text(value.as_int()));
            case Type::kFloat:
                return append(float_repr(value.as_real()));
            case Type::kString: {
                std::string_view text = text_of(value);
                if (runtime_ == nullptr) text = text.substr(0, byte_offset(text, kShortReprBytes));
                return append(is_markup(value) ? fmt::format("Markup({})", string_repr(text)) : string_repr(text));
            }
            case Type::kList:
                return list("[", items_of(value), "]");
            case Type::kTuple:
                return list("(", items_of(value), items_of(value).size() == 1 ? ",)" : ")");
            case Type::kDict:
                return dict(value.as<DictObject>().entries);
            case Type::kDictView:
                return view(value);
            case Type::kNamespace: {
                if (runtime_ == nullptr) return append("<Namespace>");
                // A copy: printing a loop may run the template, which may set attributes.
                std::vector<std::pair<Value, Value>> attributes;
                for (const auto& [name, attribute] : value.as<NamespaceObject>().attributes) {
                    attributes.emplace_back(runtime_->string(name), attribute);
                }
                out_ += "<Namespace ";
                RAFTER_TRY_VOID(dict(attributes));
                return append(">");
            }
            case Type::kRange: {
                const auto& range = value.as<RangeObject>();
                const std::string step = range.step == 1 ? "" : fmt::format(", {}", range.step);
                return append(fmt::format("range({}, {}{})", range.start, range.stop, step));
            }
            case Type::kLoop: {
                auto& loop = value.as<LoopObject>();
                RAFTER_TRY(const std::int64_t length, loop.length(*runtime_));
                return append(fmt::format("<LoopContext {}/{}>", loop.index0 + 1, length));
            }
            case Type::kMacro: {
                const std::string_view name = name_of_macro(value.as<MacroObject>());
                return append(fmt::format("<Macro {}>", name.empty() ? "anonymous" : string_repr(name)));
            }
            case Type::kFunction:
                return append(fmt::format("<function {}>", value.as<MethodObject>().row->name));
            case Type::kMethod: {
                const auto& method = value.as<MethodObject>();
                return append(fmt::format("<built-in method {} of {} object>", method.row->name, type_name(method.self)));
            }
            default:
                return append(fmt::format("<{} object>", type_name(value)));
        }
    }

    // Before an item, and before the bracket that closes a list of any.
    void separate(bool is_first) {
        if (!is_first) out_ += json_ == nullptr ? ", " : json_->item_separator;
        new_line();
    }
    void new_line() {
        if (json_ == nullptr || !json_->indent) return;
        out_ += '\n';
        for (int i = 0; i < level_; ++i) out_ += *json_->indent;
    }

    Result<void> list(std::string_view open, const std::vector<Value>& items, std::string_view close) {
        out_ += open;
        ++level_;
        for (std::size_t i = 0; i < items.size(); ++i) {
            separate(i == 0);
            RAFTER_TRY_VOID(write(items[i]));
        }
        --level_;
        if (!items.empty()) new_line();
        return append(close);
    }

    Result<void> dict(const std::vector<std::pair<Value, Value>>& entries) {
        std::vector<std::size_t> order(entries.size());
        std::iota(order.begin(), order.end(), 0);
        if (json_ != nullptr && json_->sort_keys) {
            RAFTER_TRY_VOID(stable_sort_by(*runtime_, order, [&](std::size_t i) -> const Value& { return entries[i].first; }));
        }
        out_ += '{';
        ++level_;
        for (std::size_t i = 0; i < order.size(); ++i) {
            const auto& [key, item] = entries[order[i]];
            separate(i == 0);
            RAFTER_TRY_VOID(write_key(key));
            out_ += json_ == nullptr ? ": " : json_->key_separator;
            RAFTER_TRY_VOID(write(item));
        }
        --level_;
        if (!entries.empty()) new_line();
        return append("}");
    }

    Result<void> write_key(const Value& key) {
        if (json_ == nullptr || key.is(Type::kString)) return write(key);
        if (!key.is_number() && !key.is(Type::kNone)) {
            return bad_input("keys must be str, int, float, bool or None, not {}", type_name(key));
        }
        return append(fmt::format("\"{}\"", json_scalar(key)));
    }

    Result<void> view(const Value& value) {
        const auto& view = value.as<DictViewObject>();
        out_ += fmt::format("{}([", type_name(value));
        bool is_first = true;
        for (const auto& [key, item] : view.dict.as<DictObject>().entries) {
            separate(std::exchange(is_first, false));
            if (view.part == DictViewObject::Part::kItems) {
                RAFTER_TRY_VOID(list("(", {key, item}, ")"));
            } else {
                RAFTER_TRY_VOID(write(view.part == DictViewObject::Part::kKeys ? key : item));
            }
        }
        return append("])");
    }

    Runtime* runtime_;
    const JsonOptions* json_;
    std::string out_;
    std::size_t checked_bytes_ = kShortReprBytes;
    int depth_ = 0;
    int level_ = 0;
};

}  // namespace

Result<std::string> to_text(Runtime& runtime, const Value& value) {
    if (value.is(Type::kString)) return std::string(text_of(value));
    if (value.is(Type::kUndefined)) return std::string();
    return to_repr(runtime, value);
}

Result<std::string> to_repr(Runtime& runtime, const Value& value) {
    Printer printer(&runtime, nullptr);
    RAFTER_TRY_VOID(printer.write(value));
    return printer.take();
}

Result<std::string> to_json(Runtime& runtime, const Value& value, const JsonOptions& options) {
    Printer printer(&runtime, &options);
    RAFTER_TRY_VOID(printer.write(value));
    return printer.take();
}

std::string short_repr(const Value& value) {
    if (value.is(Type::kLoop)) return "loop";
    Printer printer(nullptr, nullptr);
    if (printer.write(value) && printer.text().size() <= kShortReprBytes) return printer.take();
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
    return quoted(text, quote, [quote](char32_t c, std::string_view bytes) -> std::string {
        if (const std::string_view escape = common_escape(c); !escape.empty()) return std::string(escape);
        if (c == static_cast<char32_t>(quote)) return {'\\', quote};
        return is_printable(c) ? std::string(bytes) : numbered_escape(c);
    });
}

std::string escape_html(std::string_view text) {
    constexpr std::string_view kSpecial = "&<>'\"";
    constexpr std::array<std::string_view, 5> kEntities = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const std::size_t special = kSpecial.find(c);
        if (special == std::string_view::npos) {
            out += c;
        } else {
            out += kEntities[special];
        }
    }
    return out;
}

}  // namespace rafter::text::jinja
