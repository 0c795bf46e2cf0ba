// The engine's attention kernel as the probe times it: some queries against one piece of 256 positions, near and from memory.
#pragma once

#include <vector>

#include "backend/cpu/isa.h"
#include "base/thread_pool.h"
#include "hardware/profile.h"
#include "probe/bench_team.h"
#include "probe/matrix_bench.h"

namespace rafter::probe {

// Readings go to profile.attention. All arguments outlive the benchmarks.
void add_attention_benchmarks(ThreadPool& pool, backend::cpu::Isa isa, ColdMemory& memory, const MatrixPlan& plan,
                              hardware::Profile& profile, std::vector<Benchmark>& benchmarks);

}  // namespace rafter::probe
