// The linear kernels with AMX's tiles where they win, compiled for amx; what they do not do is done by avx512's kernels.
#include "backend/cpu/vec_bytes_avx512.h"

#include "backend/cpu/unpack/formats_of_256.h"

#include "backend/cpu/tiles_amx.h"

#include "backend/cpu/linear_isa.h"
#include "backend/cpu/linear_tiled.h"

namespace rafter::backend::cpu {
namespace {

void run_amx(const LinearTask& task) { run_tiled<AmxTiles>(task, kLinearAvx512); }
void quantize_amx(const float* values, std::size_t n, model::Encoding encoding, std::byte* row) {
    kLinearAvx512.quantize(values, n, encoding, row);
}

}  // namespace

const LinearKernels kLinearAmx = {.run = run_amx, .quantize = quantize_amx};
}  // namespace rafter::backend::cpu
