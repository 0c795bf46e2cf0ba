// Two widths of a row give two equations: what a row costs, and what an element.
#include "probe/row_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>

#include "backend/cpu/attention.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/packed_matrix.h"
#include "backend/cpu/route.h"
#include "backend/cpu/rows.h"
#include "base/clock.h"
#include "base/os_memory.h"
#include "model/workspace.h"
#include "probe/machine_kernels.h"
#include "tensor/formats/formats.h"

namespace rafter::probe {
namespace {

using backend::KvType;
using backend::cpu::Isa;
using backend::cpu::RowKernels;

constexpr std::array<std::size_t, 2> kWidths = {512, 4096};
constexpr std::size_t kHeadDim = 64;

// Two benchmarks and, from both, one reading. records: the widths' medians as they come.
void add_row(ThreadPool& pool, const RowWork& work, hardware::Profile& profile, std::vector<Benchmark>& benchmarks) {
    struct Pair {
        RowData data;
        std::array<double, 2> seconds = {};
    };
    const auto pair = std::make_shared<Pair>();
    for (std::size_t i = 0; i < kWidths.size(); ++i) {
        const auto repeats = static_cast<unsigned>(32 * kMaxRowWidth / kWidths[i] / 4);
        Benchmark benchmark;
        benchmark.sample = [&pool, pair, work, i, repeats] {
            return time_team(pool, [&](unsigned) { work.run(pair->data, kWidths[i]); }, {.n_threads = 1, .repeats = repeats});
        };
        benchmark.record = [&profile, pair, kind = work.kind, i](const Spread& spread) {
            pair->seconds[i] = spread.first_decile;
            if (i + 1 < kWidths.size()) return;
            const double per_element = std::max(0.0, (pair->seconds[1] - pair->seconds[0]) / static_cast<double>(kWidths[1] - kWidths[0]));
            const double per_row = std::max(0.0, pair->seconds[0] - per_element * static_cast<double>(kWidths[0]));
            profile.rows.push_back({.kind = kind, .seconds_per_row = per_row, .seconds_per_element = per_element});
        };
        benchmarks.push_back(std::move(benchmark));
    }
}

// Threads that meet must run at once, and on a busy machine they seldom do: so short a thing is tried several times, and the best counts.
constexpr int kTries = 8;

double least_of_several(ThreadPool& pool, const Work& work, unsigned repeats) {
    double least = time_team(pool, work, {.repeats = repeats});
    for (int i = 1; i < kTries; ++i) least = std::min(least, time_team(pool, work, {.repeats = repeats}));
    return least;
}

// Beginning and ending a parallel region in which nothing happens, while the threads are awake.
double empty_region(ThreadPool& pool) {
    double least = 1.0;
    for (int i = 0; i < kTries; ++i) {
        const std::int64_t start_ns = monotonic_ns();
        for (int j = 0; j < 10; ++j) pool.run([](unsigned) {});
        least = std::min(least, static_cast<double>(monotonic_ns() - start_ns) * 1e-10);
    }
    return least;
}

}  // namespace

std::vector<RowWork> row_work(Isa isa) {
    std::vector<RowWork> all;
    const RowKernels& rows = backend::cpu::row_kernels(isa);
    const auto& linear = backend::cpu::linear_kernels(isa);
    const auto add = [&](std::string kind, std::function<void(RowData&, std::size_t)> run) {
        all.push_back({std::move(kind), std::move(run)});
    };
    add("rms_norm", [&rows](RowData& d, std::size_t n) { rows.rms_norm(d.a.data(), d.b.data(), n, n, 1e-5F, d.y.data()); });
    add("add", [&rows](RowData& d, std::size_t n) { rows.add(d.a.data(), d.b.data(), n, d.y.data()); });
    add("silu", [&rows](RowData& d, std::size_t n) { rows.gate(model::Activation::kSilu, d.a.data(), d.b.data(), n, d.y.data()); });
    add("gelu", [&rows](RowData& d, std::size_t n) { rows.gate(model::Activation::kGeluTanh, d.a.data(), d.b.data(), n, d.y.data()); });
    add("swiglu",
        [&rows](RowData& d, std::size_t n) { rows.gate(model::Activation::kSwigluClamped, d.a.data(), d.b.data(), n, d.y.data()); });
    add("softcap", [&rows](RowData& d, std::size_t n) { rows.softcap(d.a.data(), 30.0F, n, d.y.data()); });
    // One row of unfused attention's scores, an element being a position; the probabilities of the last time are as good scores as any.
    add("softmax", [isa](RowData& d, std::size_t n) { backend::cpu::attention_kernels(isa).softmax({.end = n}, d.y.data()); });
    add("copy", [](RowData& d, std::size_t n) { std::memcpy(d.y.data(), d.a.data(), n * sizeof(float)); });
    add("rope", [&rows](RowData& d, std::size_t n) {
        rows.rope(model::RopePairing::kHalves, d.a.data(), d.b.data(), kHeadDim, kHeadDim, n / kHeadDim, d.y.data());
    });
    // The angles of a token's RoPE, an element being a cosine and a sine.
    add("angles", [](RowData& d, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) {
            const double angle = 1234.0 * static_cast<double>(d.a[i]) * (1.0 + static_cast<double>(i));
            d.y[i] = static_cast<float>(std::cos(angle));
            d.y[kMaxRowWidth + i] = static_cast<float>(std::sin(angle));
        }
    });
    add("combine", [&rows](RowData& d, std::size_t n) { rows.combine(d.a.data(), n / 4, d.b.data(), 4, n / 4, d.y.data()); });
    add("route", [](RowData& d, std::size_t n) {  // an element being an expert
        backend::cpu::route(d.a.data(), n, {.n_experts_used = 4}, d.y.data());
    });
    add("quantize_q8", [&linear](RowData& d, std::size_t n) { linear.quantize(d.a.data(), n, model::Encoding::kQ8, d.bytes.data()); });
    add("quantize_q16", [&linear](RowData& d, std::size_t n) { linear.quantize(d.a.data(), n, model::Encoding::kQ16, d.bytes.data()); });
    for (const KvType type : backend::kv_types()) {  // an element being one of a key and one of a value
        add(fmt::format("store_{}", backend::to_string(type)), [&rows, type](RowData& d, std::size_t n) {
            for (std::size_t at = 0; at < n; at += kHeadDim) {
                rows.store_key(d.a.data(), kHeadDim, type, at / kHeadDim % 16, d.bytes.data());
                rows.store_value(d.b.data(), kHeadDim, type, at / kHeadDim % 16, d.bytes.data() + kHeadDim * 16 * sizeof(float));
            }
        });
    }
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.dtype == tensor::DType::kI32) continue;
        add(fmt::format("embed_{}", format.name), [dtype = format.dtype](RowData& d, std::size_t n) {
            const auto matrix = backend::cpu::packed_matrix(dtype, 16, static_cast<std::uint32_t>(n), d.panel.data());
            backend::cpu::decode_row(matrix, 5, d.y.data());
        });
    }
    return all;
}

void add_row_benchmarks(ThreadPool& pool, Isa isa, hardware::Profile& profile, std::vector<Benchmark>& benchmarks) {
    for (const RowWork& work : row_work(isa)) add_row(pool, work, profile, benchmarks);
}

void add_team_benchmarks(ThreadPool& pool, Isa isa, hardware::Profile& profile, std::vector<Benchmark>& benchmarks) {
    constexpr unsigned kMeetings = 30;
    const auto meet = [&pool](unsigned) {
        if (pool.n_threads() > 1) pool.barrier();
    };
    benchmarks.push_back({.sample = [&pool, meet] { return least_of_several(pool, meet, kMeetings); },
                          .record = [&profile](const Spread& spread) { profile.barrier_seconds = spread.first_decile; }});
    benchmarks.push_back({.sample = [&pool] { return empty_region(pool); },
                          .record = [&profile](const Spread& spread) { profile.fork_join_seconds = spread.first_decile; }});

    // One writes, all read: what happens between nearly all ops.
    struct Handover {
        std::array<std::size_t, 2> size_bytes = {512, 32768};
        std::array<double, 2> seconds = {};
        PageBuffer buffer;
    };
    const auto handover = std::make_shared<Handover>();
    auto buffer = PageBuffer::allocate(std::size_t{1} << 16U, "buffer to hand over");
    if (!buffer) return;
    handover->buffer = *std::move(buffer);
    for (std::size_t i = 0; i < handover->size_bytes.size(); ++i) {
        Benchmark benchmark;
        benchmark.sample = [&pool, handover, i, isa] {
            const std::size_t n = handover->size_bytes[i];
            std::byte* const data = handover->buffer.data();
            std::atomic<std::uint64_t> keep = 0;
            const auto work = [&](unsigned thread) {
                if (thread == 0) std::memset(data, 1, n);
                if (pool.n_threads() > 1) pool.barrier();
                if (thread > 0 || pool.n_threads() == 1) {
                    const std::uint64_t seen = machine_kernels(isa).read(data, n);
                    if (seen == 0) keep = 1;
                }
                if (pool.n_threads() > 1) pool.barrier();
            };
            return least_of_several(pool, work, 10);
        };
        benchmark.record = [&profile, handover, i](const Spread& spread) {
            handover->seconds[i] = spread.first_decile;
            if (i == 0) return;
            const auto bytes = static_cast<double>(handover->size_bytes[1] - handover->size_bytes[0]);
            profile.handover_seconds_per_byte = std::max(0.0, (handover->seconds[1] - handover->seconds[0]) / bytes);
            // A second barrier ends each sample, so that the next one may write again.
            const double fixed = handover->seconds[0] - profile.handover_seconds_per_byte * static_cast<double>(handover->size_bytes[0]);
            profile.handover_seconds = std::max(profile.barrier_seconds, fixed - profile.barrier_seconds);
        };
        benchmarks.push_back(std::move(benchmark));
    }
}

}  // namespace rafter::probe
