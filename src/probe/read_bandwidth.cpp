// A pass over a small working set takes less time than the clock and a barrier: such passes are repeated within one sample. One over a
// large set takes longer than a busy machine leaves anybody alone: it is sampled in segments, each against the same segment of other
// passes, since one segment may lie in a cache that another does not.
#include "probe/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "backend/cpu/isa.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/os_memory.h"
#include "probe/machine_kernels.h"
#include "probe/samples.h"

namespace rafter::probe {
namespace {

constexpr std::size_t kPasses = 200;                          // at most
constexpr std::size_t kPassBytes = std::size_t{8} << 20U;     // at least: 40 us in the nearest cache of two threads
constexpr std::size_t kSegmentBytes = std::size_t{1} << 20U;  // of a thread's share: 20 to 150 us
constexpr std::size_t kAlignBytes = 4096;                     // of a thread's share

}  // namespace

std::size_t working_set_bytes(double model_bytes, std::optional<std::size_t> cache_bytes) {
    constexpr std::size_t kSmallest = std::size_t{1} << 20U;
    constexpr std::size_t kMemory = std::size_t{256} << 20U;
    constexpr std::size_t kLargest = std::size_t{1} << 30U;
    const std::size_t most = std::clamp(8 * cache_bytes.value_or(0), kMemory, kLargest);
    return model_bytes >= static_cast<double>(most) ? most : std::max(kSmallest, static_cast<std::size_t>(model_bytes));
}

Result<ReadSpeed> measure_read_bandwidth(ThreadPool& pool, std::size_t working_set_bytes, const ReadOptions& options) {
    const auto isa = options.isa.empty() ? std::optional(backend::cpu::best_isa()) : backend::cpu::isa_from_name(options.isa);
    RAFTER_CHECK(isa && backend::cpu::is_available(*isa), "instruction set {}", options.isa);
    const unsigned n_threads = options.n_threads == 0 ? pool.n_threads() : std::min(options.n_threads, pool.n_threads());
    const std::size_t n_each = std::max(working_set_bytes / n_threads / kAlignBytes, std::size_t{1}) * kAlignBytes;
    RAFTER_TRY(const PageBuffer buffer, PageBuffer::allocate(n_each * n_threads, "buffer to measure bandwidth with"));
    const MachineKernels& kernels = machine_kernels(*isa);
    const std::size_t repeats = std::max<std::size_t>(1, kPassBytes / (n_each * n_threads));
    const std::size_t n_segments = std::max<std::size_t>(1, n_each / kSegmentBytes);
    const auto boundary = [&](std::size_t segment) { return n_each / kAlignBytes * segment / n_segments * kAlignBytes; };

    std::vector<std::vector<double>> seconds(n_segments);  // [segment][pass]
    bool go_on = true;                                     // both are thread 0's between barriers
    std::atomic<std::uint64_t> keep = 0;
    pool.run([&](unsigned thread) {
        const bool reads = thread < n_threads;
        std::byte* const mine = buffer.data() + thread * n_each;
        if (reads) std::memset(mine, static_cast<int>(thread) + 1, n_each);  // pages come to be near the thread that reads them
        std::uint64_t seen = 0;
        const std::int64_t first_ns = monotonic_ns();
        pool.barrier();
        while (go_on) {
            for (std::size_t segment = 0; segment < n_segments; ++segment) {
                const std::size_t begin = boundary(segment);
                const std::size_t size = boundary(segment + 1) - begin;
                const std::int64_t start_ns = monotonic_ns();
                for (std::size_t i = 0; reads && i < repeats; ++i) seen |= kernels.read(mine + begin, size);
                pool.barrier();
                if (thread == 0)
                    seconds[segment].push_back(static_cast<double>(std::max<std::int64_t>(monotonic_ns() - start_ns, 1)) * 1e-9);
            }
            // The first pass finds the caches full of something else.
            if (thread == 0) {
                const std::size_t n_passes = seconds.back().size();
                go_on = n_passes < 3 || (n_passes < kPasses && monotonic_ns() - first_ns < options.duration_ns);
            }
            pool.barrier();
        }
        keep |= seen;
    });
    RAFTER_CHECK(keep != 0, "the loads were optimised away");
    Spread sum;
    for (std::vector<double>& passes : seconds) {
        passes.erase(passes.begin());
        sum += spread_of(passes);
    }
    const auto bytes = static_cast<double>(n_each * n_threads * repeats);
    return ReadSpeed{.best_bytes_per_s = bytes / sum.least,
                     .undisturbed_bytes_per_s = bytes / sum.first_decile,
                     .median_bytes_per_s = bytes / sum.median,
                     .spread = sum.relative(),
                     .n_passes = static_cast<unsigned>(seconds.front().size())};
}

}  // namespace rafter::probe
