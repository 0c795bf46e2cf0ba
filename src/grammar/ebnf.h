// Building EBNF for XGrammar: rules by name, and the texts and classes that their bodies consist of. Every expression made here can stand
// in a sequence as it is.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/code_range.h"

namespace rafter::grammar {

using text::CodeRange;

// A set of code points, none of them a surrogate.
class CodeSet {
  public:
    CodeSet() = default;
    CodeSet(std::initializer_list<CodeRange> ranges);
    static CodeSet all();

    void add(CodeRange range);
    void add(const CodeSet& other);
    [[nodiscard]] CodeSet complement() const;
    [[nodiscard]] CodeSet intersection(const CodeSet& other) const;
    [[nodiscard]] bool contains(char32_t code) const;
    [[nodiscard]] bool contains_all_of(CodeRange range) const;
    [[nodiscard]] bool empty() const { return ranges_.empty(); }
    [[nodiscard]] const std::vector<CodeRange>& ranges() const { return ranges_; }  // in order, apart from each other

  private:
    void tidy();
    std::vector<CodeRange> ranges_;
};

// "[a-z\u00e9]"; the set must not be empty.
[[nodiscard]] std::string ebnf_class(const CodeSet& set);
// All others, said by what they are not: XGrammar knows ahead of time how many characters of such a class a token has.
[[nodiscard]] std::string ebnf_class_without(const CodeSet& set);
// "\"text\""; the text is UTF-8. An empty text is "\"\"".
[[nodiscard]] std::string ebnf_text(std::string_view text);
// "(a | b)"; of one, itself. There must be one.
[[nodiscard]] std::string ebnf_any_of(const std::vector<std::string>& alternatives);
// "a{2,3}", "a*", "a?"; max: none for no bound.
struct Times {
    std::uint64_t min = 0;
    std::int64_t max = -1;  // below 0: any number
};
[[nodiscard]] std::string ebnf_times(const std::string& item, Times times);
// The UTF-8 code point at `at`, which moves on. Invalid bytes give U+FFFD.
[[nodiscard]] char32_t next_code(std::string_view text, std::size_t& at);

class EbnfRules {
  public:
    // The rule's name. Equal bodies share a rule.
    std::string add(const std::string& body);
    // A name for a rule that refers to itself: define() gives its body later.
    std::string declare();
    void define(const std::string& name, const std::string& body);
    // A rule whose body refers to itself as "@", which no expression made here has. Equal bodies share one.
    std::string add_self_referring(const std::string& body);
    // All of it, beginning with the root.
    [[nodiscard]] std::string grammar(const std::string& root) const;

  private:
    std::vector<std::pair<std::string, std::string>> rules_;
    std::map<std::string, std::size_t> declared_;
    std::map<std::string, std::string> by_body_;
};

// Any text that does not have this one within it. The text's first code point must come in it once.
[[nodiscard]] std::string ebnf_text_without(std::string_view text, EbnfRules& rules);

}  // namespace rafter::grammar
