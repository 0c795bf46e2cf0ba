// JSON's texts as EBNF: strings, with their escapes, and values of any type. Characters that must be escaped may be so in each of JSON's
// ways, those beyond ASCII too; other characters stand for themselves.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "grammar/ebnf.h"
#include "grammar/regex.h"

namespace rafter::grammar {

// An expression for one character of this set within a JSON string. The set must not be empty.
[[nodiscard]] std::string json_character(const CodeSet& set);
// For any number of such characters. The set must not be empty.
[[nodiscard]] std::string json_any_number_of(const CodeSet& set, EbnfRules& rules);
// For this text within a JSON string, without the quotes.
[[nodiscard]] std::string json_characters(std::string_view text);

// What stands on both sides of a text in place of quotes, as Gemma writes objects: {city:<escape>Rome<escape>}. Texts have no escapes and
// no mark within them, names of members that are words stand alone, and there is no white space.
struct TextMark {
    std::string text;                                  // begins with kMarkBegin, and has it once
    std::optional<std::int32_t> token = std::nullopt;  // that stands for it; none: the text does
};

// Expressions for JSON, or for the same values with marks in place of quotes; those that are long or refer to themselves are rules.
class JsonText {
  public:
    explicit JsonText(EbnfRules& rules, std::optional<TextMark> mark = std::nullopt);

    [[nodiscard]] const std::string& quote() const { return quote_; }  // what stands before a text and behind it
    [[nodiscard]] std::string quoted(const std::string& inside) const { return quote_ + " " + inside + " " + quote_; }
    [[nodiscard]] RegexText text_of_regex() const { return mark_ ? RegexText::kMarked : RegexText::kJsonString; }
    // A mark that a literal or a name should have had within it; empty: none.
    [[nodiscard]] const std::string& unspoken() const { return unspoken_; }

    [[nodiscard]] const std::string& space() const { return space_; }  // optional, between two tokens of JSON
    [[nodiscard]] const std::string& any_string() const { return string_; }
    // Of so many characters, an escape counting as one. Every such string has one of these lengths. With escapes, not every string of a
    // length near the greatest is one where that is above 16, nor one with escapes in its first characters where it must be long.
    [[nodiscard]] std::string string_of(Times n_characters);
    // This value, with white space where JSON has it.
    [[nodiscard]] std::string literal(const nlohmann::ordered_json& value);
    // Of a member.
    [[nodiscard]] std::string name(const std::string& name);
    [[nodiscard]] std::string any_name();
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
    [[nodiscard]] std::string rest_of_string(Times left);
    [[nodiscard]] std::string marked_text(Times n_characters);
    [[nodiscard]] std::string literal_text(const std::string& text);

    EbnfRules& rules_;
    std::optional<TextMark> mark_;
    std::string quote_, unspoken_;
    std::map<std::pair<std::uint64_t, std::int64_t>, std::string> rests_;  // of strings, by the lengths that are left
    std::string space_, escape_, string_, any_value_, any_object_;
};

}  // namespace rafter::grammar
