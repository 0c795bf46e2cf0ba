// The table of attention kernels by instruction set.
#include "backend/cpu/attention.h"

namespace rafter::backend::cpu {

extern const AttentionKernels kAttentionScalar;
extern const AttentionKernels kAttentionAvx2;
extern const AttentionKernels kAttentionAvx512;

const AttentionKernels& attention_kernels(Isa isa) {
    switch (isa) {
        case Isa::kScalar:
            return kAttentionScalar;
        case Isa::kAvx2:
            return kAttentionAvx2;
        case Isa::kAvx512:
        case Isa::kAmx:
            return kAttentionAvx512;
    }
    return kAttentionScalar;
}

}  // namespace rafter::backend::cpu
