// Each key becomes a grammar as people say it; the schemas in them keep the client's order of properties.
#include "protocols/structured_output.h"

#include <fmt/ranges.h>

#include <utility>
#include <vector>

#include "base/quote.h"
#include "protocols/anthropic_parameters.h"
#include "protocols/openai_error.h"
#include "protocols/parameter.h"
#include "protocols/tool_grammar.h"

namespace rafter::protocols {
namespace {

using grammar::Grammar;
using grammar::GrammarKind;
using nlohmann::json;
using nlohmann::ordered_json;

std::string text_of(const ordered_json& value) { return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

// A schema as an object, or as JSON text.
Result<Grammar> schema_of(const ordered_json& value, const std::string& where) {
    if (value.is_string()) return Grammar{GrammarKind::kJsonSchema, value.get<std::string>()};
    if (value.is_object() || value.is_boolean()) return Grammar{GrammarKind::kJsonSchema, text_of(value)};
    return bad_input("{}: expected a JSON schema, found {}", where, shown_json(json(value)));
}
Result<Grammar> text_grammar(GrammarKind kind, const ordered_json& value, const std::string& where) {
    if (value.is_string()) return Grammar{kind, value.get<std::string>()};
    return bad_input("{}: expected a text, found {}", where, shown_json(json(value)));
}
Result<Grammar> choice_of(const ordered_json& value, const std::string& where) {
    if (value.is_array()) return Grammar{GrammarKind::kChoice, text_of(value)};
    return bad_input("{}: expected a list of texts, found {}", where, shown_json(json(value)));
}

// {"type": "json_schema", ...}: nested has the schema under "json_schema", as chats do; responses have it beside the type.
Result<std::optional<Grammar>> format_of(const ordered_json& format, const std::string& where, bool nested) {
    if (!format.is_object()) return bad_input("{}: expected an object, found {}", where, shown_json(json(format)));
    const ordered_json type = format.value("type", ordered_json());
    if (type == "text") return std::optional<Grammar>();
    if (type == "json_object") {
        if (!format.contains("schema")) return std::optional(Grammar{GrammarKind::kJson});
        RAFTER_TRY(Grammar schema, schema_of(format["schema"], where + ": schema"));
        return std::optional(std::move(schema));
    }
    if (type == "json_schema") {
        const ordered_json* at = &format;
        if (nested) {
            if (!format.contains("json_schema") || !format["json_schema"].is_object()) {
                return bad_input("{}: json_schema: expected an object with a schema, found {}", where,
                                 shown_json(json(format.value("json_schema", ordered_json("no such key")))));
            }
            at = &format["json_schema"];
        }
        if (!at->contains("schema")) return bad_input("{}: schema: expected a JSON schema, found no such key", where);
        RAFTER_TRY(Grammar schema, schema_of((*at)["schema"], where + ": schema"));
        return std::optional(std::move(schema));
    }
    if (type == "structural_tag" && nested) return std::optional(Grammar{GrammarKind::kStructuralTag, text_of(format)});
    return bad_input("{}: type: expected \"text\", \"json_object\" or \"json_schema\": {}; found {}", where, kNotSupportedWords,
                     shown_json(json(type)));
}

// vLLM's: {"json": ...} or one of its like.
Result<std::optional<Grammar>> structured_of(const ordered_json& value, const std::string& where) {
    if (!value.is_object()) return bad_input("{}: expected an object, found {}", where, shown_json(json(value)));
    std::optional<Grammar> found;
    for (const auto& [key, given] : value.items()) {
        if (given.is_null() || given == ordered_json(false)) continue;
        const std::string place = where + ": " + key;
        Result<Grammar> one = bad_input("{}: expected json, json_object, regex, choice, grammar or structural_tag: {}; found {}", where,
                                        kNotSupportedWords, quote(key));
        if (key == "json") one = schema_of(given, place);
        if (key == "json_object") one = Grammar{GrammarKind::kJson};
        if (key == "regex") one = text_grammar(GrammarKind::kRegex, given, place);
        if (key == "choice") one = choice_of(given, place);
        if (key == "grammar") one = text_grammar(GrammarKind::kEbnf, given, place);
        if (key == "structural_tag") {
            one = given.is_string() ? Grammar{GrammarKind::kStructuralTag, given.get<std::string>()}
                                    : Grammar{GrammarKind::kStructuralTag, text_of(given)};
        }
        if (!one) return one.error();
        if (found) return bad_input("{}: expected one constraint, found {} too", where, quote(key));
        found = *std::move(one);
    }
    return found;
}

Result<std::optional<Grammar>> read_key(const JsonReader& body, const BodyText& text, const std::string& key) {
    const json* given = body.find(key);
    if (given == nullptr || says_nothing(*given)) return std::optional<Grammar>();
    const std::string where = body.where() + ": " + key;
    RAFTER_TRY(const ordered_json value, ordered_member(text, key, *given, where));
    if (key == "response_format") return format_of(value, where, true);
    if (key == "output_format") return format_of(value, where, false);
    if (key == "structured_outputs") return structured_of(value, where);
    const auto made = key == "guided_json" || key == "json_schema" ? schema_of(value, where)
                      : key == "guided_choice"                     ? choice_of(value, where)
                      : key == "guided_regex"                      ? text_grammar(GrammarKind::kRegex, value, where)
                                                                   : text_grammar(GrammarKind::kEbnf, value, where);
    if (!made) return made.error();
    return std::optional(*made);
}

// body[key].format.
Result<std::optional<OutputForm>> read_format_within(const JsonReader& body, const BodyText& text, const std::string& key) {
    const json* given = body.find(key);
    if (given == nullptr) return std::optional<OutputForm>();
    const std::string where = body.where() + ": " + key;
    RAFTER_TRY(const ordered_json value, ordered_member(text, key, *given, where));
    if (!value.is_object()) return bad_input("{}: expected an object, found {}", where, shown_json(*given));
    if (!value.contains("format") || value["format"].is_null()) return std::optional<OutputForm>();
    RAFTER_TRY(auto grammar, format_of(value["format"], where + ": format", false));
    if (!grammar) return std::optional<OutputForm>();
    return std::optional(OutputForm{.key = key, .grammar = *std::move(grammar)});
}

// As a part of a structural tag.
ordered_json tag_content(const Grammar& grammar) {
    switch (grammar.kind) {
        case GrammarKind::kJson:
            return {{"type", "json_schema"}, {"json_schema", {{"type", "object"}}}};
        case GrammarKind::kJsonSchema:
            return {{"type", "json_schema"}, {"json_schema", ordered_json::parse(grammar.text, nullptr, false)}};
        case GrammarKind::kRegex:
            return {{"type", "regex"}, {"pattern", grammar.text}};
        case GrammarKind::kEbnf:
            return {{"type", "grammar"}, {"grammar", grammar.text}};
        case GrammarKind::kChoice: {
            ordered_json ways = ordered_json::array();
            for (const auto& one : ordered_json::parse(grammar.text, nullptr, false))
                ways.push_back({{"type", "const_string"}, {"value", one}});
            return {{"type", "or"}, {"elements", std::move(ways)}};
        }
        case GrammarKind::kStructuralTag:
            break;
    }
    const ordered_json tag = ordered_json::parse(grammar.text, nullptr, false);
    return tag.is_object() && tag.contains("format") ? tag["format"] : tag;
}

}  // namespace

Result<std::optional<OutputForm>> read_output_form(const JsonReader& body, const BodyText& text) {
    std::optional<OutputForm> form;
    for (const Parameter* row : parameters::kOutputForms) {
        RAFTER_TRY(auto grammar, read_key(body, text, row->name));
        if (!grammar) continue;
        if (form) return bad_input("{}: {}: expected only one constraint of the answer, found {} too", body.where(), row->name, form->key);
        form = OutputForm{.key = row->name, .grammar = *std::move(grammar)};
    }
    return form;
}

Result<std::optional<OutputForm>> read_text_format(const JsonReader& body, const BodyText& text) {
    return read_format_within(body, text, "text");
}

Result<std::optional<OutputForm>> read_message_format(const JsonReader& body, const BodyText& text) {
    RAFTER_TRY(auto form, read_format_within(body, text, parameters::kOutputConfig.name));
    RAFTER_TRY(auto older, read_key(body, text, parameters::kOutputFormat.name));
    if (form && older) return bad_input("{}: output_format: expected no such key beside output_config.format, found one", body.where());
    if (older) form = OutputForm{.key = parameters::kOutputFormat.name, .grammar = *std::move(older)};
    return form;
}

std::string place_within(const std::string& where, const std::string& key) { return where.empty() ? key : where + ": " + key; }

Result<Constraint> constrain(const std::string& where, const AnswerRules* rules, const ToolRequest& tools, std::optional<OutputForm> form,
                             std::optional<Grammar> of_choice, const text::Tokenizer& tokenizer, const ConstraintOptions& options) {
    Constraint constraint{.grammar = std::move(of_choice), .mask = nullptr};
    std::string key = "tool_choice";
    if (form) {
        if (constraint.grammar) {
            return bad_input("{}: expected tool_choice \"auto\" or \"none\" with it, found one that wants a call",
                             place_within(where, form->key));
        }
        key = form->key;
        const bool may_call = rules != nullptr && !tools.callable().empty();
        if (rules == nullptr || (rules->format.thought == ThoughtForm::kNone && !may_call)) {
            constraint.grammar = std::move(form->grammar);
        } else {
            // What is wrong with it is said before it becomes a part of something larger.
            if (auto fault = grammar::check(form->grammar); !fault) return fault.error().within(place_within(where, key));
            constraint.grammar =
                Grammar{GrammarKind::kStructuralTag, text_of(constrained_answer(*rules, tools, tag_content(form->grammar), tokenizer))};
        }
    }
    if (!constraint.grammar) return constraint;
    const std::string place = place_within(where, key);
    if (options.compiler == nullptr) return bad_input("{}: {} here", place, kNotSupportedWords);
    if (options.waits) {
        auto mask = options.compiler->compile_now(*constraint.grammar);
        if (!mask) return mask.error().within(place);
        constraint.mask = std::make_shared<engine::PendingMask>(*std::move(mask));
        return constraint;
    }
    auto mask = options.compiler->compile(*constraint.grammar);
    if (!mask) return mask.error().within(place);
    constraint.mask = *std::move(mask);
    return constraint;
}

}  // namespace rafter::protocols
