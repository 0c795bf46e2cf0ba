// How fast the generic decoders are: what an op without a fast kernel for its format costs.
#include "tensor/formats/formats.h"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <vector>

namespace rafter {
namespace {

constexpr std::size_t kElements = 1U << 16;  // 256 KiB of floats: stays in a core's second-level cache

// bytes_per_second counts the encoded bytes, as a matrix product would read them.
void decode(benchmark::State& state, const tensor::FormatInfo& format) {
    std::vector<std::byte> blocks(format.row_bytes(kElements));
    std::vector<float> values(kElements);
    for (auto _ : state) {
        format.decode(blocks.data(), values.data(), kElements);
        benchmark::DoNotOptimize(values.data());
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kElements));
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(blocks.size()));
}

const int kRegistered = [] {
    int n = 0;
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.decode == nullptr) continue;
        benchmark::RegisterBenchmark(("decode/" + std::string(format.name)).c_str(), [&format](benchmark::State& s) { decode(s, format); });
        ++n;
    }
    return n;
}();

}  // namespace
}  // namespace rafter
