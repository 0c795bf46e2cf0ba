// json.dumps() as Python writes it, byte for byte: separators, indents, escapes, floats, keys that are not strings.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/run/operators.h"
#include "text/jinja/run/print.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

class JsonWriter {
  public:
    JsonWriter(Runtime& runtime, const JsonOptions& options) : runtime_(runtime), options_(options) {}

    Result<void> write(const Value& value) {
        if (out_.size() >= checked_bytes_) {
            checked_bytes_ = out_.size() * 2 + 4096;
            RAFTER_TRY_VOID(runtime_.reserve(checked_bytes_));
        }
        switch (value.type()) {
            case Type::kNone:
                out_ += "null";
                return {};
            case Type::kBool:
                out_ += value.as_bool() ? "true" : "false";
                return {};
            case Type::kInt:
                out_ += integer_text(value.as_int());
                return {};
            case Type::kFloat:
                out_ += float_text(value.as_real());
                return {};
            case Type::kString:
                quoted(text_of(value));
                return {};
            case Type::kList:
            case Type::kTuple:
                return array(items_of(value));
            case Type::kDict:
                return dict(value.as<DictObject>());
            default:
                return bad_input("Object of type {} is not JSON serializable", type_name(value));
        }
    }

    std::string take() { return std::move(out_); }

  private:
    static std::string float_text(double value) {
        if (std::isnan(value)) return "NaN";
        if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
        return float_repr(value);
    }

    void new_line() {
        if (!options_.indent) return;
        out_ += '\n';
        for (int i = 0; i < level_; ++i) out_ += *options_.indent;
    }

    Result<void> array(const std::vector<Value>& items) {
        if (items.empty()) {
            out_ += "[]";
            return {};
        }
        out_ += '[';
        ++level_;
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (i > 0) out_ += options_.item_separator;
            new_line();
            RAFTER_TRY_VOID(write(items[i]));
        }
        --level_;
        new_line();
        out_ += ']';
        return {};
    }

    Result<void> dict(const DictObject& value) {
        if (value.entries.empty()) {
            out_ += "{}";
            return {};
        }
        std::vector<std::size_t> order(value.entries.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        if (options_.sort_keys) {
            RAFTER_TRY_VOID(stable_sort_by(runtime_, order, [&](std::size_t i) -> const Value& { return value.entries[i].first; }));
        }
        out_ += '{';
        ++level_;
        for (std::size_t i = 0; i < order.size(); ++i) {
            const auto& [key, item] = value.entries[order[i]];
            if (i > 0) out_ += options_.item_separator;
            new_line();
            RAFTER_TRY_VOID(write_key(key));
            out_ += options_.key_separator;
            RAFTER_TRY_VOID(write(item));
        }
        --level_;
        new_line();
        out_ += '}';
        return {};
    }

    Result<void> write_key(const Value& key) {
        switch (key.type()) {
            case Type::kString:
                quoted(text_of(key));
                return {};
            case Type::kNone:
                quoted("null");
                return {};
            case Type::kBool:
                quoted(key.as_bool() ? "true" : "false");
                return {};
            case Type::kInt:
                quoted(integer_text(key.as_int()));
                return {};
            case Type::kFloat:
                quoted(float_text(key.as_real()));
                return {};
            default:
                return bad_input("keys must be str, int, float, bool or None, not {}", type_name(key));
        }
    }

    void quoted(std::string_view text) {
        out_ += '"';
        const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7F && c != '\\' && c != '"'; };
        for (std::size_t at = 0; at < text.size();) {
            const auto* const plain_end = std::find_if_not(text.begin() + at, text.end(), is_plain);
            out_.append(text.begin() + at, plain_end);
            at = static_cast<std::size_t>(plain_end - text.begin());
            if (at == text.size()) break;
            const CodePoint c = code_point_at(text, at);
            escaped(c.value, text.substr(at, c.size_bytes));
            at += c.size_bytes;
        }
        out_ += '"';
    }

    void escaped(char32_t c, std::string_view bytes) {
        switch (c) {
            case '"':
                out_ += "\\\"";
                return;
            case '\\':
                out_ += "\\\\";
                return;
            case '\n':
                out_ += "\\n";
                return;
            case '\r':
                out_ += "\\r";
                return;
            case '\t':
                out_ += "\\t";
                return;
            case '\f':
                out_ += "\\f";
                return;
            case '\b':
                out_ += "\\b";
                return;
            default:
                break;
        }
        if (c >= 0x20 && (c < 0x7F || !options_.ensure_ascii)) {
            out_ += bytes;
        } else if (c < 0x10000) {
            out_ += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
        } else {
            const auto rest = static_cast<std::uint32_t>(c) - 0x10000;
            out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
        }
    }

    Runtime& runtime_;
    const JsonOptions& options_;
    std::string out_;
    std::size_t checked_bytes_ = 4096;
    int level_ = 0;
};

}  // namespace

Result<std::string> to_json(Runtime& runtime, const Value& value, const JsonOptions& options) {
    JsonWriter writer(runtime, options);
    RAFTER_TRY_VOID(writer.write(value));
    return writer.take();
}

}  // namespace rafter::text::jinja
