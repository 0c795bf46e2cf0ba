// How Python writes values: str(), repr() and json.dumps().
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

// What {{ value }} prints. Fails only on namespaces that hold themselves, and on too much text.
[[nodiscard]] Result<std::string> to_text(Runtime& runtime, const Value& value);
[[nodiscard]] Result<std::string> to_repr(Runtime& runtime, const Value& value);
// The same for messages: never fails, and is cut when long.
[[nodiscard]] std::string short_repr(const Value& value);

[[nodiscard]] std::string integer_text(Int value);
[[nodiscard]] std::string float_repr(double value);  // "1.0", "1e+16", "inf"
[[nodiscard]] std::string string_repr(std::string_view text);

struct JsonOptions {
    bool ensure_ascii = false;
    bool sort_keys = false;
    std::optional<std::string> indent;  // of one level; without it all stands on one line
    std::string item_separator = ", ";
    std::string key_separator = ": ";
};

[[nodiscard]] Result<std::string> to_json(Runtime& runtime, const Value& value, const JsonOptions& options);

// & < > ' " as HTML entities.
[[nodiscard]] std::string escape_html(std::string_view text);

}  // namespace rafter::text::jinja
