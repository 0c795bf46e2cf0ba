// The engine's own matrix kernels, as the probe times them: each weight format, as activations come to it, for several numbers of columns;
// with the weights in the nearest caches (what the arithmetic costs) and streaming from memory (how much of the reading hides behind it).
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "base/os_memory.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "hardware/profile.h"
#include "probe/bench_team.h"

namespace rafter::probe {

// What alone is wanted of a probe: it then has time for more numbers of columns and more repeats of these.
struct ProbeFocus {
    std::vector<tensor::DType> weights;     // empty: all formats
    std::vector<backend::KvType> kv_types;  // of a quick probe beside F16
    // That weights are streamed from: what lies in the last cache from step to step hides arithmetic otherwise than memory does. 0: memory.
    double working_set_bytes = 0.0;
    double seconds = 1.6;  // of a quick probe, for timing kernels

    [[nodiscard]] bool wants(tensor::DType dtype) const {
        return weights.empty() || std::find(weights.begin(), weights.end(), dtype) != weights.end();
    }
    [[nodiscard]] bool wants(backend::KvType type) const { return std::find(kv_types.begin(), kv_types.end(), type) != kv_types.end(); }
};

// Memory that weights are read from: a large buffer of bytes that every format takes for small numbers, read in windows that move on from
// sample to sample, so that what is read was not read for a long time.
class ColdMemory {
  public:
    // Each thread writes and reads its own part. Fails when the memory cannot be allocated.
    [[nodiscard]] static Result<ColdMemory> create(ThreadPool& pool, std::size_t size_bytes);
    // The next window of a thread's part; at most a quarter of the part.
    [[nodiscard]] const std::byte* next(unsigned thread, std::size_t size_bytes);
    // Always the same bytes of a thread's part.
    [[nodiscard]] const std::byte* fixed(unsigned thread) const { return memory_.data() + thread * part_bytes_; }
    [[nodiscard]] std::size_t part_bytes() const { return part_bytes_; }

  private:
    PageBuffer memory_;
    std::size_t part_bytes_ = 0;
    std::vector<std::size_t> position_;  // [n_threads]
};

struct MatrixPlan {
    bool quick = false;
    ProbeFocus focus = {};
};

// Where there are tiles, a number of columns that may be too few for them is timed with both.
enum class MatrixKernel {
    kUsual,    // as the kernels choose
    kVectors,  // vectors alone
    kTiles,    // tiles however few the columns are
};
// Of both the faster reading is kept. profile.tiles gets the smallest number of columns at which tiles win, and win with every larger
// number that was timed. Readings of a format come in ascending numbers of columns, each of kTiles right after that of kVectors.
void record_matrix(hardware::Profile& profile, hardware::MatrixReading reading, MatrixKernel kernel);

// Adds the benchmarks, whose readings go to profile.matrices and profile.stream_bytes_per_s. All arguments outlive the benchmarks.
void add_matrix_benchmarks(ThreadPool& pool, backend::cpu::Isa isa, ColdMemory& memory, const MatrixPlan& plan, hardware::Profile& profile,
                           std::vector<Benchmark>& benchmarks);

}  // namespace rafter::probe
