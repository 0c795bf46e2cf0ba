// The tiled kernels with the vectors of vec_bytes_scalar.h and a model of the tiles.
#include "backend/cpu/vec_bytes_scalar.h"

#include "backend/cpu/linear_tiled.h"
#include "tests/backend/tiled_kernels.h"

namespace rafter::tests {

void tiled_scalar(const backend::cpu::LinearTask& task, const backend::cpu::LinearKernels& vectors) {
    backend::cpu::run_tiled<backend::cpu::ModelTiles>(task, vectors);
}

}  // namespace rafter::tests
