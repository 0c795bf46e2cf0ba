// Processes: those we start, and how our own ends.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace rafter {

// Runs a program found on PATH with these arguments (no shell), its stdout and stderr going to our stderr, and waits. The exit status, or
// 128 + the signal that ended it.
[[nodiscard]] Result<int> run_process(const std::vector<std::string>& command);

// The file that this process runs, and the C library that it runs with ("glibc 2.36"): the same of both, and the same bits come out.
[[nodiscard]] std::filesystem::path this_program();
[[nodiscard]] std::string c_library();

// Writing to a pipe that nobody reads any more, or beyond the size that a file may have, becomes an error of that write instead of the end
// of the program.
void fail_writes_without_signals();

}  // namespace rafter
