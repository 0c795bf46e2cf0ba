// Names as people type them: "llama 3.1 8b" is Llama-3.1-8B.
#pragma once

#include <string>
#include <string_view>

namespace rafter {

// The ASCII letters, in lower case, and digits; all else is left out.
[[nodiscard]] std::string folded_name(std::string_view name);

}  // namespace rafter
