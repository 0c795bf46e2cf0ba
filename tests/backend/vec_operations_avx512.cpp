// The vec headers' operations, compiled for avx512.
#include "backend/cpu/vec_avx512.h"
#include "tests/backend/vec_operations.h"

namespace rafter::tests {
void vec_operations_avx512(const VecOperands& operands, VecResults& results) { backend::cpu::all_operations(operands, results); }
}  // namespace rafter::tests
