// Timing a team of threads, and the rounds.
#include "probe/bench_team.h"

#include <algorithm>

#include "base/clock.h"

namespace rafter::probe {

double time_team(ThreadPool& pool, const Work& work, const TeamOptions& options) {
    const unsigned n_threads = options.n_threads == 0 ? pool.n_threads() : options.n_threads;
    std::int64_t start_ns = 0;
    std::int64_t end_ns = 0;
    pool.run([&](unsigned thread) {
        const bool works = thread < n_threads;
        if (works && options.warm) work(thread);
        if (n_threads > 1) pool.barrier();
        if (thread == 0) start_ns = monotonic_ns();
        for (unsigned i = 0; works && i < options.repeats; ++i) work(thread);
        if (n_threads > 1) pool.barrier();
        if (thread == 0) end_ns = monotonic_ns();
    });
    return static_cast<double>(std::max<std::int64_t>(end_ns - start_ns, 1)) * 1e-9 / options.repeats;
}

double run_interleaved(std::vector<Benchmark>& benchmarks, const RoundOptions& options) {
    const std::int64_t start_ns = monotonic_ns();
    const auto spent = [&] { return monotonic_ns() - start_ns; };
    for (Benchmark& benchmark : benchmarks) {
        if (spent() < options.duration_ns) (void)benchmark.sample();
    }
    for (unsigned round = 0; round < options.most; ++round) {
        const std::int64_t spent_ns = spent();
        if (round >= options.least && spent_ns > options.duration_ns) break;
        if (options.progress) {
            const double by_time = static_cast<double>(spent_ns) / static_cast<double>(options.duration_ns);
            options.progress(std::min(1.0, std::max(by_time, static_cast<double>(round) / options.most)));
        }
        for (Benchmark& benchmark : benchmarks) {
            // One sample each there must be.
            if (round == 0 || spent() < options.duration_ns + options.duration_ns / 4) benchmark.samples.push_back(benchmark.sample());
        }
    }
    std::vector<double> spreads;
    bool enough = true;
    for (Benchmark& benchmark : benchmarks) {
        enough = enough && benchmark.samples.size() >= options.least;
        const Spread spread = spread_of(benchmark.samples);
        spreads.push_back(spread.relative());
        benchmark.record(spread);
    }
    const double typical = spreads.empty() ? 0.0 : spread_of(spreads).median;
    return enough ? typical : std::max(typical, 1.0);
}

}  // namespace rafter::probe
