// A sum over 64-bit words in several chains: the compiler makes vector loads of it, and one core then waits for memory, not for additions.
#include "probe/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/os_memory.h"

namespace rafter::probe {
namespace {

constexpr std::int64_t kDurationNs = 150'000'000;
constexpr int kPasses = 200;        // at most
constexpr std::size_t kChunk = 64;  // words: 512 bytes in 8 chains of 8

std::uint64_t sum(const std::uint64_t* words, std::size_t n) {
    std::uint64_t chains[kChunk] = {};
    for (std::size_t i = 0; i + kChunk <= n; i += kChunk) {
        for (std::size_t j = 0; j < kChunk; ++j) chains[j] += words[i + j];
    }
    std::uint64_t total = 0;
    for (const std::uint64_t chain : chains) total += chain;
    return total;
}

}  // namespace

std::size_t working_set_bytes(double model_bytes, std::optional<std::size_t> cache_bytes) {
    constexpr std::size_t kSmallest = std::size_t{1} << 20U;
    constexpr std::size_t kMemory = std::size_t{256} << 20U;  // enough where the cache's size is unknown
    if (!cache_bytes) return kMemory;
    if (model_bytes <= static_cast<double>(*cache_bytes)) return std::max(kSmallest, static_cast<std::size_t>(model_bytes));
    return std::clamp(4 * *cache_bytes, kMemory / 2, 4 * kMemory);
}

Result<double> measure_read_bandwidth(ThreadPool& pool, std::size_t working_set_bytes) {
    RAFTER_TRY(const PageBuffer buffer, PageBuffer::allocate(working_set_bytes, "buffer to measure bandwidth with"));
    auto* const words = reinterpret_cast<std::uint64_t*>(buffer.data());
    const std::size_t n_threads = pool.n_threads();
    const std::size_t n_each = working_set_bytes / sizeof(std::uint64_t) / n_threads / kChunk * kChunk;
    RAFTER_CHECK(n_each > 0, "{} bytes are too few for {} threads", working_set_bytes, n_threads);

    std::int64_t best_ns = 0;
    bool go_on = true;  // written by thread 0 between barriers
    std::atomic<std::uint64_t> keep = 0;
    pool.run([&](unsigned thread) {
        std::uint64_t* const mine = words + thread * n_each;
        std::fill(mine, mine + n_each, thread + 1);  // pages come to be near the thread that reads them
        std::uint64_t total = 0;
        std::int64_t start_ns = 0;
        std::int64_t pass_start_ns = 0;
        for (int pass = 0; pass < kPasses && go_on; ++pass) {
            pool.barrier();
            if (thread == 0) {
                pass_start_ns = monotonic_ns();
                if (pass == 0) start_ns = pass_start_ns;
            }
            total += sum(mine, n_each);
            pool.barrier();
            if (thread == 0) {
                const std::int64_t now_ns = monotonic_ns();
                const std::int64_t pass_ns = now_ns - pass_start_ns;
                if (best_ns == 0 || pass_ns < best_ns) best_ns = pass_ns;
                go_on = now_ns - start_ns < kDurationNs;
            }
            pool.barrier();
        }
        keep += total;
    });
    RAFTER_CHECK(keep != 0, "the sums were optimised away");
    return static_cast<double>(n_each * n_threads * sizeof(std::uint64_t)) /
           (static_cast<double>(std::max<std::int64_t>(best_ns, 1)) * 1e-9);
}

}  // namespace rafter::probe
