// Chat templates for model files that carry none, known by the turn markers in their vocabulary.
#pragma once

#include <optional>
#include <string_view>

#include "text/tokenizer.h"

namespace rafter::engine {

[[nodiscard]] std::optional<std::string_view> known_template(const text::Tokenizer& tokenizer);

}  // namespace rafter::engine
