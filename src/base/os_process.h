// Processes: those we start, and how our own ends.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace rafter {

// Runs a program found on PATH with these arguments (no shell), its stdout and stderr going to our stderr, and waits. The exit status, or
// 128 + the signal that ended it.
[[nodiscard]] Result<int> run_process(const std::vector<std::string>& command);

// Writing to a pipe that nobody reads any more becomes an error of that write instead of the end of the program.
void ignore_broken_pipes();

}  // namespace rafter
