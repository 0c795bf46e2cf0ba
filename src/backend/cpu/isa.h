// Which instruction set the kernels use: detected once, overridable by name ("--isa avx2"). kIsaNames is the one list of them; cmake/
// RafterIsa.cmake has the compiler flags of each, by the same name, and tests/house/isa_list_test.py holds the two together.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

namespace rafter::backend::cpu {

enum class Isa {
    kScalar,  // plain C++: the reference, and what runs anywhere
    kAvx2,    // AVX2, FMA, F16C, BMI2
    kAvx512,  // AVX-512 F, BW, VL, DQ, VNNI
    kAmx,     // kAvx512, and AMX's tiles for the matrices that they suit; all other kernels are kAvx512's
};

struct IsaName {
    Isa isa;
    std::string_view name;  // in options, profiles, and the names of source files: linear_avx2.cpp
};
// From the reference to the best.
inline constexpr std::array kIsaNames = {IsaName{Isa::kScalar, "scalar"}, IsaName{Isa::kAvx2, "avx2"}, IsaName{Isa::kAvx512, "avx512"},
                                         IsaName{Isa::kAmx, "amx"}};

[[nodiscard]] std::string_view to_string(Isa isa);
[[nodiscard]] std::optional<Isa> isa_from_name(std::string_view name);

// Whether both this CPU and its operating system (which must save the wide registers, and be asked for the tiles) can run it.
[[nodiscard]] bool is_available(Isa isa);
// All that can run here, the best one last; never empty.
[[nodiscard]] std::vector<Isa> available_isas();
[[nodiscard]] Isa best_isa();

// Who prefetches weights. Results are the same.
enum class WeightFetch {
    kPaced,        // the kernels, a few lines each step
    kByProcessor,  // the processor, which sees streams and fetches ahead by itself; kernels help where they compute for long
};
// What is faster here: Zen 4 and later do it better alone (bench/results/kernels.md).
[[nodiscard]] WeightFetch best_weight_fetch();

}  // namespace rafter::backend::cpu
