// The machine's limits with AVX2 and FMA. Bytes are multiplied as the engine does it for small weights: vpmaddubsw to 16 bits, vpaddw.
#include <immintrin.h>

#include "probe/machine_kernels.h"

namespace rafter::probe {
namespace {

constexpr int kFloatChains = 12;  // two a cycle, 4 to 5 cycles each: 8 to 10 under way; 16 registers in all
constexpr int kByteChains = 8;

// Adds kReadBytes to what was seen, and asks for those to come.
inline void read_block(const std::byte* p, __m256i (&sum)[4]) {
    for (std::size_t line = 0; line < kReadBytes; line += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(p) + kReadAheadBytes + line, _MM_HINT_T0);
    }
    const auto* const v = reinterpret_cast<const __m256i*>(p);
    for (std::size_t i = 0; i < kReadBytes / 32; i += 4) {
        for (std::size_t j = 0; j < 4; ++j) sum[j] = _mm256_or_si256(sum[j], _mm256_load_si256(v + i + j));
    }
}

std::uint64_t read(const std::byte* data, std::size_t size_bytes) {
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    const std::size_t stream_bytes = size_bytes / kReadStreams / kReadBytes * kReadBytes;
    for (std::size_t at = 0; at < stream_bytes; at += kReadBytes) {
        for (std::size_t stream = 0; stream < kReadStreams; ++stream) read_block(data + stream * stream_bytes + at, sum);
    }
    for (std::size_t at = kReadStreams * stream_bytes; at < size_bytes; at += kReadBytes) read_block(data + at, sum);
    const __m256i all = _mm256_or_si256(_mm256_or_si256(sum[0], sum[1]), _mm256_or_si256(sum[2], sum[3]));
    std::uint64_t words[4];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), all);
    return words[0] | words[1] | words[2] | words[3];
}

float multiply_floats(std::size_t rounds) {
    __m256 sum[kFloatChains];
    for (__m256& s : sum) s = _mm256_setzero_ps();
    __m256 factor = _mm256_set1_ps(0.5F);
    const __m256 term = _mm256_set1_ps(1.0F);
    for (std::size_t i = 0; i < rounds; ++i) {
        for (__m256& s : sum) s = _mm256_fmadd_ps(s, factor, term);
        __asm__ volatile("" : "+x"(factor));  // so that a round is not foreseen
    }
    __m256 total = _mm256_setzero_ps();
    for (const __m256 s : sum) total = _mm256_add_ps(total, s);
    float lanes[8];
    _mm256_storeu_ps(lanes, total);
    return lanes[0] + lanes[7];
}

std::int32_t multiply_bytes(std::size_t rounds) {
    __m256i sum[kByteChains];
    for (__m256i& s : sum) s = _mm256_setzero_si256();
    __m256i a = _mm256_set1_epi8(3);
    __m256i b = _mm256_set1_epi8(-5);
    for (std::size_t i = 0; i < rounds; ++i) {
        for (__m256i& s : sum) {
            __asm__ volatile("" : "+x"(a), "+x"(b));  // a product each, not one for all
            s = _mm256_add_epi16(s, _mm256_maddubs_epi16(a, b));
        }
    }
    __m256i total = _mm256_setzero_si256();
    for (const __m256i s : sum) total = _mm256_add_epi32(total, s);
    std::int32_t lanes[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), total);
    return lanes[0] ^ lanes[7];
}

}  // namespace

const MachineKernels kMachineAvx2 = {.read = read,
                                     .multiply_floats = multiply_floats,
                                     .multiply_bytes = multiply_bytes,
                                     .float_ops_per_round = 2.0 * 8 * kFloatChains,
                                     .byte_ops_per_round = 2.0 * 32 * kByteChains,
                                     .byte_unit = "AVX2 int8"};

}  // namespace rafter::probe
