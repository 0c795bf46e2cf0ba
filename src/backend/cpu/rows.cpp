// The table of row kernels by instruction set.
#include "backend/cpu/rows.h"

namespace rafter::backend::cpu {

extern const RowKernels kRowsScalar;
extern const RowKernels kRowsAvx2;
extern const RowKernels kRowsAvx512;

const RowKernels& row_kernels(Isa isa) {
    switch (isa) {
        case Isa::kScalar:
            return kRowsScalar;
        case Isa::kAvx2:
            return kRowsAvx2;
        case Isa::kAvx512:
        case Isa::kAmx:
            return kRowsAvx512;
    }
    return kRowsScalar;
}

}  // namespace rafter::backend::cpu
