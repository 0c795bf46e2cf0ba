// Weights are bytes between 0x2C and 0x3C: a 16-bit float of them is about 0.1 to 1, a 32-bit one small but normal, in any format.
#include "probe/matrix_bench.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <utility>

#include "backend/cpu/linear.h"
#include "backend/cpu/packed_layout.h"
#include "model/workspace.h"
#include "probe/machine_kernels.h"
#include "tensor/float_types.h"
#include "tensor/formats/formats.h"

namespace rafter::probe {
namespace {

using backend::cpu::Isa;
using backend::cpu::kPanelRows;
using backend::cpu::LinearTask;
using backend::cpu::PackedMatrix;
using model::Encoding;

constexpr std::uint32_t kWidth = 2048;         // elements a row: a multiple of every block, and a usual d_model
constexpr std::uint32_t kMaxColumns = 512;     // a step's tokens
constexpr std::size_t kNearBytes = 96 << 10U;  // a thread's weights that stay in its L2
constexpr std::size_t kColdBytes = 2 << 20U;   // a thread's weights a sample from memory
constexpr double kMaxFlops = 4e8;              // of a call: a tenth of a second where kernels are plain C++
constexpr std::size_t kCacheLine = 64;
constexpr std::uint32_t kMinTimedTileColumns = 4;  // a tile of fewer columns takes as long, and vectors a quarter of it

void fill(std::byte* bytes, std::size_t n, std::uint32_t seed) {
    std::uint32_t state = seed * 2654435761U + 1;
    for (std::size_t i = 0; i < n; ++i) {
        state = state * 1664525U + 1013904223U;
        bytes[i] = static_cast<std::byte>(0x2C + (state >> 24U) % 17);
    }
}

std::string name_of(Encoding encoding) { return encoding == Encoding::kF32 ? "f32" : encoding == Encoding::kQ8 ? "q8" : "q16"; }

// Inputs in one encoding, outputs and scratch of all threads: shared by the benchmarks, which run one at a time.
struct Operands {
    PageBuffer memory;
    std::map<Encoding, std::pair<const std::byte*, std::size_t>> inputs;  // and bytes a row
    float* outputs = nullptr;                                             // [kMaxColumns][n_threads][kOutputFloats]
    std::size_t output_stride = 0;
    std::vector<std::byte*> scratch;
    const std::byte* near = nullptr;  // [n_threads][near_bytes]
    std::size_t near_bytes = 0;
    backend::cpu::WeightFetch fetch = backend::cpu::best_weight_fetch();
};

constexpr std::size_t kOutputRows = 4096;  // a thread's, at most

std::shared_ptr<Operands> make_operands(const ThreadPool& pool, Isa isa) {
    auto operands = std::make_shared<Operands>();
    const std::size_t n_threads = pool.n_threads();
    const std::size_t float_bytes = kWidth * sizeof(float);
    std::size_t size = kMaxColumns * float_bytes;
    for (const Encoding e : {Encoding::kQ8, Encoding::kQ16}) size += kMaxColumns * model::row_bytes(e, kWidth);
    operands->output_stride = kOutputRows * n_threads;
    const std::size_t output_bytes = 16 * operands->output_stride * sizeof(float) + kMaxColumns * 1024 * n_threads * sizeof(float);
    // Two panels of floats are larger than what else stays near.
    operands->near_bytes = std::max(kNearBytes, 2 * kPanelRows * float_bytes);
    size += output_bytes + n_threads * (operands->near_bytes + backend::cpu::kLinearScratchBytes) + 8 * kCacheLine;
    auto memory = PageBuffer::allocate(size, "operands of the probe");
    if (!memory) return nullptr;
    operands->memory = *std::move(memory);

    std::byte* at = operands->memory.data();
    const auto take = [&](std::size_t bytes) { return std::exchange(at, at + (bytes + kCacheLine - 1) / kCacheLine * kCacheLine); };
    auto* const floats = reinterpret_cast<float*>(take(kMaxColumns * float_bytes));
    for (std::size_t i = 0; i < std::size_t{kMaxColumns} * kWidth; ++i) floats[i] = static_cast<float>(i * 37 % 101) * 0.02F - 1.0F;
    operands->inputs[Encoding::kF32] = {reinterpret_cast<const std::byte*>(floats), float_bytes};
    for (const Encoding e : {Encoding::kQ8, Encoding::kQ16}) {
        const std::size_t row_bytes = model::row_bytes(e, kWidth);
        std::byte* const rows = take(kMaxColumns * row_bytes);
        for (std::size_t c = 0; c < kMaxColumns; ++c) {
            backend::cpu::linear_kernels(isa).quantize(floats + c * kWidth, kWidth, e, rows + c * row_bytes);
        }
        operands->inputs[e] = {rows, row_bytes};
    }
    operands->outputs = reinterpret_cast<float*>(take(output_bytes));
    std::byte* const near = take(n_threads * operands->near_bytes);
    fill(near, n_threads * operands->near_bytes, 1);
    operands->near = near;
    for (std::size_t t = 0; t < n_threads; ++t) operands->scratch.push_back(take(backend::cpu::kLinearScratchBytes));
    return operands;
}

struct Case {
    tensor::DType dtype;
    Encoding encoding;
    std::uint32_t n_columns;
    bool from_memory;
    MatrixKernel kernel = MatrixKernel::kUsual;
};

// Panels that a thread multiplies in a call: as many as fit where the weights shall lie, fewer where that would take too long. An even
// number: kernels may take two at once, and a thread's share of a real matrix has so many that an odd one does not show.
std::uint32_t panels_of(const Case& c, const Operands& operands) {
    const std::size_t panel_bytes = kPanelRows * tensor::format_of(c.dtype).row_bytes(kWidth);
    const std::size_t bytes = c.from_memory ? kColdBytes : operands.near_bytes;
    const double panel_flops = 2.0 * kPanelRows * kWidth * c.n_columns;
    const std::size_t most_rows = c.n_columns <= 16 ? kOutputRows : 1024;
    const auto by_work = static_cast<std::size_t>(kMaxFlops / 8 / panel_flops);
    return static_cast<std::uint32_t>(std::max<std::size_t>(2, std::min({bytes / panel_bytes, most_rows / kPanelRows, by_work}) / 2 * 2));
}

double sample_matrix(ThreadPool& pool, Isa isa, ColdMemory& memory, Operands& operands, const Case& c) {
    const std::uint32_t n_panels = panels_of(c, operands);
    const std::size_t panel_bytes = kPanelRows * tensor::format_of(c.dtype).row_bytes(kWidth);
    const auto& [input, row_bytes] = operands.inputs.at(c.encoding);
    const auto work = [&, in = input, stride = row_bytes](unsigned thread) {
        const std::byte* const weights =
            c.from_memory ? memory.next(thread, n_panels * panel_bytes) : operands.near + thread * operands.near_bytes;
        LinearTask task;
        task.weights = PackedMatrix{.dtype = c.dtype,
                                    .n_rows = n_panels * kPanelRows,
                                    .n_cols = kWidth,
                                    .n_panels = n_panels,
                                    .panel_bytes = panel_bytes,
                                    .data = weights};
        task.encoding = c.encoding;
        task.fetch = operands.fetch;
        if (c.kernel == MatrixKernel::kVectors) task.min_tile_columns = c.n_columns + 1;
        if (c.kernel == MatrixKernel::kTiles) task.min_tile_columns = 1;
        task.input = in;
        task.input_stride_bytes = stride;
        task.n_columns = c.n_columns;
        task.output_stride = c.n_columns <= 16 ? operands.output_stride : std::size_t{1024} * pool.n_threads();
        task.output = operands.outputs + thread * (task.output_stride / pool.n_threads());
        task.last_panel = n_panels;
        task.scratch = operands.scratch[thread];
        backend::cpu::linear_kernels(isa).run(task);
    };
    const double flops = 2.0 * n_panels * kPanelRows * kWidth * c.n_columns;
    // Enough work to be longer than the clock's and the barrier's share, as if a core did 30 GFLOP/s.
    const auto repeats = c.from_memory ? 1U : static_cast<unsigned>(std::clamp(1e7 / flops, 1.0, 64.0));
    const double seconds = time_team(pool, work, {.repeats = repeats, .warm = !c.from_memory});
    return seconds / (static_cast<double>(n_panels) * kPanelRows * kWidth * pool.n_threads());
}

std::vector<Case> cases_of(const MatrixPlan& plan, Isa isa) {
    std::vector<std::uint32_t> near_columns = {1, 2, 3, 4, 6, 8, 16, 64, 256, 512};
    const bool few = plan.quick && plan.focus.weights.empty();
    if (few) near_columns = {1, 2, 4, 8, 16, 256};
    std::vector<std::uint32_t> cold_columns = few ? std::vector<std::uint32_t>{1, 4} : std::vector<std::uint32_t>{1, 2, 4, 16};
    if (isa == Isa::kScalar) {
        near_columns = {1, 2, 4, 16};
        cold_columns = {1};
    }
    std::vector<Case> cases;
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.dtype == tensor::DType::kI32 || !plan.focus.wants(format.dtype)) continue;
        const Encoding usual = tensor::is_float(format.dtype) ? Encoding::kF32 : Encoding::kQ8;
        for (const std::uint32_t n : near_columns) {
            const bool has_both = isa == Isa::kAmx && n >= kMinTimedTileColumns && n <= backend::cpu::kTileColumns &&
                                  backend::cpu::has_tile_kernel(format.dtype, usual);
            cases.push_back({format.dtype, usual, n, false, has_both ? MatrixKernel::kVectors : MatrixKernel::kUsual});
            if (has_both) cases.push_back({format.dtype, usual, n, false, MatrixKernel::kTiles});
        }
        for (const std::uint32_t n : cold_columns) cases.push_back({format.dtype, usual, n, true});
        if (usual == Encoding::kF32) continue;
        // 15 bits is how the head's input comes, for few tokens; floats only where somebody asks for them.
        for (const std::uint32_t n : {1U, 4U, 16U}) cases.push_back({format.dtype, Encoding::kQ16, n, false});
        cases.push_back({format.dtype, Encoding::kQ16, 1, true});
        if (few) continue;
        cases.push_back({format.dtype, Encoding::kQ16, 64, false});
        cases.push_back({format.dtype, Encoding::kQ16, 4, true});
        if (plan.quick) continue;
        for (const std::uint32_t n : {1U, 4U, 64U}) {
            if (isa != Isa::kScalar || n == 1) cases.push_back({format.dtype, Encoding::kF32, n, false});
        }
    }
    return cases;
}

}  // namespace

Result<ColdMemory> ColdMemory::create(ThreadPool& pool, std::size_t size_bytes) {
    ColdMemory cold;
    cold.part_bytes_ = size_bytes / pool.n_threads() / 4096 * 4096;
    RAFTER_TRY(cold.memory_, PageBuffer::allocate(cold.part_bytes_ * pool.n_threads(), "memory to read weights from"));
    cold.position_.assign(pool.n_threads(), 0);
    pool.run([&](unsigned thread) {
        std::byte* const part = cold.memory_.data() + thread * cold.part_bytes_;
        constexpr std::size_t kPattern = std::size_t{1} << 16U;
        fill(part, std::min(kPattern, cold.part_bytes_), thread + 2);
        for (std::size_t at = kPattern; at < cold.part_bytes_; at += kPattern) {
            std::memcpy(part + at, part, std::min(kPattern, cold.part_bytes_ - at));
        }
    });
    return cold;
}

const std::byte* ColdMemory::next(unsigned thread, std::size_t size_bytes) {
    std::size_t& position = position_[thread];
    if (position + size_bytes > part_bytes_) position = 0;
    const std::byte* const window = memory_.data() + thread * part_bytes_ + position;
    position += (size_bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
    return window;
}

void record_matrix(hardware::Profile& profile, hardware::MatrixReading reading, MatrixKernel kernel) {
    if (kernel != MatrixKernel::kTiles) {
        profile.matrices.push_back(std::move(reading));
        return;
    }
    constexpr std::uint32_t kNever = backend::cpu::kTileColumns + 1;
    if (profile.tiles.empty() || profile.tiles.back().weights != reading.weights) {
        profile.tiles.push_back({.weights = reading.weights, .min_columns = kNever});
    }
    unsigned& min_columns = profile.tiles.back().min_columns;
    if (reading.seconds_per_weight < profile.matrices.back().seconds_per_weight) {
        min_columns = std::min(min_columns, reading.n_columns);
        profile.matrices.back() = std::move(reading);
    } else {
        min_columns = kNever;
    }
}

void add_matrix_benchmarks(ThreadPool& pool, Isa isa, ColdMemory& memory, const MatrixPlan& plan, hardware::Profile& profile,
                           std::vector<Benchmark>& benchmarks) {
    const std::shared_ptr<Operands> operands = make_operands(pool, isa);
    if (!operands) return;
    for (const Case& c : cases_of(plan, isa)) {
        benchmarks.push_back({.sample = [&pool, isa, &memory, operands, c] { return sample_matrix(pool, isa, memory, *operands, c); },
                              .record =
                                  [&profile, c](const Spread& spread) {
                                      record_matrix(profile,
                                                    {.weights = c.dtype,
                                                     .activations = name_of(c.encoding),
                                                     .n_columns = c.n_columns,
                                                     .from_memory = c.from_memory,
                                                     .seconds_per_weight = spread.first_decile,
                                                     .spread = spread.relative()},
                                                    c.kernel);
                                  }});
    }
    const auto read_cold = [&pool, isa, &memory] {
        const MachineKernels& kernels = machine_kernels(isa);
        std::atomic<std::uint64_t> keep = 0;
        const auto work = [&](unsigned thread) { keep |= kernels.read(memory.next(thread, kColdBytes), kColdBytes); };
        const double seconds = time_team(pool, work, {.warm = false});
        return keep != 0 ? seconds / (static_cast<double>(kColdBytes) * pool.n_threads()) : seconds;
    };
    benchmarks.push_back(
        {.sample = read_cold, .record = [&profile](const Spread& spread) { profile.stream_bytes_per_s = 1.0 / spread.first_decile; }});
}

}  // namespace rafter::probe
