// How the probe takes samples: every benchmark in turn, again and again, so that a moment in which the machine was busy with something else
// harms one sample of each and not all samples of one.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "probe/samples.h"

namespace rafter::probe {

// One thread's part of a piece of work; `thread` counts from 0.
using Work = std::function<void(unsigned thread)>;

// Seconds of one repetition of `work` by the pool's first n_threads threads at once, from the moment when all of them start until the last
// one ends. One repetition goes before, untimed, to warm the caches where `warm`.
struct TeamOptions {
    unsigned n_threads = 0;  // 0: all
    unsigned repeats = 1;
    bool warm = true;
};
[[nodiscard]] double time_team(ThreadPool& pool, const Work& work, const TeamOptions& options);

struct Benchmark {
    std::function<double()> sample;             // seconds
    std::function<void(const Spread&)> record;  // called once, with all samples
    std::vector<double> samples = {};
};

struct RoundOptions {
    unsigned least = 3;  // rounds
    unsigned most = 25;
    std::int64_t duration_ns = 1'000'000'000;  // no round begins after this; on a busy machine rounds end here, even the least
    std::function<void(double fraction)> progress;
};

// The first round is dropped: it finds cold code and cold caches. Returns the typical spread; at least 1 where the time did not suffice for
// the least number of rounds.
double run_interleaved(std::vector<Benchmark>& benchmarks, const RoundOptions& options);

}  // namespace rafter::probe
