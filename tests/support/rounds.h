// How often a test repeats itself. A sanitizer makes each round ten times as slow, and what it looks for shows in the first ones.
#pragma once

namespace rafter::tests {

#ifdef RAFTER_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// n, or a tenth of it under a sanitizer.
[[nodiscard]] constexpr int rounds(int n) { return kSanitized ? n / 10 : n; }

}  // namespace rafter::tests
