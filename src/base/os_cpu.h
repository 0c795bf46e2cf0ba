// Which CPUs this process may use, and how many threads that makes worth while.
#pragma once

#include <optional>
#include <vector>

namespace rafter {

// Numbers of the CPUs in this process's cpuset (sched_getaffinity), ascending; never empty.
[[nodiscard]] std::vector<unsigned> allowed_cpus();

// How many threads can run at once: the cpuset's CPUs, or fewer where a cgroup's quota gives less. Rounded down, because a thread beyond
// the quota is stopped in mid-step and all others wait for it; at least 1.
[[nodiscard]] unsigned usable_cpus();
[[nodiscard]] unsigned usable_cpus(std::size_t n_allowed, std::optional<double> quota_cpus);

// Seconds that this process's threads were ready to run and waited for a CPU, all of them together, since they started; nothing where the
// kernel does not say (/proc/self/task/*/schedstat, https://docs.kernel.org/scheduler/sched-stats.html).
[[nodiscard]] std::optional<double> waited_for_cpu_seconds();

// What top, ps and /proc/PID/task/TID/comm call this thread; at most 15 characters.
void name_this_thread(const char* name);

// False where the operating system refuses: then the thread runs anywhere, as before.
bool pin_this_thread(unsigned cpu);

// Asks the kernel whether this process's threads, later ones too, may use the tile registers of AMX: their 8 KiB are saved only for
// processes that ask (https://docs.kernel.org/arch/x86/xstate.html). False where kernel, container or processor refuse. Only processors
// with AMX should be asked.
[[nodiscard]] bool request_tile_registers();

}  // namespace rafter
