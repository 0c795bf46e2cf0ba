// The vec headers' operations, compiled for avx2.
#include "backend/cpu/vec_avx2.h"
#include "tests/backend/vec_operations.h"

namespace rafter::tests {
void vec_operations_avx2(const VecOperands& operands, VecResults& results) { backend::cpu::all_operations(operands, results); }
}  // namespace rafter::tests
