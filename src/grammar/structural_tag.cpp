// Parts of a tag that are schemas or expressions are replaced by EBNF, wherever they stand.
#include "grammar/structural_tag.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "grammar/ebnf.h"
#include "grammar/json_bounds.h"
#include "grammar/json_schema.h"
#include "grammar/pattern.h"
#include "grammar/regex.h"
#include "grammar/schema_grammar.h"

namespace rafter::grammar {
namespace {

using Json = nlohmann::ordered_json;

Json ebnf_format(std::string grammar) { return {{"type", "grammar"}, {"grammar", std::move(grammar)}}; }

// XGrammar's own any_text lets every token come, control tokens and invalid UTF-8 among them.
Result<std::string> any_text_ebnf(const Json& node) {
    const Json excludes = node.value("excludes", Json::array());
    if (!excludes.is_array() || excludes.size() > 1 || (excludes.size() == 1 && !excludes[0].is_string())) {
        return bad_input("any_text: expected one text at most that it excludes, found {}", excludes.dump());
    }
    if (excludes.empty()) return EbnfRules().grammar(ebnf_times(ebnf_class(CodeSet::all()), {}));
    EbnfRules rules;
    const std::string root = ebnf_text_without(excludes[0].get<std::string>(), rules);
    return rules.grammar(root);
}

// Of a schema of the style "marked"; none: of another.
Result<std::optional<TextMark>> mark_of(const Json& node) {
    if (node.value("style", Json()) != "marked") return std::optional<TextMark>();
    const Json text = node.value("mark", Json());
    const Json token = node.value("mark_token", Json());
    const std::string mark = text.is_string() ? text.get<std::string>() : "";
    const bool begins_once = !mark.empty() && mark.rfind(static_cast<char>(kMarkBegin)) == 0;
    if (!begins_once || (!token.is_null() && (!token.is_number_unsigned() || token > INT32_MAX))) {
        return bad_input("json_schema: mark: expected a text that begins with \"<\" and has it once, and a token or none; found {} and {}",
                         text.dump(), token.dump());
    }
    TextMark made{.text = mark};
    if (!token.is_null()) made.token = token.get<std::int32_t>();
    return std::optional(std::move(made));
}

// Depth is bounded where the text was parsed.
Result<void> follow_formats(Json& node) {
    if (node.is_object() && node.contains("type") && node["type"].is_string()) {
        const std::string type = node["type"];
        if (type == "json_schema" && node.contains("json_schema")) {
            const std::string schema = node["json_schema"].dump();
            RAFTER_TRY(const std::optional<TextMark> mark, mark_of(node));
            if (!mark && node.value("style", Json("json")) != "json") {
                RAFTER_TRY_VOID(followed_schema(schema));
                return {};
            }
            RAFTER_TRY(std::string grammar, schema_ebnf(schema, mark));
            node = ebnf_format(std::move(grammar));
            return {};
        }
        if (type == "any_text") {
            RAFTER_TRY(std::string grammar, any_text_ebnf(node));
            node = ebnf_format(std::move(grammar));
            return {};
        }
        if (type == "regex" && node.contains("pattern") && node["pattern"].is_string()) {
            RAFTER_TRY(std::string grammar, regex_ebnf(node["pattern"].get<std::string>(), "regex"));
            node = ebnf_format(std::move(grammar));
            return {};
        }
        if (type == "grammar" && node.contains("grammar") && node["grammar"].is_string()) {
            return check_pattern_size(node["grammar"].get<std::string>(), PatternSyntax::kEbnf, "grammar");
        }
    }
    if (node.is_structured()) {
        for (auto& part : node) RAFTER_TRY_VOID(follow_formats(part));
    }
    return {};
}

}  // namespace

Result<std::string> schema_ebnf(std::string_view schema, std::optional<TextMark> mark) {
    RAFTER_TRY(const Json followed, followed_schema(schema));
    EbnfRules rules;
    JsonText json(rules, std::move(mark));
    RAFTER_TRY(const std::string root, schema_expression(followed, rules, json));
    return rules.grammar(root);
}

Result<std::string> regex_ebnf(std::string_view regex, std::string_view where) {
    EbnfRules rules;
    RAFTER_TRY(const std::string root, regex_expression(regex, RegexText::kPlain, where, rules));
    return rules.grammar(root);
}

Result<std::string> followed_tag(std::string_view text) {
    RAFTER_TRY(Json tag, parse_bounded_json(text, "structural tag"));
    RAFTER_TRY_VOID(follow_formats(tag));
    return tag.dump();
}

}  // namespace rafter::grammar
