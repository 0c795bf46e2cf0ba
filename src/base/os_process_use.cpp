// From /proc/self and the limits of the process.
#include "base/os_process_use.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace rafter {
namespace {

std::string read_text(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::uint64_t count_entries(const char* folder) {
    DIR* const open = opendir(folder);
    if (open == nullptr) return 0;
    std::uint64_t n = 0;
    while (const dirent* entry = readdir(open)) n += entry->d_name[0] != '.';
    closedir(open);
    return n > 0 ? n - 1 : 0;  // the folder itself was open
}

double now_on(clockid_t clock) {
    timespec now{};
    if (clock_gettime(clock, &now) != 0) return 0.0;
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// proc(5): the 22nd field, in ticks since the machine started. The second field is a name that may hold spaces and parentheses.
double start_seconds() {
    const std::string stat = read_text("/proc/self/stat");
    const std::size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos) return 0.0;
    std::istringstream fields(stat.substr(name_end + 1));
    std::string field;
    for (int i = 3; i <= 22; ++i) fields >> field;
    const double ticks = std::strtod(field.c_str(), nullptr);
    return now_on(CLOCK_REALTIME) - now_on(CLOCK_BOOTTIME) + ticks / static_cast<double>(std::max(1L, sysconf(_SC_CLK_TCK)));
}

}  // namespace

ProcessUse read_process_use() {
    ProcessUse use{.cpu_seconds = now_on(CLOCK_PROCESS_CPUTIME_ID), .n_open_files = count_entries("/proc/self/fd")};
    std::istringstream pages(read_text("/proc/self/statm"));
    const auto page_bytes = static_cast<std::uint64_t>(std::max(1L, sysconf(_SC_PAGESIZE)));
    std::uint64_t n_virtual = 0, n_resident = 0;
    if (pages >> n_virtual >> n_resident) {
        use.virtual_bytes = n_virtual * page_bytes;
        use.resident_bytes = n_resident * page_bytes;
    }
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) use.max_open_files = files.rlim_cur;
    use.start_seconds = start_seconds();
    return use;
}

}  // namespace rafter
