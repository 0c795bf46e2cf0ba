// Row kernels with the vectors of vec_avx2.h.
#include "backend/cpu/vec_avx2.h"
// the vectors come first
#include "backend/cpu/row_kernels.h"
namespace rafter::backend::cpu {
extern const RowKernels kRowsAvx2 = {rms_norm,     add_rows,  scale_row,   softcap_row, gate_row, rope_row,
                                     combine_rows, store_key, store_value, exp_row,     tanh_row};
}
