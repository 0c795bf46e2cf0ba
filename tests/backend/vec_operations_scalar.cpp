// The vec headers' operations, compiled for scalar.
#include "backend/cpu/vec_scalar.h"
#include "tests/backend/vec_operations.h"

namespace rafter::tests {
void vec_operations_scalar(const VecOperands& operands, VecResults& results) { backend::cpu::all_operations(operands, results); }
}  // namespace rafter::tests
