// The table of sampling kernels by instruction set.
#include "backend/cpu/sampling.h"

namespace rafter::backend::cpu {

extern const SamplingKernels kSamplingScalar;
extern const SamplingKernels kSamplingAvx2;
extern const SamplingKernels kSamplingAvx512;

const SamplingKernels& sampling_kernels(Isa isa) {
    switch (isa) {
        case Isa::kScalar:
            return kSamplingScalar;
        case Isa::kAvx2:
            return kSamplingAvx2;
        case Isa::kAvx512:
        case Isa::kAmx:
            return kSamplingAvx512;
    }
    return kSamplingScalar;
}

}  // namespace rafter::backend::cpu

namespace rafter::backend {

const SamplingKernels& host_sampling_kernels() {
    static const SamplingKernels& kernels = cpu::sampling_kernels(cpu::best_isa());
    return kernels;
}

namespace {

// The list's weights, then its tokens, then its logits, then a row: all multiples of their own alignment.
constexpr std::size_t padded(std::size_t n_vocab) { return (n_vocab + TokenList::kPadding + 15) / 16 * 16; }

}  // namespace

std::size_t RowScratch::size_bytes(std::size_t n_vocab) {
    return padded(n_vocab) * (sizeof(double) + sizeof(std::int32_t) + 2 * sizeof(float));
}

RowScratch RowScratch::in(std::byte* memory, std::size_t n_vocab) {
    const std::size_t n = padded(n_vocab);
    RowScratch scratch;
    scratch.list.weights = reinterpret_cast<double*>(memory);
    scratch.list.tokens = reinterpret_cast<std::int32_t*>(scratch.list.weights + n);
    scratch.list.logits = reinterpret_cast<float*>(scratch.list.tokens + n);
    scratch.logits = {scratch.list.logits + n, n_vocab};
    return scratch;
}

}  // namespace rafter::backend
