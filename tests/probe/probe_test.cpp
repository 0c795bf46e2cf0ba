// The probe's parts that others use by themselves: the roofs, and the row kernels by name.
#include "probe/probe.h"

#include <gtest/gtest.h>

#include <set>

#include "probe/row_bench.h"

namespace rafter::probe {
namespace {

using backend::cpu::available_isas;
using backend::cpu::best_isa;
using backend::cpu::Isa;

TEST(ProbeRoofs, SayWhichInstructionSetTheyAreOf) {
    ThreadPool pool({.n_threads = 1});
    const auto plain = probe_roofs(pool, "scalar", {.quick = true, .version = "x"});
    const auto best = probe_roofs(pool, to_string(best_isa()), {.quick = true, .version = "x"});
    ASSERT_TRUE(plain && best);
    EXPECT_EQ(plain->key, profile_key(pool, "scalar", "x"));
    EXPECT_EQ(best->key, profile_key(pool, to_string(best_isa()), "x"));
    for (const auto& roofs : {*plain, *best}) {  // which is the faster one is a matter of the machine's moment
        EXPECT_GT(roofs.float_flop_per_s, 0.0);
        EXPECT_GT(roofs.int8_flop_per_s, 0.0);
    }
    ASSERT_GE(best->bandwidth.size(), 4U);
    for (const hardware::BandwidthReading& r : best->bandwidth) {
        EXPECT_EQ(r.n_threads, 1U);
        EXPECT_GE(r.best_bytes_per_s, r.bytes_per_s);
    }
}

// Prices look readings up by name (roofline/calibrated.cpp).
TEST(RowWork, HasANameEachAndComputesAtBothWidths) {
    for (const Isa isa : available_isas()) {
        std::set<std::string> kinds;
        for (const RowWork& work : row_work(isa)) {
            EXPECT_TRUE(kinds.insert(work.kind).second) << work.kind;
            for (const std::size_t width : {std::size_t{512}, kMaxRowWidth}) {
                RowData data;
                RowData before = data;
                work.run(data, width);
                EXPECT_EQ(data.a, before.a) << work.kind;
                EXPECT_TRUE(data.y != before.y || data.bytes != before.bytes) << work.kind;
            }
        }
        for (const char* kind : {"rms_norm", "quantize_q8", "rope", "store_f16", "embed_Q4_0"}) EXPECT_TRUE(kinds.contains(kind)) << kind;
    }
}

}  // namespace
}  // namespace rafter::probe
