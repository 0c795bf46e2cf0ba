// A pass over a small working set takes less time than the clock's and the barrier's: such passes are repeated within one measurement.
#include "probe/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "base/os_memory.h"
#include "probe/machine_kernels.h"
#include "probe/samples.h"

namespace rafter::probe {
namespace {

constexpr std::size_t kPasses = 200;                       // at most
constexpr std::size_t kPassBytes = std::size_t{8} << 20U;  // at least: 40 us in the nearest cache of two threads
constexpr std::size_t kAlignBytes = 4096;                  // of a thread's share

}  // namespace

std::size_t working_set_bytes(double model_bytes, std::optional<std::size_t> cache_bytes) {
    constexpr std::size_t kSmallest = std::size_t{1} << 20U;
    constexpr std::size_t kMemory = std::size_t{256} << 20U;
    constexpr std::size_t kLargest = std::size_t{1} << 30U;
    const std::size_t most = std::clamp(8 * cache_bytes.value_or(0), kMemory, kLargest);
    return model_bytes >= static_cast<double>(most) ? most : std::max(kSmallest, static_cast<std::size_t>(model_bytes));
}

Result<ReadSpeed> measure_read_bandwidth(ThreadPool& pool, backend::cpu::Isa isa, std::size_t working_set_bytes,
                                         const ReadOptions& options) {
    const unsigned n_threads = options.n_threads == 0 ? pool.n_threads() : std::min(options.n_threads, pool.n_threads());
    const std::size_t n_each = std::max(working_set_bytes / n_threads / kAlignBytes, std::size_t{1}) * kAlignBytes;
    RAFTER_TRY(const PageBuffer buffer, PageBuffer::allocate(n_each * n_threads, "buffer to measure bandwidth with"));
    const MachineKernels& kernels = machine_kernels(isa);
    const std::size_t repeats = std::max<std::size_t>(1, kPassBytes / (n_each * n_threads));

    std::vector<double> seconds;
    bool go_on = true;  // both written by thread 0 between barriers
    std::atomic<std::uint64_t> keep = 0;
    pool.run([&](unsigned thread) {
        const bool reads = thread < n_threads;
        std::byte* const mine = buffer.data() + thread * n_each;
        if (reads) std::memset(mine, static_cast<int>(thread) + 1, n_each);  // pages come to be near the thread that reads them
        std::uint64_t seen = 0;
        std::int64_t start_ns = 0;
        std::int64_t pass_start_ns = 0;
        while (go_on) {
            pool.barrier();
            if (thread == 0) {
                pass_start_ns = monotonic_ns();
                if (start_ns == 0) start_ns = pass_start_ns;
            }
            for (std::size_t i = 0; reads && i < repeats; ++i) seen |= kernels.read(mine, n_each);
            pool.barrier();
            if (thread == 0) {
                const std::int64_t now_ns = monotonic_ns();
                seconds.push_back(static_cast<double>(std::max<std::int64_t>(now_ns - pass_start_ns, 1)) * 1e-9);
                // The first pass finds the caches full of something else.
                go_on = seconds.size() < 3 || (seconds.size() < kPasses && now_ns - start_ns < options.duration_ns);
            }
            pool.barrier();
        }
        keep |= seen;
    });
    RAFTER_CHECK(keep != 0, "the loads were optimised away");
    seconds.erase(seconds.begin());
    const Spread passes = spread_of(seconds);
    const auto bytes = static_cast<double>(n_each * n_threads * repeats);
    return ReadSpeed{.best_bytes_per_s = bytes / passes.least,
                     .undisturbed_bytes_per_s = bytes / passes.first_decile,
                     .median_bytes_per_s = bytes / passes.median,
                     .spread = passes.relative(),
                     .n_passes = static_cast<unsigned>(seconds.size())};
}

}  // namespace rafter::probe
