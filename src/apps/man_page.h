// The manual page, rafter(1), in roff: its list of verbs and options is the program's own, the rest is written in man_page.cpp.
#pragma once

#include <string>

#include "apps/shape.h"

namespace rafter::apps {

[[nodiscard]] std::string man_page(const VerbShape& app);

}  // namespace rafter::apps
