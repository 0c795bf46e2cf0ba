// The command line's words before the parser sees them: what nobody can have meant is told with what was meant.
#pragma once

#include <span>
#include <string>

#include "apps/options/verb.h"

namespace rafter::apps {

// words: those after the verb. Fails on an option that the verb does not have ("unknown option --temprature; did you mean --temperature?"),
// on one without its value, and on more arguments than the verb has places for. Nothing that follows --help counts.
[[nodiscard]] Result<void> check_words(const Verb& verb, std::span<const std::string> words);

// "; did you mean --temperature?", or nothing where no flag is near.
[[nodiscard]] std::string flag_suggestion(const Verb& verb, std::string_view word);

}  // namespace rafter::apps
