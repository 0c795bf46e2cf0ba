// Detection by cpuid and xgetbv. Bits are those of Intel's Software Developer's Manual, volume 2, CPUID, and volume 1, chapter 13 (XCR0).
#include "backend/cpu/isa.h"

#include <algorithm>
#include <cstdint>

#include "base/os_cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace rafter::backend::cpu {
namespace {

#if defined(__x86_64__)
struct Registers {
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// All zero for a leaf that the CPU does not have.
Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
    Registers r;
    if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
    return r;
}

// The register state that the operating system saves when it switches threads. Only valid where cpuid says OSXSAVE.
std::uint64_t enabled_state() {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return std::uint64_t{high} << 32 | low;
}

constexpr bool has_all(std::uint64_t value, std::uint64_t bits) { return (value & bits) == bits; }
constexpr std::uint32_t bit(int n) { return 1U << n; }

bool cpu_has(Isa isa) {
    constexpr std::uint32_t kFma = bit(12), kOsxsave = bit(27), kAvx = bit(28), kF16c = bit(29);    // leaf 1, ecx
    constexpr std::uint32_t kAvx2 = bit(5), kBmi2 = bit(8);                                         // leaf 7, ebx
    constexpr std::uint32_t kF = bit(16), kDq = bit(17), kBw = bit(30), kVl = bit(31);              // leaf 7, ebx
    constexpr std::uint32_t kVnni = bit(11);                                                        // leaf 7, ecx
    constexpr std::uint32_t kAmxTile = bit(24), kAmxInt8 = bit(25);                                 // leaf 7, edx
    constexpr std::uint64_t kXmm = bit(1), kYmm = bit(2), kMasks = bit(5), kZmm = bit(6) | bit(7);  // XCR0
    const Registers one = cpuid(1, 0);
    const Registers seven = cpuid(7, 0);
    if (!has_all(one.ecx, kFma | kOsxsave | kAvx | kF16c)) return false;
    if (!has_all(seven.ebx, kAvx2 | kBmi2) || !has_all(enabled_state(), kXmm | kYmm)) return false;
    if (isa == Isa::kAvx2) return true;
    if (!has_all(seven.ebx, kF | kDq | kBw | kVl) || !has_all(seven.ecx, kVnni) || !has_all(enabled_state(), kMasks | kZmm)) return false;
    if (isa == Isa::kAvx512) return true;
    constexpr std::uint64_t kTileState = bit(17) | bit(18);  // XCR0: configuration and data
    return has_all(seven.edx, kAmxTile | kAmxInt8) && has_all(enabled_state(), kTileState);
}
bool made_by_amd() {
    const Registers zero = cpuid(0, 0);
    return zero.ebx == 0x68747541 && zero.edx == 0x69746e65 && zero.ecx == 0x444d4163;  // "AuthenticAMD"
}
#else
bool cpu_has(Isa) { return false; }
bool made_by_amd() { return false; }
#endif

}  // namespace

std::string_view to_string(Isa isa) {
    const auto row = std::ranges::find(kIsaNames, isa, &IsaName::isa);
    return row == kIsaNames.end() ? "unknown" : row->name;
}

std::optional<Isa> isa_from_name(std::string_view name) {
    const auto row = std::ranges::find(kIsaNames, name, &IsaName::name);
    return row == kIsaNames.end() ? std::nullopt : std::optional(row->isa);
}

bool is_available(Isa isa) {
    if (isa == Isa::kScalar) return true;
    if (!cpu_has(isa)) return false;
    if (isa != Isa::kAmx) return true;
    static const bool granted = request_tile_registers();  // of the process: asked once
    return granted;
}

std::vector<Isa> available_isas() {
    std::vector<Isa> found;
    for (const IsaName& row : kIsaNames) {
        if (is_available(row.isa)) found.push_back(row.isa);
    }
    return found;
}

Isa best_isa() { return available_isas().back(); }

// AMD's processors have AVX-512 since Zen 4.
WeightFetch best_weight_fetch() { return made_by_amd() && cpu_has(Isa::kAvx512) ? WeightFetch::kByProcessor : WeightFetch::kPaced; }

}  // namespace rafter::backend::cpu
