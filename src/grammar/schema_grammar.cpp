// Each definition is a rule of its own, which others may refer to before it is written.
#include "grammar/schema_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "grammar/number_range.h"
#include "grammar/regex.h"
#include "grammar/string_formats.h"

namespace rafter::grammar {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMaxMultiple = 1000;
constexpr std::int64_t kMaxListedMultiples = 2000;

class SchemaWriter {
  public:
    SchemaWriter(const Json& schema, EbnfRules& rules, JsonText& text) : schema_(schema), rules_(rules), text_(text) {}

    Result<std::string> write() {
        if (schema_.contains("$defs")) {
            for (const auto& [name, definition] : schema_["$defs"].items()) definitions_.emplace(name, rules_.declare());
            for (const auto& [name, definition] : schema_["$defs"].items()) {
                RAFTER_TRY(const std::string body, value(definition));
                rules_.define(definitions_.at(name), body);
            }
        }
        return value(schema_);
    }

  private:
    Result<std::string> value(const Json& node) {
        if (node.contains("$ref")) return definitions_.at(name_of_reference(node));
        if (node.contains("enum")) return one_of(node["enum"]);
        if (node.contains("anyOf")) return any_of(node["anyOf"]);
        if (node.contains("oneOf")) {
            RAFTER_TRY_VOID(check_disjoint(node["oneOf"]));
            return any_of(node["oneOf"]);
        }
        if (!node.contains("type")) return text_.any_value();
        const std::string type = node["type"];
        if (type == "object") return object(node);
        if (type == "array") return array(node);
        if (type == "string") return string(node);
        if (type == "integer") return integer(node);
        if (type == "number") return number(node);
        return type == "null" ? std::string("\"null\"") : std::string("(\"true\" | \"false\")");
    }
    static std::string name_of_reference(const Json& node) {
        return node["$ref"].get<std::string>().substr(std::string_view("#/$defs/").size());
    }

    Result<std::string> one_of(const Json& values) {
        std::vector<std::string> ways;
        for (const Json& one : values) ways.push_back(text_.literal(one));
        return rules_.add(ebnf_any_of(ways));
    }
    Result<std::string> any_of(const Json& parts) {
        std::vector<std::string> ways;
        for (const Json& part : parts) {
            RAFTER_TRY(std::string way, value(part));
            ways.push_back(std::move(way));
        }
        return rules_.add(ebnf_any_of(ways));
    }

    // oneOf means that exactly one schema holds: it is followed where no value can be valid by two.
    Result<void> check_disjoint(const Json& parts) const {
        for (std::size_t i = 0; i < parts.size(); ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                if (!disjoint(parts[j], parts[i])) {
                    return bad_input(
                        "schema: oneOf: expected schemas that no value can meet two of (anyOf allows it), found {} and {} alike", j, i);
                }
            }
        }
        return {};
    }
    const Json& resolved(const Json& node) const {
        const Json* at = &node;
        for (std::size_t n = 0; at->contains("$ref") && n <= definitions_.size(); ++n) at = &schema_["$defs"][name_of_reference(*at)];
        return *at;
    }
    static std::string_view type_of_value(const Json& one) {
        if (one.is_object()) return "object";
        if (one.is_array()) return "array";
        if (one.is_string()) return "string";
        if (one.is_boolean()) return "boolean";
        return one.is_null() ? "null" : "number";
    }
    // Types of the values; empty: any.
    std::set<std::string> types_of(const Json& node, int depth = 0) const {
        const Json& at = resolved(node);
        std::set<std::string> types;
        if (depth > 8) return types;
        if (at.contains("enum")) {
            for (const Json& one : at["enum"]) types.emplace(type_of_value(one));
        } else if (at.contains("anyOf") || at.contains("oneOf")) {
            for (const Json& part : at.contains("anyOf") ? at["anyOf"] : at["oneOf"]) {
                const auto of_part = types_of(part, depth + 1);
                if (of_part.empty()) return {};
                types.insert(of_part.begin(), of_part.end());
            }
        } else if (at.contains("type")) {
            const std::string type = at["type"];
            types.insert(type == "integer" ? "number" : type);
        }
        return types;
    }
    bool disjoint(const Json& a, const Json& b, int depth = 0) const {
        const auto types_a = types_of(a);
        const auto types_b = types_of(b);
        if (!types_a.empty() && !types_b.empty() && std::ranges::none_of(types_a, [&](const auto& type) { return types_b.contains(type); }))
            return true;
        const Json& x = resolved(a);
        const Json& y = resolved(b);
        if (x.contains("enum") && y.contains("enum")) {
            return std::ranges::none_of(x["enum"], [&](const Json& one) { return std::ranges::find(y["enum"], one) != y["enum"].end(); });
        }
        // Objects that a property tells apart.
        if (depth > 4 || !x.contains("required") || !y.contains("required") || !x.contains("properties") || !y.contains("properties"))
            return false;
        return std::ranges::any_of(x["required"], [&](const Json& name) {
            const std::string key = name;
            return std::ranges::find(y["required"], name) != y["required"].end() && x["properties"].contains(key) &&
                   y["properties"].contains(key) && disjoint(x["properties"][key], y["properties"][key], depth + 1);
        });
    }

    Result<std::string> object(const Json& node) {
        // What other members than the listed ones are; none: there are none.
        std::optional<std::string> other;
        const bool has_additional = node.contains("additionalProperties") && node["additionalProperties"] != Json(false);
        std::vector<std::string> names;
        if (node.contains("properties")) {
            for (const auto& [name, property] : node["properties"].items()) names.push_back(name);
        }
        if (node.contains("patternProperties")) {
            const auto pattern = node["patternProperties"].items().begin();
            RAFTER_TRY(const std::string name, regex_expression(pattern.key(), text_.text_of_regex(), "schema: patternProperties", rules_));
            RAFTER_TRY(const std::string property, value(pattern.value()));
            other = text_.member(text_.quoted(name), property);
        } else if (node.contains("propertyNames")) {
            RAFTER_TRY(const std::string name, string(node["propertyNames"]));
            other = text_.member(name, text_.any_value());
        } else if (has_additional) {
            const Json& schema = node["additionalProperties"];
            RAFTER_TRY(const std::string property, schema.is_boolean() ? Result<std::string>(text_.any_value()) : value(schema));
            if (names.empty() && schema.is_boolean() && !node.contains("maxProperties")) return text_.any_object();
            other = text_.member(names.empty() ? text_.any_name() : text_.name_other_than(names), property);
        }
        const std::int64_t most = node.contains("maxProperties") ? node["maxProperties"].get<std::int64_t>() : -1;
        if (names.empty())
            return rules_.add(other ? text_.list('{', '}', *other, {.min = 0, .max = most})
                                    : text_.list('{', '}', "\"\"", {.min = 0, .max = 0}));
        return listed_members(node, names, other);
    }

    // From the last member to the first: what follows where a member came before it, and where none did.
    Result<std::string> listed_members(const Json& node, const std::vector<std::string>& names, const std::optional<std::string>& other) {
        const std::string comma = fmt::format("{0} \",\" {0} ", text_.space());
        std::string behind = other ? rules_.add(ebnf_times(comma + *other, {})) : "\"\"";
        std::string first = other ? rules_.add(fmt::format("({} {})?", *other, behind)) : "\"\"";
        for (std::size_t i = names.size(); i-- > 0;) {
            RAFTER_TRY(const std::string property, value(node["properties"][names[i]]));
            const std::string member = rules_.add(text_.member(text_.name(names[i]), property));
            const bool required =
                node.contains("required") && std::ranges::find(node["required"], Json(names[i])) != node["required"].end();
            const std::string follows = fmt::format("{} {}", member, behind);
            first = rules_.add(required ? follows : ebnf_any_of({follows, first}));
            behind = rules_.add(required ? comma + follows : ebnf_any_of({comma + follows, behind}));
        }
        return rules_.add(fmt::format("\"{{\" {0} {1} {0} \"}}\"", text_.space(), first));
    }

    Result<std::string> array(const Json& node) {
        const std::int64_t least = node.contains("minItems") ? node["minItems"].get<std::int64_t>() : 0;
        const std::int64_t most = node.contains("maxItems") ? node["maxItems"].get<std::int64_t>() : -1;
        if (most >= 0 && most < least) return bad_input("schema: minItems: expected at most the {} of maxItems, found {}", most, least);
        std::optional<std::string> item;
        if (node["items"] != Json(false)) {
            RAFTER_TRY(item, value(node["items"]));
        }
        std::vector<std::string> prefix;
        if (node.contains("prefixItems")) {
            for (const Json& one : node["prefixItems"]) {
                RAFTER_TRY(std::string expression, value(one));
                prefix.push_back(std::move(expression));
            }
        }
        const auto n_prefix = static_cast<std::int64_t>(prefix.size());
        if (!item && least > n_prefix)
            return bad_input("schema: minItems: expected at most {}, as there are no other items, found {}", n_prefix, least);
        if (prefix.empty()) {
            const Times times{.min = static_cast<std::uint64_t>(least), .max = item ? most : 0};
            return rules_.add(text_.list('[', ']', item.value_or("\"\""), times));
        }
        const std::string comma = fmt::format("{0} \",\" {0} ", text_.space());
        // Behind all prefix items, and from there to the first.
        const Times more{.min = static_cast<std::uint64_t>(std::max<std::int64_t>(0, least - n_prefix)),
                         .max = most < 0 ? -1 : std::max<std::int64_t>(0, most - n_prefix)};
        std::string behind = item ? rules_.add(ebnf_times(comma + *item, more)) : "\"\"";
        for (std::int64_t i = n_prefix; i-- > 1;) {
            if (most >= 0 && i >= most) {
                behind = "\"\"";
                continue;
            }
            const std::string follows = comma + prefix[static_cast<std::size_t>(i)] + " " + behind;
            behind = rules_.add(i < least ? follows : fmt::format("({})?", follows));
        }
        if (most == 0) return rules_.add(text_.list('[', ']', "\"\"", {.min = 0, .max = 0}));
        const std::string items = fmt::format("{} {} {}", prefix[0], behind, text_.space());
        return rules_.add(fmt::format("\"[\" {} {} \"]\"", text_.space(), least > 0 ? items : fmt::format("({})?", items)));
    }

    Result<std::string> string(const Json& node) {
        if (node.contains("pattern") || node.contains("format")) {
            const bool is_pattern = node.contains("pattern");
            if (!is_pattern && !regex_of_format(node["format"].get<std::string>()))
                return word_format(node["format"].get<std::string>(), text_.quote(), rules_);
            const std::string pattern =
                is_pattern ? node["pattern"].get<std::string>() : std::string(*regex_of_format(node["format"].get<std::string>()));
            RAFTER_TRY(const std::string inside,
                       regex_expression(pattern, text_.text_of_regex(), is_pattern ? "schema: pattern" : "schema: format", rules_));
            return rules_.add(text_.quoted(inside));
        }
        const auto least = node.contains("minLength") ? node["minLength"].get<std::uint64_t>() : 0;
        const auto most = node.contains("maxLength") ? node["maxLength"].get<std::int64_t>() : -1;
        if (most >= 0 && least > static_cast<std::uint64_t>(most))
            return bad_input("schema: minLength: expected at most the {} of maxLength, found {}", most, least);
        return text_.string_of({.min = least, .max = most});
    }

    Result<std::string> integer(const Json& node) {
        IntegerBounds bounds;
        const auto raise = [&](std::int64_t min) { bounds.min = std::max(bounds.min.value_or(min), min); };
        const auto lower = [&](std::int64_t max) { bounds.max = std::min(bounds.max.value_or(max), max); };
        if (node.contains("minimum")) raise(node["minimum"]);
        if (node.contains("exclusiveMinimum")) raise(node["exclusiveMinimum"].get<std::int64_t>() + 1);
        if (node.contains("maximum")) lower(node["maximum"]);
        if (node.contains("exclusiveMaximum")) lower(node["exclusiveMaximum"].get<std::int64_t>() - 1);
        if (node.contains("multipleOf")) return multiples(node["multipleOf"], bounds);
        if (!bounds.min && !bounds.max) return rules_.add(any_integer());
        const auto expression = integers_between(bounds);
        if (!expression) return bad_input("schema: minimum: expected bounds with a whole number between them, found none");
        return rules_.add(*expression);
    }

    Result<std::string> multiples(std::int64_t of, const IntegerBounds& bounds) {
        if (bounds.min && bounds.max && (*bounds.max - *bounds.min) / of <= kMaxListedMultiples) {
            std::vector<std::string> ways;
            for (std::int64_t n = *bounds.min - ((*bounds.min % of) + of) % of; n <= *bounds.max; n += of) {
                if (n >= *bounds.min) ways.push_back(ebnf_text(std::to_string(n)));
            }
            if (ways.empty()) return bad_input("schema: multipleOf: expected bounds with a multiple of {} between them, found none", of);
            return rules_.add(ebnf_any_of(ways));
        }
        if (bounds.min || bounds.max)
            return bad_input("schema: multipleOf: this keyword is not supported beside bounds with more than {} multiples between them",
                             kMaxListedMultiples);
        if (of > kMaxMultiple) return bad_input("schema: multipleOf: expected at most {}, found {}", kMaxMultiple, of);
        // By the remainder of the digits so far.
        std::vector<std::string> with_remainder;
        for (std::int64_t r = 0; r < of; ++r) with_remainder.push_back(rules_.declare());
        const auto next = [&](std::int64_t r, char first) {
            std::vector<std::string> ways;
            for (char digit = first; digit <= '9'; ++digit) {
                ways.push_back(fmt::format("\"{}\" {}", digit, with_remainder[static_cast<std::size_t>((r * 10 + (digit - '0')) % of)]));
            }
            return ways;
        };
        for (std::int64_t r = 0; r < of; ++r) {
            auto ways = next(r, '0');
            if (r == 0) ways.insert(ways.begin(), "\"\"");
            rules_.define(with_remainder[static_cast<std::size_t>(r)], ebnf_any_of(ways));
        }
        return rules_.add(fmt::format("(\"0\" | \"-\"? {})", ebnf_any_of(next(0, '1'))));
    }

    Result<std::string> number(const Json& node) {
        NumberBounds bounds;
        if (node.contains("minimum")) bounds.min = node["minimum"].get<double>();
        if (node.contains("exclusiveMinimum") && (!bounds.min || node["exclusiveMinimum"].get<double>() >= *bounds.min)) {
            bounds.min = node["exclusiveMinimum"].get<double>();
            bounds.min_exclusive = true;
        }
        if (node.contains("maximum")) bounds.max = node["maximum"].get<double>();
        if (node.contains("exclusiveMaximum") && (!bounds.max || node["exclusiveMaximum"].get<double>() <= *bounds.max)) {
            bounds.max = node["exclusiveMaximum"].get<double>();
            bounds.max_exclusive = true;
        }
        if (!bounds.min && !bounds.max) return rules_.add(any_number());
        const bool empty = bounds.min && bounds.max &&
                           (*bounds.min > *bounds.max || (*bounds.min == *bounds.max && (bounds.min_exclusive || bounds.max_exclusive)));
        const auto expression = empty ? std::nullopt : numbers_between(bounds);
        if (!expression) return bad_input("schema: minimum: expected bounds with a number between them, found none");
        return rules_.add(*expression);
    }

    const Json& schema_;
    EbnfRules& rules_;
    JsonText& text_;
    std::map<std::string, std::string> definitions_;  // their rules
};

}  // namespace

Result<std::string> schema_expression(const Json& followed, EbnfRules& rules, JsonText& text) {
    auto written = SchemaWriter(followed, rules, text).write();
    if (written && !text.unspoken().empty()) {
        return bad_input("schema: expected names and values without {}, which this model's notation of calls has as a mark",
                         quote(text.unspoken()));
    }
    return written;
}

}  // namespace rafter::grammar
