// The end of a failed RAFTER_CHECK: one line on stderr, then abort.
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace rafter {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
    fmt::print(stderr, "{}:{}: this is a bug in rafter: expected {}{}{}\n", file, line, condition, message.empty() ? "" : ": ", message);
    std::fflush(stderr);
    std::abort();
}

}  // namespace rafter
