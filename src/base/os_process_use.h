// What this process uses of the machine, as its metrics say it.
#pragma once

#include <cstdint>

namespace rafter {

struct ProcessUse {
    std::uint64_t resident_bytes = 0;
    std::uint64_t virtual_bytes = 0;
    double cpu_seconds = 0.0;  // of all threads, in the system too
    std::uint64_t n_open_files = 0;
    std::uint64_t max_open_files = 0;
    double start_seconds = 0.0;  // since 1970
};
// Where the system does not say, a number is 0. Takes as long as files are open: about a microsecond each.
[[nodiscard]] ProcessUse read_process_use();

}  // namespace rafter
