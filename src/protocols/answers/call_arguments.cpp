// Objects stay the text that the model wrote: to sort or to store their keys would cost more than to copy them.
#include "protocols/answers/call_arguments.h"

#include <algorithm>
#include <array>
#include <set>

namespace rafter::protocols {
namespace {

using nlohmann::json;

constexpr std::string_view kSpaces = " \t\r\n";
constexpr int kMaxQuotedDepth = 64;

std::string_view trimmed_text(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(kSpaces);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

std::string json_text(std::string_view text) { return json(text).dump(-1, ' ', false, json::error_handler_t::replace); }

// The end of the value that begins at `at` in valid JSON, or of the spaces before it and of it.
std::size_t value_end(std::string_view text, std::size_t at) {
    int depth = 0;
    bool in_text = false;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        if (in_text) {
            if (c == '\\') ++at;
            if (c == '"') in_text = false;
            continue;
        }
        if (c == '"') in_text = true;
        if (c == '{' || c == '[') ++depth;
        if ((c == '}' || c == ']') && --depth < 0) return at;
        if (c == ',' && depth == 0) return at;
    }
    return at;
}

// Of valid JSON: what stands between commas within its brackets.
std::vector<std::string_view> parts_of(std::string_view text) {
    std::vector<std::string_view> parts;
    for (std::size_t at = 1; at < text.size();) {
        const std::size_t end = value_end(text, at);
        const std::string_view part = trimmed_text(text.substr(at, end - at));
        if (!part.empty()) parts.push_back(part);
        at = end + 1;
    }
    return parts;
}

// The end of the text that begins with `part`'s first byte.
std::size_t text_end(std::string_view part) {
    for (std::size_t at = 1; at < part.size(); ++at) {
        if (part[at] == '\\')
            ++at;
        else if (part[at] == '"')
            return at + 1;
    }
    return part.size();
}

std::optional<std::string> text_of_json(std::string_view text) {
    const json value = json::parse(text, nullptr, false);
    if (!value.is_string()) return std::nullopt;
    return value.get<std::string>();
}

// object: valid JSON.
std::optional<WrittenCall> read_json_call(std::string_view object, const CallJsonOptions& options) {
    std::optional<std::string> name, arguments;
    for (const std::string_view part : parts_of(object)) {
        const std::size_t key_end = text_end(part);
        const auto key = text_of_json(part.substr(0, key_end));
        if (!key || key_end >= part.size()) return std::nullopt;
        const std::string_view value = trimmed_text(part.substr(part.find(':', key_end) + 1));
        if (*key == "name") {
            if (name) return std::nullopt;
            name = text_of_json(value);
            if (!name) return std::nullopt;
        } else if (*key == "arguments" || *key == "parameters") {
            if (arguments) return std::nullopt;
            const auto held = value.starts_with('"') ? text_of_json(value) : std::optional<std::string>(value);
            arguments = held ? json_object_text(*held) : std::nullopt;
            if (!arguments) return std::nullopt;
        }
    }
    if (!name || (options.needs_arguments && !arguments)) return std::nullopt;
    return WrittenCall{.name = *std::move(name), .arguments = arguments ? *std::move(arguments) : "{}"};
}

const char* json_type(const json& value) {
    if (value.is_number_integer()) return "integer";
    if (value.is_number()) return "number";
    if (value.is_boolean()) return "boolean";
    if (value.is_null()) return "null";
    if (value.is_array()) return "array";
    return value.is_object() ? "object" : "string";
}

// A value is freed by recursion.
bool is_deep(std::string_view text) {
    constexpr int kMaxValueDepth = 64;
    int deepest = 0, depth = 0;
    for (const char c : text) {
        depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
        deepest = std::max(deepest, depth);
    }
    return deepest > kMaxValueDepth;
}

// The types that a schema allows, as far as it names them.
void add_types(const json& schema, std::set<std::string>& types, int depth = 0) {
    constexpr int kMaxSchemaDepth = 16;
    if (!schema.is_object() || depth > kMaxSchemaDepth) return;
    if (const auto type = schema.find("type"); type != schema.end()) {
        if (type->is_string()) types.insert(type->get<std::string>());
        for (const json& one : type->is_array() ? *type : json::array()) {
            if (one.is_string()) types.insert(one.get<std::string>());
        }
    }
    for (const char* key : {"anyOf", "oneOf", "allOf"}) {
        const auto list = schema.find(key);
        if (list == schema.end() || !list->is_array()) continue;
        for (const json& one : *list) add_types(one, types, depth + 1);
    }
    if (const auto values = schema.find("enum"); values != schema.end() && values->is_array() && !schema.contains("type")) {
        for (const json& one : *values) types.insert(json_type(one));
    }
}

bool allows(const std::set<std::string>& types, const json& value) {
    const std::string type = json_type(value);
    return types.contains(type) || (type == "integer" && types.contains("number"));
}

// A parameter's text as JSON.
std::string parameter_json(std::string_view text, const json& schema) {
    std::set<std::string> types;
    add_types(schema, types);
    const std::string_view trimmed = trimmed_text(text);
    const json value = is_deep(trimmed) ? json(json::value_t::discarded) : json::parse(trimmed, nullptr, false);
    if (!value.is_discarded() && !value.is_string() && allows(types, value)) return std::string(trimmed);
    // Python's words for them.
    if (types.contains("boolean") && (trimmed == "True" || trimmed == "False")) return trimmed == "True" ? "true" : "false";
    if (types.contains("null") && trimmed == "None") return "null";
    // A value of a list needs no white space around it.
    const auto values = schema.find("enum");
    const bool listed = values != schema.end() && values->is_array() && std::ranges::find(*values, json(trimmed)) != values->end();
    return json_text(listed ? trimmed : text);
}

// Gemma's notation, by descent.
class QuotedReader {
  public:
    QuotedReader(std::string_view text, std::string_view quote) : text_(text), quote_(quote) {}

    bool object(int depth) {
        if (depth > kMaxQuotedDepth || !take("{")) return false;
        out += '{';
        for (bool first = true; !take("}"); first = false) {
            if (!first && !comma()) return false;
            const bool is_quoted = take(quote_);
            const auto key = is_quoted ? quoted() : bare(":");
            if (!key || (!is_quoted && key->empty()) || !take(":")) return false;
            out += json_text(*key) + ":";
            if (!value(depth)) return false;
        }
        out += '}';
        return true;
    }
    [[nodiscard]] bool at_end() const { return trimmed_text(text_.substr(at_)).empty(); }
    std::string out;

  private:
    bool take(std::string_view word) {
        at_ = std::min(text_.find_first_not_of(kSpaces, at_), text_.size());
        if (!text_.substr(at_).starts_with(word)) return false;
        at_ += word.size();
        return true;
    }
    bool comma() {
        out += ',';
        return take(",");
    }
    std::optional<std::string_view> quoted() {
        const std::size_t end = text_.find(quote_, at_);
        if (end == std::string_view::npos) return std::nullopt;
        const std::string_view inner = text_.substr(at_, end - at_);
        at_ = end + quote_.size();
        return inner;
    }
    std::optional<std::string_view> bare(std::string_view until) {
        const std::size_t end = std::min(text_.find_first_of(until, at_), text_.size());
        const std::string_view word = trimmed_text(text_.substr(at_, end - at_));
        at_ = end;
        return word;
    }
    bool list(int depth) {
        if (depth > kMaxQuotedDepth) return false;
        out += '[';
        for (bool first = true; !take("]"); first = false) {
            if (!first && !comma()) return false;
            if (!value(depth)) return false;
        }
        out += ']';
        return true;
    }
    bool value(int depth) {
        if (take(quote_)) {
            const auto inner = quoted();
            if (inner) out += json_text(*inner);
            return inner.has_value();
        }
        if (take("[")) return list(depth + 1);
        if (at_ < text_.size() && text_[at_] == '{') return object(depth + 1);
        const auto word = bare(",]}");
        if (!word || word->empty()) return false;
        out += json::accept(*word) ? std::string(*word) : json_text(*word);
        return true;
    }

    std::string_view text_, quote_;
    std::size_t at_ = 0;
};

}  // namespace

std::optional<std::string> json_object_text(std::string_view text) {
    const std::string_view trimmed = trimmed_text(text);
    if (!trimmed.starts_with('{') || !json::accept(trimmed)) return std::nullopt;
    return std::string(trimmed);
}

std::optional<std::vector<WrittenCall>> read_json_calls(std::string_view text, const CallJsonOptions& options) {
    const std::string_view trimmed = trimmed_text(text);
    if (!json::accept(trimmed)) return std::nullopt;
    std::vector<WrittenCall> calls;
    const auto objects = trimmed.starts_with('[') ? parts_of(trimmed) : std::vector<std::string_view>{trimmed};
    for (const std::string_view object : objects) {
        if (!object.starts_with('{')) return std::nullopt;
        auto call = read_json_call(object, options);
        if (!call) return std::nullopt;
        calls.push_back(*std::move(call));
    }
    if (calls.empty()) return std::nullopt;
    return calls;
}

std::optional<std::string> read_tagged_parameters(std::string_view text, const json& schema) {
    constexpr std::string_view kBegin = "<parameter=";
    constexpr std::string_view kEnd = "</parameter>";
    static const json kNoSchema;
    const json* properties = nullptr;
    if (schema.is_object() && schema.contains("properties")) properties = &schema["properties"];
    std::set<std::string, std::less<>> names;
    std::string object = "{";
    for (text = trimmed_text(text); !text.empty(); text = trimmed_text(text)) {
        const std::size_t name_end = text.find('>');
        if (!text.starts_with(kBegin) || name_end == std::string_view::npos) return std::nullopt;
        const std::string name(trimmed_text(text.substr(kBegin.size(), name_end - kBegin.size())));
        const std::size_t end = text.find(kEnd, name_end);
        if (name.empty() || end == std::string_view::npos || !names.insert(name).second) return std::nullopt;
        std::string_view value = text.substr(name_end + 1, end - name_end - 1);
        // One line end on each side is of the notation.
        if (value.starts_with('\n')) value.remove_prefix(1);
        if (value.ends_with('\n')) value.remove_suffix(1);
        const bool is_known = properties != nullptr && properties->is_object() && properties->contains(name);
        if (object.size() > 1) object += ", ";
        object += json_text(name) + ": " + parameter_json(value, is_known ? (*properties)[name] : kNoSchema);
        text.remove_prefix(end + kEnd.size());
    }
    return object + "}";
}

std::optional<std::string> read_quoted_arguments(std::string_view text, std::string_view quote) {
    QuotedReader reader(text, quote);
    if (!reader.object(1) || !reader.at_end() || !json::accept(reader.out)) return std::nullopt;
    return std::move(reader.out);
}

}  // namespace rafter::protocols
