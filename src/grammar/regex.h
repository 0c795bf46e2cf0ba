// Regular expressions as EBNF, where XGrammar's own reading would leave something out. The parts of Python's and JavaScript's expressions
// that mean the same in both: literals, classes, groups, alternatives and repetitions, with anchors at the ends. What is not among them is
// refused by name.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rafter::grammar {

enum class RegexText {
    kPlain,       // the expression is for the answer, all of it
    kJsonString,  // for the text of a JSON string, some part of which matches it, as in a schema's pattern
};

// An EBNF expression. `where` stands before messages.
[[nodiscard]] Result<std::string> regex_expression(std::string_view regex, RegexText text, std::string_view where);

}  // namespace rafter::grammar
