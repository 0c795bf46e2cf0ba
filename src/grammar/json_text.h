// JSON's texts as EBNF: strings, with their escapes, and values of any type. Characters that must be escaped may be so in each of JSON's
// ways, those beyond ASCII too; other characters stand for themselves.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "grammar/ebnf.h"

namespace rafter::grammar {

// An expression for one character of this set within a JSON string. The set must not be empty.
[[nodiscard]] std::string json_character(const CodeSet& set);
// For this text within a JSON string, without the quotes.
[[nodiscard]] std::string json_characters(std::string_view text);

// Expressions for JSON; those that are long or refer to themselves are rules.
class JsonText {
  public:
    explicit JsonText(EbnfRules& rules);

    [[nodiscard]] const std::string& space() const { return space_; }          // optional, between two tokens of JSON
    [[nodiscard]] const std::string& character() const { return character_; }  // any, within a string
    [[nodiscard]] const std::string& any_string() const { return string_; }
    // Of so many characters, none of which is escaped where there is a bound.
    [[nodiscard]] std::string string_of(Times n_characters) const;
    // This value, with white space where JSON has it.
    [[nodiscard]] std::string literal(const nlohmann::ordered_json& value) const;
    // Names of an object that are none of these, without escapes: no name can be spelled in two ways.
    [[nodiscard]] std::string name_other_than(std::span<const std::string> names);
    [[nodiscard]] const std::string& any_value();
    [[nodiscard]] const std::string& any_object();

    // Open and close around members that are parted by commas: "{}" or "[]". item: an expression.
    [[nodiscard]] std::string list(char open, char close, const std::string& item, Times times) const;
    // "name": value
    [[nodiscard]] std::string member(const std::string& name, const std::string& value) const;

  private:
    void make_any();

    EbnfRules& rules_;
    std::string space_, character_, string_, any_value_, any_object_;
};

}  // namespace rafter::grammar
