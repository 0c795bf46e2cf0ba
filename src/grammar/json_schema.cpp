// The schema is written anew, definition by definition: the root is one, and so is what each $ref names. Definitions wait in a line, so
// that references may form circles.
#include "grammar/json_schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/json_reader.h"
#include "base/quote.h"
#include "grammar/json_bounds.h"
#include "grammar/regex.h"
#include "grammar/string_formats.h"

namespace rafter::grammar {
namespace {

using Json = nlohmann::ordered_json;
using Names = std::span<const std::string_view>;

constexpr std::size_t kMaxDefinitions = 1000;
constexpr std::int64_t kMaxLength = 100'000;               // of strings and arrays
constexpr double kMaxWholeDouble = 9'007'199'254'740'992;  // beyond it, not every whole number is a double

// Keywords that say nothing about which values are valid.
constexpr std::string_view kAnnotations[] = {"title",     "description", "default", "example", "examples", "deprecated", "readOnly",
                                             "writeOnly", "$comment",    "$schema", "$id",     "$defs",    "definitions"};
constexpr std::string_view kObjectWords[] = {"properties",        "required",      "additionalProperties", "unevaluatedProperties",
                                             "patternProperties", "propertyNames", "minProperties",        "maxProperties"};
constexpr std::string_view kArrayWords[] = {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"};
constexpr std::string_view kStringWords[] = {"minLength", "maxLength", "pattern", "format"};
constexpr std::string_view kNumberWords[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"};
constexpr std::string_view kType[] = {"type"};
constexpr std::string_view kTypes[] = {"object", "array", "string", "number", "integer", "boolean", "null"};

constexpr std::string_view kRoot = "schema";
constexpr char kPathBegin = '\x01';
constexpr char kPathEnd = '\x02';

// The path in a message comes behind what was found: names of properties are the client's, which no log shows.
Error said_last(const Error& error) {
    const std::size_t begin = error.message.find(kPathBegin);
    const std::size_t end = error.message.find(kPathEnd);
    if (begin == std::string::npos || end == std::string::npos) return error;
    const std::string path = error.message.substr(begin + 1, end - begin - 1);
    std::string message = error.message.substr(0, begin) + error.message.substr(end + 1);
    message += (message.find(", found ") == std::string::npos ? ", found at " : " at ") + path;
    return {std::move(message), error.kind};
}

bool is_one_of(std::string_view name, Names names) { return std::ranges::find(names, name) != names.end(); }

Names words_of(std::string_view type) {
    if (type == "object") return kObjectWords;
    if (type == "array") return kArrayWords;
    if (type == "string") return kStringWords;
    if (type == "number" || type == "integer") return kNumberWords;
    return {};
}

bool is_whole(const Json& value) {
    return value.is_number_integer() || (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>());
}

std::string_view type_of(const Json& value) {
    if (value.is_object()) return "object";
    if (value.is_array()) return "array";
    if (value.is_string()) return "string";
    if (value.is_boolean()) return "boolean";
    if (value.is_null()) return "null";
    return is_whole(value) ? "integer" : "number";
}

// As a message shows it.
std::string shown(const Json& value) { return shown_json(nlohmann::json(value)); }

// Writes one schema anew. `where` is its place.
class Follower {
  public:
    explicit Follower(const Json& root) : root_(root) {}

    Result<Json> all() {
        RAFTER_TRY(Json written, follow(root_, "schema"));
        Json definitions = Json::object();
        while (!line_.empty()) {
            const auto [name, pointer] = line_.front();
            line_.pop_front();
            RAFTER_TRY(const Json* target, find(pointer));
            RAFTER_TRY(definitions[name], follow(*target, within("schema", pointer)));
        }
        if (definitions.empty()) return written;
        if (!written.is_object()) written = Json::object();
        written["$defs"] = std::move(definitions);
        return written;
    }

  private:
    static Error refused(const std::string& where, std::string_view keyword, std::string_view why) {
        return bad_input("{}: {}: {}", where, keyword, why);
    }
    // A place is "schema", or that with a path between two marks, which said_last() finds.
    static std::string within(const std::string& where, std::string_view keyword, std::string_view name = {}) {
        std::string path =
            where.size() > kRoot.size() ? where.substr(kRoot.size() + 1, where.size() - kRoot.size() - 2) + "." : std::string();
        path += keyword;
        if (!name.empty()) path += "." + (name.size() <= 40 ? std::string(name) : std::string(name.substr(0, 40)) + "...");
        return fmt::format("{}{}{}{}", kRoot, kPathBegin, plain(path), kPathEnd);
    }
    // Names come from the request: only printable ASCII is shown.
    static std::string plain(std::string text) {
        std::ranges::replace_if(
            text, [](char c) { return c < 0x20 || c > 0x7E; }, '?');
        return text;
    }

    // Refuses keywords that are neither annotations nor among these.
    static Result<void> only(const Json& schema, const std::string& where, std::string_view beside, std::span<const Names> allowed) {
        for (auto at = schema.begin(); at != schema.end(); ++at) {
            const std::string& key = at.key();
            const bool known = is_one_of(key, kAnnotations) || key == beside ||
                               std::ranges::any_of(allowed, [&](const Names& names) { return is_one_of(key, names); });
            if (known) continue;
            if (beside.empty()) return bad_input("{}: expected keywords that are supported, found {}", where, quote(key));
            return bad_input("{}: {}: expected no such keyword beside it, found {}", where, beside, quote(key));
        }
        return {};
    }

    Result<Json> follow(const Json& schema, const std::string& where) {
        if (schema.is_boolean()) {
            if (schema.get<bool>()) return Json(Json::object());
            return bad_input("{}: expected a schema that some value can meet, found false", where);
        }
        if (!schema.is_object()) return bad_input("{}: expected an object or true, found {}", where, shown(schema));
        if (schema.contains("$ref")) return reference(schema, where);
        if (schema.contains("enum") || schema.contains("const")) return values(schema, where);
        for (const std::string_view keyword : {"anyOf", "oneOf", "allOf"}) {
            if (schema.contains(keyword)) return combined(schema, where, keyword);
        }
        return typed(schema, where);
    }

    Result<Json> reference(const Json& schema, const std::string& where) {
        RAFTER_TRY_VOID(only(schema, where, "$ref", {}));
        const Json& pointer = schema["$ref"];
        if (!pointer.is_string()) return bad_input("{}: $ref: expected a string, found {}", where, shown(pointer));
        const std::string text = pointer.get<std::string>();
        if (text != "#" && !text.starts_with("#/")) {
            return bad_input("{}: $ref: expected a place in this schema, such as \"#/$defs/name\", found {}", where, quote(text));
        }
        RAFTER_TRY(const Json* target, find(text));
        // A reference to nothing but a reference, and so on, may be a circle.
        std::set<const Json*> seen;
        while (target->is_object() && target->contains("$ref") && (*target)["$ref"].is_string()) {
            if (!seen.insert(target).second)
                return bad_input("{}: $ref: expected a definition, found a circle of references at {}", where, quote(text));
            RAFTER_TRY(target, find((*target)["$ref"].get<std::string>()));
        }
        const auto [at, is_new] = names_.try_emplace(text, fmt::format("d{}", names_.size()));
        if (names_.size() > kMaxDefinitions) return bad_input("{}: $ref: expected at most {} definitions", where, kMaxDefinitions);
        if (is_new) line_.emplace_back(at->second, text);
        return Json{{"$ref", "#/$defs/" + at->second}};
    }

    Result<const Json*> find(const std::string& pointer) const {
        try {
            // A URI's fragment: percent signs are decoded first.
            return &root_.at(Json::json_pointer(percent_decoded(pointer.substr(1))));
        } catch (const Json::exception&) {
            return bad_input("schema: $ref: expected a place in this schema, found {}", quote(pointer));
        }
    }
    static std::string percent_decoded(std::string_view text) {
        std::string decoded;
        for (std::size_t i = 0; i < text.size(); ++i) {
            const std::string digits(text.substr(std::min(i + 1, text.size()), 2));
            if (text[i] == '%' && digits.size() == 2 && digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos) {
                decoded += static_cast<char>(std::stoi(digits, nullptr, 16));
                i += 2;
            } else {
                decoded += text[i];
            }
        }
        return decoded;
    }

    // enum and const, each beside a type at most.
    Result<Json> values(const Json& schema, const std::string& where) {
        const std::string_view keyword = schema.contains("enum") ? "enum" : "const";
        RAFTER_TRY_VOID(only(schema, where, keyword, std::array{Names(kType)}));
        Json listed = keyword == "enum" ? schema["enum"] : Json::array({schema["const"]});
        if (!listed.is_array() || listed.empty()) return bad_input("{}: enum: expected an array of values, found {}", where, shown(listed));
        RAFTER_TRY(const auto types, types_of(schema, where));
        Json kept = Json::array();
        for (const Json& value : listed) {
            RAFTER_TRY_VOID(check_numbers(value, within(where, keyword)));
            const std::string_view type = type_of(value);
            const auto fits = [&](const std::string& t) { return t == type || (t == "number" && type == "integer"); };
            if (types.empty() || std::ranges::any_of(types, fits)) kept.push_back(value);
        }
        if (kept.empty()) return bad_input("{}: {}: expected a value of the schema's type, found {}", where, keyword, shown(listed));
        return Json{{"enum", std::move(kept)}};
    }
    // Numbers are compared as they are written: those that would be written otherwise are refused.
    static Result<void> check_numbers(const Json& value, const std::string& where) {
        if (value.is_number_float() || (value.is_number() && std::abs(value.get<double>()) > kMaxWholeDouble)) {
            const double number = value.get<double>();
            const bool plain = std::abs(number) <= 1e15 && (number == 0.0 || std::abs(number) >= 1e-4);
            if (!plain) return bad_input("{}: expected numbers of at most 15 digits, found {}", where, shown(value));
        }
        if (value.is_structured()) {
            for (const Json& part : value) RAFTER_TRY_VOID(check_numbers(part, where));
        }
        return {};
    }

    Result<Json> combined(const Json& schema, const std::string& where, std::string_view keyword) {
        RAFTER_TRY_VOID(only(schema, where, keyword, {}));
        const Json& parts = schema[std::string(keyword)];
        if (!parts.is_array() || parts.empty())
            return bad_input("{}: {}: expected an array of schemas, found {}", where, keyword, shown(parts));
        if (keyword == "allOf") {
            if (parts.size() > 1) return refused(where, "allOf", "several schemas at once are not supported");
            return follow(parts[0], within(where, "allOf", "0"));
        }
        Json written = Json::array();
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (keyword == "anyOf" && parts[i] == Json(false)) continue;
            RAFTER_TRY(Json part, follow(parts[i], within(where, keyword, std::to_string(i))));
            written.push_back(std::move(part));
        }
        if (written.empty()) return bad_input("{}: {}: expected a schema that some value can meet, found none", where, keyword);
        return Json{{std::string(keyword), std::move(written)}};
    }

    // None: any type.
    static Result<std::vector<std::string>> types_of(const Json& schema, const std::string& where) {
        std::vector<std::string> types;
        if (!schema.contains("type")) return types;
        const Json& given = schema["type"];
        const Json list = given.is_array() ? given : Json::array({given});
        for (const Json& type : list) {
            if (!type.is_string() || !is_one_of(type.get<std::string>(), kTypes)) {
                return bad_input("{}: type: expected object, array, string, number, integer, boolean or null, found {}", where,
                                 shown(type));
            }
            types.push_back(type.get<std::string>());
        }
        if (types.empty()) return bad_input("{}: type: expected a type, found an empty array", where);
        if (std::ranges::find(types, "number") != types.end()) std::erase(types, "integer");
        return types;
    }

    Result<Json> typed(const Json& schema, const std::string& where) {
        RAFTER_TRY_VOID(only(schema, where, "",
                             std::array{Names(kType), Names(kObjectWords), Names(kArrayWords), Names(kStringWords), Names(kNumberWords)}));
        RAFTER_TRY(auto types, types_of(schema, where));
        if (types.empty()) {  // that of its keywords
            for (const std::string_view type : {"object", "array", "string", "number"}) {
                const Names words = words_of(type);
                if (std::ranges::any_of(words, [&](std::string_view word) { return schema.contains(word); })) types.emplace_back(type);
            }
            if (types.empty()) return Json(Json::object());
            if (types.size() > 1)
                return bad_input("{}: type: expected beside keywords of {} and {}, found no such keyword", where, types[0], types[1]);
        }
        Json written = Json::array();
        for (const std::string& type : types) {
            RAFTER_TRY(Json one, of_type(schema, where, type));
            written.push_back(std::move(one));
        }
        return written.size() == 1 ? written[0] : Json{{"anyOf", std::move(written)}};
    }

    Result<Json> of_type(const Json& schema, const std::string& where, const std::string& type) {
        if (type == "object") return object(schema, where);
        if (type == "array") return array(schema, where);
        if (type == "string") return string(schema, where);
        if (type == "integer") return integer(schema, where);
        if (type == "number") return number(schema, where);
        return Json{{"type", type}};
    }

    static Result<std::optional<std::int64_t>> count(const Json& schema, const std::string& where, const char* keyword) {
        if (!schema.contains(keyword)) return std::optional<std::int64_t>();
        const Json& value = schema[keyword];
        if (!is_whole(value) || value.get<double>() < 0 || value.get<double>() > static_cast<double>(kMaxLength)) {
            return bad_input("{}: {}: expected a whole number from 0 to {}, found {}", where, keyword, kMaxLength, shown(value));
        }
        return std::optional<std::int64_t>(value.get<std::int64_t>());
    }

    Result<Json> object(const Json& schema, const std::string& where);
    Result<Json> array(const Json& schema, const std::string& where);
    static Result<Json> string(const Json& schema, const std::string& where);
    static Result<Json> integer(const Json& schema, const std::string& where);
    static Result<Json> number(const Json& schema, const std::string& where);
    // additionalProperties or unevaluatedProperties, items or unevaluatedItems: the same here, where nothing is evaluated elsewhere. Null:
    // neither is given.
    static Result<const Json*> rest(const Json& schema, const std::string& where, const char* keyword, const char* unevaluated) {
        if (!schema.contains(unevaluated)) return schema.contains(keyword) ? &schema[keyword] : nullptr;
        if (schema.contains(keyword)) return refused(where, unevaluated, fmt::format("this keyword is not supported beside {}", keyword));
        return &schema[unevaluated];
    }

    const Json& root_;
    std::map<std::string, std::string> names_;              // of definitions, by $ref
    std::deque<std::pair<std::string, std::string>> line_;  // names and places of definitions that are not written yet
};

Result<Json> Follower::object(const Json& schema, const std::string& where) {
    Json written{{"type", "object"}};
    const Json empty = Json::object();
    const Json& properties = schema.contains("properties") ? schema["properties"] : empty;
    if (!properties.is_object()) return bad_input("{}: properties: expected an object, found {}", where, shown(properties));
    RAFTER_TRY(const Json* others, rest(schema, where, "additionalProperties", "unevaluatedProperties"));
    const bool has_patterns = schema.contains("patternProperties") || schema.contains("propertyNames");
    const bool forbids_others = others != nullptr ? *others == Json(false) : !properties.empty() || has_patterns;
    if (has_patterns && !properties.empty()) {
        return refused(where, schema.contains("propertyNames") ? "propertyNames" : "patternProperties",
                       "this keyword is not supported beside properties");
    }

    std::vector<std::string> required;
    if (schema.contains("required")) {
        const Json& names = schema["required"];
        if (!names.is_array()) return bad_input("{}: required: expected an array of names, found {}", where, shown(names));
        for (const Json& name : names) {
            if (!name.is_string()) return bad_input("{}: required: expected names, found {}", where, shown(name));
            if (std::ranges::find(required, name.get<std::string>()) == required.end()) required.push_back(name.get<std::string>());
        }
    }
    Json listed = Json::object();
    for (const auto& [name, value] : properties.items()) {
        if (value == Json(false)) continue;  // may not come, as others
        RAFTER_TRY(listed[name], follow(value, within(where, "properties", name)));
    }
    for (const std::string& name : required) {
        if (listed.contains(name)) continue;
        if (properties.contains(name) || forbids_others) {
            return bad_input("{}: required: expected names of properties, found {}", where, quote(name));
        }
        if (has_patterns) return refused(where, "required", "names that are no properties are not supported beside patterns");
        const bool any = others == nullptr || others->is_boolean();
        RAFTER_TRY(listed[name], any ? Result<Json>(Json(Json::object())) : follow(*others, within(where, "additionalProperties")));
    }
    if (!listed.empty()) written["properties"] = std::move(listed);
    if (!required.empty()) written["required"] = required;

    if (has_patterns) {
        if (schema.contains("patternProperties") && schema.contains("propertyNames")) {
            return refused(where, "propertyNames", "this keyword is not supported beside patternProperties");
        }
        if (others != nullptr && *others != Json(false) && schema.contains("patternProperties")) {
            return refused(where, "patternProperties", "this keyword is only supported where additionalProperties is false or not given");
        }
    }
    if (schema.contains("patternProperties")) {
        const Json& patterns = schema["patternProperties"];
        if (!patterns.is_object() || patterns.size() != 1) {
            return bad_input("{}: patternProperties: expected one pattern, found {}", where, shown(patterns));
        }
        const auto pattern = patterns.items().begin();
        RAFTER_TRY_VOID(check_regex(pattern.key(), RegexText::kJsonString, within(where, "patternProperties")));
        RAFTER_TRY(Json value, follow(pattern.value(), within(where, "patternProperties", pattern.key())));
        written["patternProperties"] = Json{{pattern.key(), std::move(value)}};
        written["additionalProperties"] = false;
    } else if (schema.contains("propertyNames")) {
        const Json& names = schema["propertyNames"];
        RAFTER_TRY(Json name, string(names, within(where, "propertyNames")));
        for (const auto& [key, value] : names.items()) {
            if (key != "type" && !is_one_of(key, kStringWords) && !is_one_of(key, kAnnotations))
                return bad_input("{}: expected keywords of strings, found {}", within(where, "propertyNames"), quote(key));
        }
        if (others != nullptr && !others->is_boolean())
            return refused(where, "propertyNames", "this keyword is not supported beside a schema of additionalProperties");
        if (forbids_others && others != nullptr) return Json{{"type", "object"}, {"additionalProperties", false}};
        written["propertyNames"] = std::move(name);
    } else if (forbids_others) {
        written["additionalProperties"] = false;
    } else if (others == nullptr || others->is_boolean()) {
        written["additionalProperties"] = true;
    } else {
        RAFTER_TRY(written["additionalProperties"], follow(*others, within(where, "additionalProperties")));
    }

    RAFTER_TRY(const auto fewest, count(schema, where, "minProperties"));
    RAFTER_TRY(const auto most, count(schema, where, "maxProperties"));
    // A name that comes twice counts once: only what the required ones ensure is sure.
    if (fewest.value_or(0) > static_cast<std::int64_t>(required.size())) {
        return refused(where, "minProperties", "more properties than are required are not supported");
    }
    if (most) {
        const std::size_t n_listed = written.contains("properties") ? written["properties"].size() : 0;
        const bool fits = n_listed == 0 || (written["additionalProperties"] == Json(false) && *most >= static_cast<std::int64_t>(n_listed));
        if (!fits) return refused(where, "maxProperties", "this keyword is not supported where it forbids some of the properties");
        if (n_listed == 0) written["maxProperties"] = *most;
    }
    return written;
}

Result<Json> Follower::array(const Json& schema, const std::string& where) {
    Json written{{"type", "array"}};
    RAFTER_TRY(const Json* others, rest(schema, where, "items", "unevaluatedItems"));
    if (others != nullptr && others->is_array())
        return bad_input("{}: items: expected a schema (prefixItems takes an array), found an array", where);
    if (schema.contains("uniqueItems") && schema["uniqueItems"] != Json(false))
        return refused(where, "uniqueItems", "this keyword is not supported");
    bool has_prefix = false;
    if (schema.contains("prefixItems")) {
        const Json& prefix = schema["prefixItems"];
        if (!prefix.is_array()) return bad_input("{}: prefixItems: expected an array of schemas, found {}", where, shown(prefix));
        Json listed = Json::array();
        for (std::size_t i = 0; i < prefix.size(); ++i) {
            RAFTER_TRY(Json item, follow(prefix[i], within(where, "prefixItems", std::to_string(i))));
            listed.push_back(std::move(item));
        }
        has_prefix = !listed.empty();
        if (has_prefix) written["prefixItems"] = std::move(listed);
    }
    if (others == nullptr) {
        written["items"] = has_prefix ? Json(false) : Json(Json::object());
    } else if (*others == Json(false)) {
        written["items"] = false;
    } else {
        RAFTER_TRY(written["items"], follow(*others, within(where, "items")));
    }
    for (const char* keyword : {"minItems", "maxItems"}) {
        RAFTER_TRY(const auto n, count(schema, where, keyword));
        if (n) written[keyword] = *n;
    }
    return written;
}

Result<Json> Follower::string(const Json& schema, const std::string& where) {
    Json written{{"type", "string"}};
    RAFTER_TRY(const auto fewest, count(schema, where, "minLength"));
    RAFTER_TRY(const auto most, count(schema, where, "maxLength"));
    const bool has_lengths = fewest.value_or(0) > 0 || most;
    for (const char* keyword : {"pattern", "format"}) {
        if (!schema.contains(keyword)) continue;
        if (!schema[keyword].is_string()) return bad_input("{}: {}: expected a string, found {}", where, keyword, shown(schema[keyword]));
        if (has_lengths) return refused(where, keyword, "this keyword is not supported beside minLength or maxLength");
    }
    if (schema.contains("pattern")) {
        if (schema.contains("format")) return refused(where, "format", "this keyword is not supported beside pattern");
        RAFTER_TRY_VOID(check_regex(schema["pattern"].get<std::string>(), RegexText::kJsonString, within(where, "pattern")));
        written["pattern"] = schema["pattern"];
    } else if (schema.contains("format")) {
        const std::string format = schema["format"].get<std::string>();
        if (!is_format(format)) return bad_input("{}: format: expected one that is supported, found {}", where, quote(format));
        written["format"] = format;
    }
    if (fewest.value_or(0) > 0) written["minLength"] = *fewest;
    if (most) written["maxLength"] = *most;
    return written;
}

// Bounds of whole numbers are whole.
Result<Json> Follower::integer(const Json& schema, const std::string& where) {
    Json written{{"type", "integer"}};
    for (const auto& [keyword, rounds_up] : {std::pair{"minimum", true}, std::pair{"exclusiveMinimum", false}, std::pair{"maximum", false},
                                             std::pair{"exclusiveMaximum", true}}) {
        if (!schema.contains(keyword)) continue;
        const Json& value = schema[keyword];
        if (!value.is_number() || std::abs(value.get<double>()) > kMaxWholeDouble) {
            return bad_input("{}: {}: expected a number of at most 15 digits, found {}", where, keyword, shown(value));
        }
        const double bound = value.get<double>();
        written[keyword] = static_cast<std::int64_t>(rounds_up ? std::ceil(bound) : std::floor(bound));
    }
    if (schema.contains("multipleOf")) {
        const Json& value = schema["multipleOf"];
        if (!is_whole(value) || value.get<double>() < 1 || value.get<double>() > kMaxWholeDouble) {
            return bad_input("{}: multipleOf: expected a whole number above 0, found {}", where, shown(value));
        }
        if (value.get<std::int64_t>() != 1) written["multipleOf"] = value.get<std::int64_t>();
    }
    return written;
}

Result<Json> Follower::number(const Json& schema, const std::string& where) {
    Json written{{"type", "number"}};
    if (schema.contains("multipleOf")) return refused(where, "multipleOf", "this keyword is not supported with type number");
    for (const char* keyword : {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}) {
        if (!schema.contains(keyword)) continue;
        const Json& value = schema[keyword];
        if (!value.is_number() || std::abs(value.get<double>()) > 1e15) {
            return bad_input("{}: {}: expected a number of at most 15 digits, found {}", where, keyword, shown(value));
        }
        written[keyword] = value;
    }
    return written;
}

}  // namespace

Result<Json> followed_schema(std::string_view text) {
    RAFTER_TRY(const Json schema, parse_bounded_json(text, "schema"));
    auto followed = Follower(schema).all();
    return followed ? std::move(followed) : Result<Json>(said_last(followed.error()));
}

}  // namespace rafter::grammar
