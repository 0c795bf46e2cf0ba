// Names as people type them: "llama 3.1 8b" is Llama-3.1-8B.
#pragma once

#include <string>
#include <string_view>

namespace rafter {

// The ASCII letters, in lower case, and digits; all else is left out.
[[nodiscard]] std::string folded_name(std::string_view name);
// The ASCII letters in lower case, all else as it is, whatever the locale.
[[nodiscard]] std::string lower_case(std::string_view text);

}  // namespace rafter
