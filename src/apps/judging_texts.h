// What models are judged by where no file is named: share/judging, inside the program.
#pragma once

#include <string_view>

namespace rafter::apps {

inline constexpr std::string_view kBuiltIn = "built-in";  // its name on the command line and in messages

[[nodiscard]] std::string_view judging_text();
[[nodiscard]] std::string_view judging_tasks();  // JSON lines

}  // namespace rafter::apps
