// The staircase of bandwidth first, then everything else in interleaved rounds.
#include "probe/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/check.h"
#include "base/clock.h"
#include "base/os_cpu_info.h"
#include "base/os_memory.h"
#include "probe/attention_bench.h"
#include "probe/machine_kernels.h"
#include "probe/matrix_bench.h"
#include "probe/read_bandwidth.h"
#include "probe/row_bench.h"

namespace rafter::probe {
namespace {

using backend::cpu::Isa;
using hardware::Profile;

constexpr double kKiB = 1024.0;
constexpr double kMiB = 1024.0 * kKiB;
// Spinning threads pass a barrier in 0.2 to 5 microseconds, however many they are; where one has to be scheduled first, it takes many more.
constexpr double kSlowBarrierSeconds = 15e-6;

// Working sets: two an octave where caches end, one elsewhere; to eight times the last cache.
std::vector<double> staircase_sizes(const Profile& profile, bool quick) {
    const double last = profile.caches.empty() ? 32 * kMiB : profile.caches.back().size_bytes;
    const double most = std::clamp(8 * last, 256 * kMiB, 1024 * kMiB);
    const double step = quick ? 4.0 : 2.0;
    std::vector<double> sizes;
    for (double size = 16 * kKiB; size < most; size *= step) {
        sizes.push_back(size);
        const bool near_last_cache = size >= last / 4 && size <= 4 * last;
        if (near_last_cache) sizes.push_back(size * (quick ? 2.0 : std::sqrt(2.0)));
    }
    sizes.push_back(most);
    return sizes;
}

Result<void> measure_staircase(ThreadPool& pool, const ProbeOptions& options, Profile& profile) {
    std::vector<unsigned> teams = {pool.n_threads()};
    if (!options.quick) {
        for (unsigned n = 1; n < pool.n_threads(); n *= 2) teams.insert(teams.end() - 1, n);
    }
    const std::vector<double> sizes = staircase_sizes(profile, options.quick);
    const double available = static_cast<double>(read_memory_state().available_bytes);
    const std::int64_t duration_ns = options.quick ? 15'000'000 : 90'000'000;
    std::size_t done = 0;
    for (const unsigned n_threads : teams) {
        for (const double size : sizes) {
            if (options.progress) {
                options.progress(static_cast<double>(done++) / static_cast<double>(teams.size() * sizes.size()), "reading memory");
            }
            if (available > 0 && size > available / 2) continue;
            RAFTER_TRY(const ReadSpeed speed,
                       measure_read_bandwidth(pool, static_cast<std::size_t>(size), {.n_threads = n_threads, .duration_ns = duration_ns}));
            profile.bandwidth.push_back({.n_threads = n_threads,
                                         .working_set_bytes = size,
                                         .bytes_per_s = speed.undisturbed_bytes_per_s,
                                         .best_bytes_per_s = speed.best_bytes_per_s,
                                         .spread = speed.spread});
        }
    }
    return {};
}

// Arithmetic in registers, all threads.
void add_peak_benchmarks(ThreadPool& pool, Isa isa, Profile& profile, std::vector<Benchmark>& benchmarks) {
    const MachineKernels& kernels = machine_kernels(isa);
    constexpr std::size_t kRounds = 20'000;
    const double n = static_cast<double>(kRounds) * pool.n_threads();
    benchmarks.push_back(
        {.sample = [&pool, &kernels] { return time_team(pool, [&](unsigned) { (void)kernels.multiply_floats(kRounds); }, {}); },
         .record = [&profile, &kernels, n](const Spread& s) { profile.float_flop_per_s = n * kernels.float_ops_per_round / s.least; }});
    benchmarks.push_back(
        {.sample = [&pool, &kernels] { return time_team(pool, [&](unsigned) { (void)kernels.multiply_bytes(kRounds); }, {}); },
         .record = [&profile, &kernels, n](const Spread& s) { profile.int8_flop_per_s = n * kernels.byte_ops_per_round / s.least; }});
    profile.int8_unit = kernels.byte_unit;
}

// Of a name that the caller has from a list of those available.
Isa isa_of(std::string_view name) {
    const auto isa = backend::cpu::isa_from_name(name);
    RAFTER_CHECK(isa && backend::cpu::is_available(*isa), "instruction set {}", name);
    return *isa;
}

Profile empty_profile(const ThreadPool& pool, std::string_view isa, const ProbeOptions& options) {
    Profile profile;
    profile.key = profile_key(pool, isa, options.version);
    profile.time = static_cast<std::int64_t>(std::time(nullptr));
    profile.quick = options.quick;
    for (const CacheLevel& c : cache_levels()) {
        profile.caches.push_back({.level = c.level, .size_bytes = static_cast<double>(c.size_bytes), .shared = c.shared});
    }
    profile.memory_bytes = static_cast<double>(read_memory_state().total_bytes);
    return profile;
}

// What the spreads say of the machine.
void judge(Profile& profile, double typical_spread) {
    std::vector<double> spreads;
    for (const auto& reading : profile.bandwidth) spreads.push_back(reading.spread);
    const double staircase_spread = spreads.empty() ? 0.0 : spread_of(spreads).median;
    profile.noise = std::max(typical_spread, staircase_spread);
    profile.trusted = profile.noise <= hardware::kNoisySpread;
    if (!profile.trusted) {
        profile.doubt = fmt::format("repeated measurements differ by {:.0f}%; other programs were using the CPUs", 100 * profile.noise);
    } else if (profile.barrier_seconds > kSlowBarrierSeconds) {
        profile.trusted = false;
        profile.doubt =
            fmt::format("synchronizing threads took {:.0f} µs; other programs were using the CPUs", profile.barrier_seconds * 1e6);
    }
}

}  // namespace

hardware::ProfileKey profile_key(const ThreadPool& pool, std::string_view isa, const std::string& version) {
    return {.cpu = cpu_name(), .n_threads = pool.n_threads(), .isa = std::string(isa), .version = version};
}

Result<Profile> probe_machine(ThreadPool& pool, std::string_view isa_name, const ProbeOptions& options) {
    const Isa isa = isa_of(isa_name);
    Profile profile = empty_profile(pool, isa_name, options);
    RAFTER_TRY_VOID(measure_staircase(pool, options, profile));
    std::size_t cold_bytes = static_cast<std::size_t>((options.quick ? 128 : 256) * kMiB);
    if (options.focus.working_set_bytes > 0.0) {
        cold_bytes = static_cast<std::size_t>(std::clamp(options.focus.working_set_bytes, 32 * kMiB, 512 * kMiB));
    }
    if (const std::size_t available = read_memory_state().available_bytes; available > 0) cold_bytes = std::min(cold_bytes, available / 4);
    // A thread's window is 2 MiB, and the memory holds several of each.
    cold_bytes = std::max<std::size_t>(cold_bytes, std::size_t{pool.n_threads()} << 24U);
    RAFTER_TRY(ColdMemory memory, ColdMemory::create(pool, cold_bytes));
    const MatrixPlan plan{.quick = options.quick, .focus = options.focus};
    std::vector<Benchmark> benchmarks;
    add_peak_benchmarks(pool, backend::cpu::best_isa(), profile, benchmarks);
    add_team_benchmarks(pool, isa, profile, benchmarks);
    add_row_benchmarks(pool, isa, profile, benchmarks);
    add_matrix_benchmarks(pool, isa, memory, plan, profile, benchmarks);
    add_attention_benchmarks(pool, isa, memory, plan, profile, benchmarks);
    RoundOptions rounds{.least = 3,
                        .most = 60,
                        .duration_ns = options.quick ? static_cast<std::int64_t>(options.focus.seconds * 1e9) : 11'000'000'000,
                        .progress = {}};
    if (options.progress) rounds.progress = [&](double fraction) { options.progress(fraction, "timing kernels"); };
    judge(profile, run_interleaved(benchmarks, rounds));
    return profile;
}

void refresh_bandwidth(ThreadPool& pool, double working_set, Profile& profile) {
    constexpr double kAlike = 1.45;  // readings of a quick probe's staircase are twice as large as those before them
    const double last = profile.caches.empty() ? 0.0 : profile.caches.back().size_bytes;
    const std::size_t size = working_set_bytes(working_set, static_cast<std::size_t>(last));
    const auto read = measure_read_bandwidth(pool, size, {.duration_ns = 200'000'000});
    if (!read) return;
    const double best = hardware::best_bandwidth_at(profile, static_cast<double>(size), pool.n_threads());
    std::erase_if(profile.bandwidth, [&](const hardware::BandwidthReading& r) {
        const double ratio = r.working_set_bytes / static_cast<double>(size);
        return r.n_threads == pool.n_threads() && ratio < kAlike && ratio > 1.0 / kAlike;
    });
    profile.bandwidth.push_back({.n_threads = pool.n_threads(),
                                 .working_set_bytes = static_cast<double>(size),
                                 .bytes_per_s = read->undisturbed_bytes_per_s,
                                 .best_bytes_per_s = std::max(best, read->best_bytes_per_s),
                                 .spread = read->spread});
}

Result<Profile> probe_roofs(ThreadPool& pool, std::string_view isa_name, const ProbeOptions& options) {
    const Isa isa = isa_of(isa_name);
    Profile profile = empty_profile(pool, isa_name, options);
    RAFTER_TRY_VOID(measure_staircase(pool, options, profile));
    std::vector<Benchmark> benchmarks;
    add_peak_benchmarks(pool, isa, profile, benchmarks);
    judge(profile, run_interleaved(benchmarks, {.least = 3, .most = 60, .duration_ns = 200'000'000, .progress = {}}));
    return profile;
}

}  // namespace rafter::probe
