// The engine's small kernels on rows, on one thread each, and what threads pay each other: meetings, and reading what another one wrote.
#pragma once

#include <vector>

#include "backend/cpu/isa.h"
#include "base/thread_pool.h"
#include "hardware/profile.h"
#include "probe/bench_team.h"

namespace rafter::probe {

// Readings go to profile.rows. All arguments outlive the benchmarks.
void add_row_benchmarks(ThreadPool& pool, backend::cpu::Isa isa, hardware::Profile& profile, std::vector<Benchmark>& benchmarks);

// Readings go to profile.barrier_seconds, fork_join_seconds, handover_*.
void add_team_benchmarks(ThreadPool& pool, backend::cpu::Isa isa, hardware::Profile& profile, std::vector<Benchmark>& benchmarks);

}  // namespace rafter::probe
