// How often a test repeats itself. A sanitizer makes each round ten times as slow, and what it looks for shows in the first ones.
#pragma once

namespace rafter::tests {

// n, or a tenth of it under a sanitizer.
[[nodiscard]] constexpr int rounds(int n) {
#ifdef RAFTER_SANITIZED
    return n / 10;
#else
    return n;
#endif
}

}  // namespace rafter::tests
