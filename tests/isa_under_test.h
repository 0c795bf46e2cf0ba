// Which instruction sets a kernel test runs for. A release build tests every one the machine has; a sanitizer build only the best, because
// the product of sanitizers and instruction sets costs minutes and finds little (CMake's RAFTER_TEST_ISAS says which).
#pragma once

#include <vector>

namespace rafter::tests {

// available: what the machine has, the best one last.
template <typename Isa>
[[nodiscard]] std::vector<Isa> isas_under_test(std::vector<Isa> available) {
#ifdef RAFTER_TEST_BEST_ISA_ONLY
    if (available.size() > 1) available.erase(available.begin(), available.end() - 1);
#endif
    return available;
}

}  // namespace rafter::tests
