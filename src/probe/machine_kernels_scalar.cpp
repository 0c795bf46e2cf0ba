// The machine's limits in plain C++, as the compiler makes code of it for any CPU.
#include "probe/machine_kernels.h"

namespace rafter::probe {
namespace {

constexpr int kChains = 16;  // enough to hide the latency of an addition

inline void read_block(const std::byte* data, std::uint64_t (&sum)[8]) {
    const auto* const words = reinterpret_cast<const std::uint64_t*>(data);
    for (std::size_t i = 0; i < kReadBytes / sizeof(std::uint64_t); i += 8) {
        for (std::size_t j = 0; j < 8; ++j) sum[j] += words[i + j];
    }
}

std::uint64_t read(const std::byte* data, std::size_t size_bytes) {
    std::uint64_t sum[8] = {};
    const std::size_t stream_bytes = size_bytes / kReadStreams / kReadBytes * kReadBytes;
    for (std::size_t at = 0; at < stream_bytes; at += kReadBytes) {
        for (std::size_t stream = 0; stream < kReadStreams; ++stream) read_block(data + stream * stream_bytes + at, sum);
    }
    for (std::size_t at = kReadStreams * stream_bytes; at < size_bytes; at += kReadBytes) read_block(data + at, sum);
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

float multiply_floats(std::size_t rounds) {
    float sum[kChains] = {};
    float factor = 0.5F;
    for (std::size_t i = 0; i < rounds; ++i) {
        __asm__ volatile("" : "+m"(factor));  // so that a round is not foreseen
        for (float& s : sum) s = s * factor + 1.0F;
    }
    float total = 0.0F;
    for (const float s : sum) total += s;
    return total;
}

std::int32_t multiply_bytes(std::size_t rounds) {
    std::int32_t sum[kChains] = {};
    std::uint8_t a = 3;
    std::int8_t b = -5;
    for (std::size_t i = 0; i < rounds; ++i) {
        __asm__ volatile("" : "+m"(a), "+m"(b));
        for (int j = 0; j < kChains; ++j) sum[j] = (sum[j] + a * b) ^ j;
    }
    std::int32_t total = 0;
    for (const std::int32_t s : sum) total += s & 0xFFFF;
    return total;
}

}  // namespace

const MachineKernels kMachineScalar = {.read = read,
                                       .multiply_floats = multiply_floats,
                                       .multiply_bytes = multiply_bytes,
                                       .float_ops_per_round = 2.0 * kChains,
                                       .byte_ops_per_round = 2.0 * kChains,
                                       .byte_unit = "scalar int8"};

}  // namespace rafter::probe
