// This build's version, "0.1.0": part of what a saved machine profile is known by.
#pragma once

namespace rafter {

[[nodiscard]] const char* version();

}  // namespace rafter
