// Which instruction sets are found: compared with what the operating system says.
#include "backend/cpu/isa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/os_cpu.h"

namespace rafter::backend::cpu {
namespace {

TEST(Isa, EveryNameReadsBack) {
    for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) EXPECT_EQ(isa_from_name(to_string(isa)), isa);
    EXPECT_FALSE(isa_from_name("AVX2").has_value());
    EXPECT_FALSE(isa_from_name("").has_value());
}

TEST(Isa, ScalarIsAlwaysThereAndTheBestIsLast) {
    const std::vector<Isa> isas = available_isas();
    ASSERT_FALSE(isas.empty());
    EXPECT_EQ(isas.front(), Isa::kScalar);
    EXPECT_TRUE(std::is_sorted(isas.begin(), isas.end()));
    EXPECT_EQ(best_isa(), isas.back());
}

// Linux lists a flag only where both the CPU and the kernel's saved state allow its use.
TEST(Isa, AgreesWithTheFlagsThatTheKernelLists) {
    std::ifstream cpuinfo("/proc/cpuinfo");
    std::string line;
    while (std::getline(cpuinfo, line) && line.rfind("flags", 0) != 0) {}
    if (line.rfind("flags", 0) != 0) GTEST_SKIP() << "/proc/cpuinfo lists no flags here";
    std::istringstream words(line);
    const std::vector<std::string> flags{std::istream_iterator<std::string>(words), {}};
    const auto has_all = [&](std::vector<std::string> wanted) {
        return std::all_of(wanted.begin(), wanted.end(),
                           [&](const std::string& w) { return std::find(flags.begin(), flags.end(), w) != flags.end(); });
    };
    EXPECT_EQ(is_available(Isa::kAvx2), has_all({"avx2", "fma", "f16c", "bmi2"}));
    EXPECT_EQ(is_available(Isa::kAvx512),
              has_all({"avx2", "fma", "f16c", "bmi2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"}));
    // And only if the kernel says yes, which a container's rules may forbid.
    EXPECT_EQ(is_available(Isa::kAmx), is_available(Isa::kAvx512) && has_all({"amx_tile", "amx_int8"}) && request_tile_registers());
}

}  // namespace
}  // namespace rafter::backend::cpu
