// The seam between the engine and what computes: a Backend is a device, a DeviceModel is a program with its weights, cache and workspace
// there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/batch.h"
#include "backend/sampling.h"
#include "base/result.h"
#include "files/tensor_source.h"
#include "hardware/profile.h"
#include "model/program.h"
#include "roofline/op_price.h"

namespace rafter::backend {

// How the cache holds keys and values: each row of a head is rounded by itself when it is appended. The quantised types take 32 elements of
// a row at a time (a row's last group may have fewer), with numbers of 16 bits, F16, for each group:
//   Q8  x = scale * q            q in -127 .. 127
//   Q4  x = scale * q + minimum  q in 0 .. 15
// An element is then off by half a scale at most. A group that has no finite scale or minimum, as with NaN or magnitudes beyond 65504 * 127
// (Q8) or 65504 (Q4), becomes NaN.
enum class KvType { kF32, kF16, kBF16, kQ8, kQ4 };

inline constexpr std::size_t kKvGroup = 32;

[[nodiscard]] std::span<const KvType> kv_types();
[[nodiscard]] std::string_view to_string(KvType type);  // "f32", "f16", "bf16", "q8", "q4"
[[nodiscard]] std::optional<KvType> kv_type_from_name(std::string_view name);
// Of a head's key or value of n elements, scales and minimums included.
[[nodiscard]] std::size_t kv_row_bytes(KvType type, std::size_t n_elements);

struct StepLimits {
    std::uint32_t n_tokens = 512;   // a step's rows at most
    std::uint32_t n_outputs = 64;   // rows with logits at most
    std::uint32_t n_positions = 0;  // of a sequence at most; read only where attention is unfused (model::has_scores), and required there
};

struct KvCacheOptions {
    KvType key_type = KvType::kF16;
    KvType value_type = KvType::kF16;
    std::uint32_t block_size = 16;        // positions a block; a power of two from 16 to 256
    std::vector<std::uint32_t> n_blocks;  // [n_cache_groups]
};

class DeviceModel;

struct LoadOptions {
    StepLimits limits;
    KvCacheOptions cache;
    std::function<void(double fraction)> progress;  // called from the loading thread with 0..1; may be empty
    // Called from the loading thread, some tens of times, while the compute threads are idle: others may use them until it returns. May be
    // empty.
    std::function<void()> let_others = {};
    // A model of the same source, backend and list of weights: they share its weights in memory, and either may end first. Null: its own.
    const DeviceModel* weights_of = nullptr;
};

struct MemoryUse {
    std::size_t weights_bytes = 0;
    std::size_t cache_bytes = 0;
    std::size_t workspace_bytes = 0;
};

// Of a kObserve op: the sums of squares of its inputs, and how many rows there were, since load.
struct Observed {
    std::span<const double> sum_squares;    // [n_matrices, n_cols]
    std::span<const std::uint64_t> n_rows;  // [n_matrices]
};

// forward() is called by one thread at a time. All sizes were fixed at load, so it cannot fail on a batch within the limits.
class DeviceModel {
  public:
    virtual ~DeviceModel() = default;
    [[nodiscard]] virtual StepOutput forward(const Batch& batch) = 0;
    [[nodiscard]] virtual const model::Program& program() const = 0;  // its op i is what is executed, and timed, as op i
    [[nodiscard]] virtual MemoryUse memory() const = 0;
    // Writes zeros all over the cache, so that its memory is there: a step with a made-up past then reads as much as one with a real past.
    virtual void touch_cache() {}
    // A block's keys and values in all layers of its group, as bytes: to keep them elsewhere for a while. Only a model of the same weights,
    // program, KvCacheOptions, build and instruction set understands them. Not while forward() runs.
    [[nodiscard]] virtual std::size_t block_bytes(std::size_t group) const = 0;
    virtual void read_block(std::size_t group, BlockId block, std::span<std::byte> to) const = 0;     // [block_bytes(group)]
    virtual void write_block(std::size_t group, BlockId block, std::span<const std::byte> from) = 0;  // [block_bytes(group)]
    // Between two calls of forward(): calls work(row, thread) once for each row below n_rows, on the compute threads and in any order, and
    // returns when all are done. work must not throw. thread is below n_threads(); a single row is the caller's, thread 0.
    virtual void run_rows(std::size_t n_rows, const std::function<void(std::size_t row, unsigned thread)>& work);
    [[nodiscard]] virtual unsigned n_threads() const { return 1; }
    [[nodiscard]] virtual const SamplingKernels& sampling_kernels() const { return host_sampling_kernels(); }
    // Memory for rows of n_vocab logits, one a thread, taken at load. Without logits: there is none.
    [[nodiscard]] virtual RowScratch row_scratch(unsigned /*thread*/) { return {}; }
    // Of op i of program(), a kObserve; empty for others. Sums are the same whatever the number of threads, and however a text was cut into
    // steps. Not while forward() runs.
    [[nodiscard]] virtual Observed observed(std::size_t /*op*/) const { return {}; }
    // Of kernels with equal results takes those that were fastest when this machine was measured; before, those of stated defaults. Not
    // while forward() runs.
    virtual void tune(const hardware::Profile& /*machine*/) {}
    // The second moments of op i, a kObserve, for each of its n_moments matrices in turn: [moments_size(n_cols)] as backend/feedback.h lays
    // them out. As deterministic as observed(). They are handed over: the op has none from then on.
    [[nodiscard]] virtual std::vector<std::vector<float>> take_moments(std::size_t /*op*/) { return {}; }
    virtual void set_timing(bool on) = 0;
    [[nodiscard]] virtual std::span<const double> op_seconds() const = 0;  // [n_ops] of the last forward(), if timing was on
};

class Backend {
  public:
    virtual ~Backend() = default;
    [[nodiscard]] virtual std::string description() const = 0;  // "CPU, avx2, 2 threads"
    // The instruction set of its kernels, as make_backend (backends.h) and ProfileKey::isa name it: results are bit-equal within one.
    [[nodiscard]] virtual std::string_view instruction_set() const = 0;
    // Which ops it runs: fails on the first of the program that it does not, by the op's name. load() refuses such a program, too.
    [[nodiscard]] virtual Result<void> can_run(const model::Program& program) const = 0;
    // What loading a bound program takes, with options.n_blocks of cache.
    [[nodiscard]] virtual MemoryUse memory_to_load(const model::Program& program, StepLimits limits,
                                                   const KvCacheOptions& options) const = 0;
    // Bytes of the device's memory that are free now; none where the system does not say.
    [[nodiscard]] virtual std::optional<std::uint64_t> memory_available() const = 0;
    // What a step should take by the machine's profile, op by op. program: bound and rewritten as it will run; it need not be loaded.
    [[nodiscard]] virtual roofline::StepPrice price_step(const model::Program& program, const roofline::Step& step,
                                                         const hardware::Profile& machine, const roofline::PriceOptions& options) const = 0;
    // program: bound to file and rewritten for this backend. The file is only read during the call, and its pages are given back as they
    // are used.
    [[nodiscard]] virtual Result<std::unique_ptr<DeviceModel>> load(model::Program program, const files::TensorSource& source,
                                                                    const LoadOptions& options) = 0;
};

}  // namespace rafter::backend
