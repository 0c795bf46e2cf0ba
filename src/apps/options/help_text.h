// What `rafter VERB --help` prints.
#pragma once

#include <string>

#include "apps/options/verb.h"

namespace rafter::apps {

// Lines of at most 100 columns, examples apart.
[[nodiscard]] std::string help_text(const Verb& verb);
// What an option's help says besides its text: "1 to 64; default: 8", or nothing.
[[nodiscard]] std::string value_notes(const BoundOption& option);
// "N", or "N,.." where the verb takes several.
[[nodiscard]] std::string value_name(const BoundOption& option);

}  // namespace rafter::apps
