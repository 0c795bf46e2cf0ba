// The machine's limits with AMX: bytes are multiplied by tiles of 16 rows of 32 bytes, as the engine does it, where each 32 products are a
// sum of their own: half of what the instruction could multiply. All else is AVX-512's.
#include "backend/cpu/tiles_amx.h"
#include "probe/machine_kernels.h"

namespace rafter::probe {
namespace {

std::uint64_t read(const std::byte* data, std::size_t size_bytes) { return kMachineAvx512.read(data, size_bytes); }
float multiply_floats(std::size_t rounds) { return kMachineAvx512.multiply_floats(rounds); }

std::int32_t multiply_bytes(std::size_t rounds) {
    using backend::cpu::TileShape;
    constexpr TileShape kSum{16, 64};
    constexpr TileShape kLeft{16, 32};
    constexpr TileShape kRight{8, 64};
    const TileShape shapes[] = {kSum, kSum, kSum, kSum, kLeft, kLeft, kRight, kRight};
    backend::cpu::AmxTiles tiles(shapes);  // all zeros: products take as long
    for (std::size_t i = 0; i < rounds; ++i) {
        tiles.add_products<0, 4, 6>();
        tiles.add_products<1, 4, 7>();
        tiles.add_products<2, 5, 6>();
        tiles.add_products<3, 5, 7>();
    }
    std::int32_t sums[256];
    tiles.store<0>(sums, 64);
    return sums[0] ^ sums[255];
}

}  // namespace

const MachineKernels kMachineAmx = {.read = read,
                                    .multiply_floats = multiply_floats,
                                    .multiply_bytes = multiply_bytes,
                                    .float_ops_per_round = 2.0 * 16 * kAvx512Chains,
                                    .byte_ops_per_round = 2.0 * 16 * 16 * 32 * 4,
                                    .byte_unit = "AMX int8 (K = 32)"};

}  // namespace rafter::probe
