// What a regular expression or an EBNF grammar would become, estimated without building it: XGrammar has no bounds of its own.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace rafter::grammar {

inline constexpr std::size_t kMaxExpandedSize = 50'000;  // characters, classes and names, each as often as repetitions say
inline constexpr std::size_t kMaxNesting = 100;          // of groups

enum class PatternSyntax {
    kRegex,  // letters stand for themselves
    kEbnf,   // letters are names, texts are quoted
};

// Linear in the text. Fails where repetitions within repetitions make it too large, and where groups nest too deep.
// `where` stands before messages.
[[nodiscard]] Result<void> check_pattern_size(std::string_view text, PatternSyntax syntax, std::string_view where);

}  // namespace rafter::grammar
