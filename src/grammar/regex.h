// Regular expressions as EBNF, where XGrammar's own reading would leave something out. The parts of Python's and JavaScript's expressions
// that mean the same in both: literals, classes, groups, alternatives and repetitions, with anchors at the ends. What is not among them is
// refused by name.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/ebnf.h"

namespace rafter::grammar {

enum class RegexText {
    kPlain,       // the expression is for the answer, all of it
    kJsonString,  // for the text of a JSON string, some part of which matches it, as in a schema's pattern
    kMarked,      // for a text between two marks, some part of which matches it: a text has no kMarkBegin
};
inline constexpr char32_t kMarkBegin = '<';  // the first character of every mark

// An EBNF expression, some parts of which may become rules. `where` stands before messages.
[[nodiscard]] Result<std::string> regex_expression(std::string_view regex, RegexText text, std::string_view where, EbnfRules& rules);
// Whether there is one.
[[nodiscard]] Result<void> check_regex(std::string_view regex, RegexText text, std::string_view where);

}  // namespace rafter::grammar
