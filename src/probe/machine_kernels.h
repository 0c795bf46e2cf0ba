// Loops that do one thing as fast as a core can and nothing else: read memory, multiply and add floats, multiply bytes. What they reach is
// what the hardware allows; the engine's kernels are held against it. One set an instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cpu/isa.h"

namespace rafter::probe {

inline constexpr std::size_t kReadBytes = 512;  // what read() takes at once: sizes are multiples of it
// A core that follows several streams has more lines under way than one stream's prefetcher asks for: seen on Zen 3, 25 GB/s instead of 17.
inline constexpr std::size_t kReadStreams = 4;
inline constexpr std::size_t kReadAheadBytes = 2048;
inline constexpr int kAvx512Chains = 16;  // two a cycle, 4 to 5 cycles each: 8 to 10 under way

struct MachineKernels {
    // Loads every byte once, kReadStreams parts side by side. 64-byte aligned. The result is there so that nothing can be left out.
    std::uint64_t (*read)(const std::byte* data, std::size_t size_bytes);
    // `rounds` rounds of independent multiply-adds in registers.
    float (*multiply_floats)(std::size_t rounds);
    // The same with products of unsigned and signed bytes, added up in 32 bits.
    std::int32_t (*multiply_bytes)(std::size_t rounds);
    // Operations a round, a multiplication and an addition being two.
    double float_ops_per_round;
    double byte_ops_per_round;
    const char* byte_unit;  // what multiplies bytes, as reports name its roof
};

// Of an available instruction set.
[[nodiscard]] const MachineKernels& machine_kernels(backend::cpu::Isa isa);

extern const MachineKernels kMachineScalar;
extern const MachineKernels kMachineAvx2;
extern const MachineKernels kMachineAvx512;
extern const MachineKernels kMachineAmx;

}  // namespace rafter::probe
