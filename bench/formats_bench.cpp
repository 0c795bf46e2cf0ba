// How fast the generic decoders are: what an op without a fast kernel for its format costs.
#include "tensor/formats/formats.h"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <vector>

#include "roofs.h"

namespace rafter {
namespace {

constexpr std::size_t kElements = 1U << 16;  // 256 KiB of floats: stays in a core's second-level cache

// Bytes are the encoded ones, as a matrix product would read them; ops one an element, as an embedding's look-up has.
void decode(benchmark::State& state, const tensor::FormatInfo& format) {
    std::vector<std::byte> blocks(format.row_bytes(kElements));
    std::vector<float> values(kElements);
    const bench::CallCost cost{.read_bytes = static_cast<double>(blocks.size()), .ops = static_cast<double>(kElements)};
    bench::measure(state, backend::cpu::best_isa(), cost, [&] {
        format.decode(blocks.data(), values.data(), kElements);
        benchmark::DoNotOptimize(values.data());
    });
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
