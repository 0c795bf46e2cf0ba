// The scheduler's calls behind os_cpu.h.
#include "base/os_cpu.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "base/os_cgroup.h"

namespace rafter {
namespace {

struct FreeCpuSet {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};

}  // namespace

std::vector<unsigned> allowed_cpus() {
    std::vector<unsigned> cpus;
    // The kernel refuses a mask shorter than its own with EINVAL.
    for (int n_bits = CPU_SETSIZE; n_bits <= (1 << 20); n_bits *= 2) {
        const std::unique_ptr<cpu_set_t, FreeCpuSet> set(CPU_ALLOC(n_bits));
        const std::size_t size_bytes = CPU_ALLOC_SIZE(n_bits);
        if (!set) break;
        if (sched_getaffinity(0, size_bytes, set.get()) != 0) {
            if (errno == EINVAL) continue;
            break;
        }
        for (int cpu = 0; cpu < n_bits; ++cpu) {
            if (CPU_ISSET_S(cpu, size_bytes, set.get())) cpus.push_back(static_cast<unsigned>(cpu));
        }
        break;
    }
    if (cpus.empty()) {
        for (unsigned cpu = 0; cpu < std::max(1U, std::thread::hardware_concurrency()); ++cpu) cpus.push_back(cpu);
    }
    return cpus;
}

unsigned usable_cpus(std::size_t n_allowed, std::optional<double> quota_cpus) {
    double n = static_cast<double>(n_allowed);
    if (quota_cpus) n = std::min(n, *quota_cpus);
    return static_cast<unsigned>(std::max(1.0, n));
}

unsigned usable_cpus() { return usable_cpus(allowed_cpus().size(), read_cgroup_limits().cpus); }

std::optional<double> waited_for_cpu_seconds() {
    constexpr double kNanosecond = 1e-9;
    std::optional<double> all;
    std::error_code failed;
    for (std::filesystem::directory_iterator it("/proc/self/task", failed), end; !failed && it != end; it.increment(failed)) {
        std::ifstream file(it->path() / "schedstat");
        double running = 0.0;
        double waiting = 0.0;
        if (file >> running >> waiting) all = all.value_or(0.0) + waiting * kNanosecond;
    }
    return all;
}

void name_this_thread(const char* name) { static_cast<void>(pthread_setname_np(pthread_self(), name)); }

bool pin_this_thread(unsigned cpu) {
    const int n_bits = std::max(CPU_SETSIZE, static_cast<int>(cpu) + 1);
    const std::unique_ptr<cpu_set_t, FreeCpuSet> set(CPU_ALLOC(n_bits));
    if (!set) return false;
    const std::size_t size_bytes = CPU_ALLOC_SIZE(n_bits);
    CPU_ZERO_S(size_bytes, set.get());
    CPU_SET_S(cpu, size_bytes, set.get());
    return sched_setaffinity(0, size_bytes, set.get()) == 0;
}

bool request_tile_registers() {
#if defined(SYS_arch_prctl)
    constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM, Linux 5.16
    constexpr long kTileData = 18;               // XFEATURE_XTILE_DATA
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
    return false;
#endif
}

}  // namespace rafter
