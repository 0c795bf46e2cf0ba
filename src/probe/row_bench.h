// The engine's small kernels on rows, on one thread each, and what threads pay each other: barriers, and reading what another one wrote.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "backend/cpu/isa.h"
#include "base/thread_pool.h"
#include "hardware/profile.h"
#include "probe/bench_team.h"

namespace rafter::probe {

inline constexpr std::size_t kMaxRowWidth = 4096;

// Rows to work on. Vectors, not huge pages: they lie in the nearest cache.
struct RowData {
    std::vector<float> a = std::vector<float>(kMaxRowWidth, 0.25F);
    std::vector<float> b = std::vector<float>(kMaxRowWidth, -0.5F);
    std::vector<float> y = std::vector<float>(2 * kMaxRowWidth);
    std::vector<std::byte> bytes = std::vector<std::byte>(kMaxRowWidth * 32);  // KV tiles, quantised rows
    std::vector<std::byte> panel = std::vector<std::byte>(16 * kMaxRowWidth * 4 + 64, std::byte{0x3C});
};

// One kernel on one row of `width` elements: at most kMaxRowWidth, a multiple of 256.
struct RowWork {
    std::string kind;  // as hardware::RowReading names it
    std::function<void(RowData& data, std::size_t width)> run;
};
// Every row kernel of an available instruction set.
[[nodiscard]] std::vector<RowWork> row_work(backend::cpu::Isa isa);

// Readings go to profile.rows. All arguments outlive the benchmarks.
void add_row_benchmarks(ThreadPool& pool, backend::cpu::Isa isa, hardware::Profile& profile, std::vector<Benchmark>& benchmarks);

// Readings go to profile.barrier_seconds, fork_join_seconds, handover_*.
void add_team_benchmarks(ThreadPool& pool, backend::cpu::Isa isa, hardware::Profile& profile, std::vector<Benchmark>& benchmarks);

}  // namespace rafter::probe
