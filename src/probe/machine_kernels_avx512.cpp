// The machine's limits with AVX-512 and VNNI, whose vpdpbusd multiplies 64 pairs of bytes and adds them up in 32 bits.
#include <immintrin.h>

#include "probe/machine_kernels.h"

namespace rafter::probe {
namespace {

// Adds kReadBytes to what was seen, and asks for those to come.
inline void read_block(const std::byte* p, __m512i (&sum)[4]) {
    for (std::size_t line = 0; line < kReadBytes; line += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(p) + kReadAheadBytes + line, _MM_HINT_T0);
    }
    for (std::size_t i = 0; i < kReadBytes / 64; i += 4) {
        for (std::size_t j = 0; j < 4; ++j) sum[j] = _mm512_or_si512(sum[j], _mm512_load_si512(p + (i + j) * 64));
    }
}

std::uint64_t read(const std::byte* data, std::size_t size_bytes) {
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    const std::size_t stream_bytes = size_bytes / kReadStreams / kReadBytes * kReadBytes;
    for (std::size_t at = 0; at < stream_bytes; at += kReadBytes) {
        for (std::size_t stream = 0; stream < kReadStreams; ++stream) read_block(data + stream * stream_bytes + at, sum);
    }
    for (std::size_t at = kReadStreams * stream_bytes; at < size_bytes; at += kReadBytes) read_block(data + at, sum);
    const __m512i all = _mm512_or_si512(_mm512_or_si512(sum[0], sum[1]), _mm512_or_si512(sum[2], sum[3]));
    std::uint64_t words[8];
    _mm512_storeu_si512(words, all);
    return words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7];
}

float multiply_floats(std::size_t rounds) {
    __m512 sum[kAvx512Chains];
    for (__m512& s : sum) s = _mm512_setzero_ps();
    __m512 factor = _mm512_set1_ps(0.5F);
    const __m512 term = _mm512_set1_ps(1.0F);
    for (std::size_t i = 0; i < rounds; ++i) {
        for (__m512& s : sum) s = _mm512_fmadd_ps(s, factor, term);
        __asm__ volatile("" : "+v"(factor));  // so that a round is not foreseen
    }
    __m512 total = _mm512_setzero_ps();
    for (const __m512 s : sum) total = _mm512_add_ps(total, s);
    float lanes[16];
    _mm512_storeu_ps(lanes, total);
    return lanes[0] + lanes[15];
}

std::int32_t multiply_bytes(std::size_t rounds) {
    __m512i sum[kAvx512Chains];
    for (__m512i& s : sum) s = _mm512_setzero_si512();
    __m512i a = _mm512_set1_epi8(3);
    __m512i b = _mm512_set1_epi8(-5);
    for (std::size_t i = 0; i < rounds; ++i) {
        for (__m512i& s : sum) s = _mm512_dpbusd_epi32(s, a, b);
        __asm__ volatile("" : "+v"(a), "+v"(b));
    }
    __m512i total = _mm512_setzero_si512();
    for (const __m512i s : sum) total = _mm512_add_epi32(total, s);
    std::int32_t lanes[16];
    _mm512_storeu_si512(lanes, total);
    return lanes[0] ^ lanes[15];
}

}  // namespace

const MachineKernels kMachineAvx512 = {.read = read,
                                       .multiply_floats = multiply_floats,
                                       .multiply_bytes = multiply_bytes,
                                       .float_ops_per_round = 2.0 * 16 * kAvx512Chains,
                                       .byte_ops_per_round = 2.0 * 64 * kAvx512Chains,
                                       .byte_unit = "VNNI int8"};

}  // namespace rafter::probe
