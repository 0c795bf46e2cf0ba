// The tiled kernels with the vectors of vec_bytes_avx2.h and a model of the tiles.
#include "backend/cpu/vec_bytes_avx2.h"

#include "backend/cpu/unpack/formats_of_256.h"

#include "backend/cpu/linear_tiled.h"
#include "tests/backend/tiled_kernels.h"

namespace rafter::tests {

void tiled_avx2(const backend::cpu::LinearTask& task, const backend::cpu::LinearKernels& vectors) {
    backend::cpu::run_tiled<backend::cpu::ModelTiles>(task, vectors);
}

}  // namespace rafter::tests
