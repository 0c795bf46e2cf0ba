// Two ladders compared: which rungs are worse, and what could not be compared.
#include <gtest/gtest.h>

#include "planning/ladder/report.h"
#include "report/style.h"
#include "tests/support/made_up_ladder.h"

namespace rafter::planning {
namespace {

bool says(const std::string& text, std::string_view words) { return text.find(words) != std::string::npos; }

// The line of a rung.
std::string line_of(const std::string& text, std::string_view rung) {
    const std::size_t at = text.find(rung);
    return at == std::string::npos ? "" : text.substr(at, text.find('\n', at) - at);
}

LadderRung& rung_of(Ladder& ladder, std::string_view id) {
    for (LadderRung& rung : ladder.rungs) {
        if (rung.id == id) return rung;
    }
    ADD_FAILURE() << id;
    return ladder.rungs[0];
}

TEST(LadderComparison, OfTheSameFindsNothing) {
    const Ladder ladder = tests::made_up_ladder();
    const LadderComparison same = compare_ladders(ladder, ladder, {});
    EXPECT_EQ(same.n_worse, 0U);
    EXPECT_EQ(same.n_not_compared, 0U);
    EXPECT_TRUE(says(same.text, "No rung is worse"));
    EXPECT_FALSE(says(same.text, "Another"));
    EXPECT_TRUE(says(line_of(same.text, "KV cache"), "83%"));
    EXPECT_TRUE(says(line_of(same.text, "KV cache"), "8.91×"));
    EXPECT_TRUE(says(line_of(same.text, "Matrix unit"), "skipped in both"));
}

TEST(LadderComparison, FindsWhatFellByMoreThanTenPercent) {
    const Ladder then = tests::made_up_ladder();
    for (const auto& [slower, is_worse] : {std::pair{1.05, false}, {1.09, false}, {1.13, true}, {2.0, true}}) {
        Ladder now = then;
        *rung_of(now, "q8").after.measured_seconds *= slower;
        const LadderComparison answer = compare_ladders(now, then, {});
        EXPECT_EQ(answer.n_worse, is_worse ? 1U : 0U) << slower;
        EXPECT_EQ(says(line_of(answer.text, "8-bit weights"), "worse by"), is_worse) << answer.text;
        EXPECT_EQ(compare_ladders(then, now, {}).n_worse, 0U);
    }
    Ladder now = then;
    *rung_of(now, "q8").after.measured_seconds /= 1.25;
    EXPECT_TRUE(says(line_of(compare_ladders(now, then, {}).text, "8-bit weights"), "better by 25%"));
}

TEST(LadderComparison, ForgivesWhatEitherSpreadExplains) {
    const Ladder then = tests::made_up_ladder();
    Ladder now = then;
    *rung_of(now, "q8").after.measured_seconds *= 1.25;  // 20% less
    EXPECT_EQ(compare_ladders(now, then, {}).n_worse, 1U);
    Ladder noisy = now;
    rung_of(noisy, "q8").after.spread = 0.22;
    EXPECT_EQ(compare_ladders(noisy, then, {}).n_worse, 0U);
    noisy = then;
    rung_of(noisy, "q8").after.spread = 0.22;
    EXPECT_EQ(compare_ladders(now, noisy, {}).n_worse, 0U);
}

TEST(LadderComparison, ComparesSharesNotSeconds) {
    const Ladder then = tests::made_up_ladder();
    Ladder now = then;  // half as fast a machine
    for (LadderRung& rung : now.rungs) {
        for (LadderPoint* p : {&rung.before, &rung.after}) {
            if (p->measured_seconds) *p->measured_seconds *= 2;
            p->roof_seconds *= 2;
        }
    }
    EXPECT_EQ(compare_ladders(now, then, {}).n_worse, 0U);
}

TEST(LadderComparison, ComparesNoSharesOfDifferentArithmetic) {
    const Ladder then = tests::made_up_ladder();
    Ladder now = then;
    now.roofs[0].name = "AMX int8 (K = 32) arithmetic";
    std::size_t n_compute = 0;
    for (LadderRung& rung : now.rungs) {
        if (rung.skipped || rung.after.roof != roofline::PriceBound::kCompute) continue;
        rung.after.level = now.roofs[0].name;
        rung.after.roof_seconds /= 6.0;
        ++n_compute;
    }
    ASSERT_GT(n_compute, 0U);
    const LadderComparison answer = compare_ladders(now, then, {});
    EXPECT_EQ(answer.n_worse, 0U) << answer.text;
    EXPECT_GE(answer.n_not_compared, n_compute);
    EXPECT_TRUE(says(answer.text, "another roof")) << answer.text;
    now.roofs = then.roofs;  // the same machine, on which the rung's mix of arithmetic changed
    EXPECT_GT(compare_ladders(now, then, {}).n_worse, 0U);
}

TEST(LadderComparison, CallsWrongOutputsWorse) {
    const Ladder then = tests::made_up_ladder();
    Ladder now = then;
    rung_of(now, "fused").check.passed = false;
    const LadderComparison answer = compare_ladders(now, then, {});
    EXPECT_EQ(answer.n_worse, 1U);
    EXPECT_TRUE(says(line_of(answer.text, "Fused ops"), "worse: outputs differ"));
}

TEST(LadderComparison, NamesWhatIsInOneOfThem) {
    Ladder then = tests::made_up_ladder();
    Ladder now = then;
    std::erase_if(now.rungs, [](const LadderRung& rung) { return rung.id == "q4"; });
    std::erase_if(then.rungs, [](const LadderRung& rung) { return rung.id == "paged"; });
    rung_of(now, "flash").skipped = "no time";
    rung_of(now, "batch").load = "16 sequences, 128 tokens seen";
    const LadderComparison answer = compare_ladders(now, then, {});
    EXPECT_TRUE(says(line_of(answer.text, "4-bit weights"), "only then"));
    EXPECT_TRUE(says(line_of(answer.text, "Paged KV cache"), "only now"));
    EXPECT_TRUE(says(line_of(answer.text, "Flash attention"), "skipped now"));
    EXPECT_TRUE(says(line_of(answer.text, "Batch of 8"), "another load"));
    EXPECT_EQ(answer.n_worse, 0U);
    EXPECT_EQ(answer.n_not_compared, 3U);
    EXPECT_TRUE(says(answer.text, "3 not compared"));
}

TEST(LadderComparison, SaysFirstWhatDiffers) {
    const Ladder then = tests::made_up_ladder();
    Ladder now = then;
    now.model = "Gemma 3 270M";
    now.hardware = "Intel Xeon Processor, 4 threads, avx512-vnni";
    now.complete = false;
    const std::string text = compare_ladders(now, then, {}).text;
    EXPECT_TRUE(text.starts_with("Another model: Gemma 3 270M now, SmolLM2 135M Instruct then\n")) << text;
    EXPECT_LT(text.find("4 threads"), text.find("share now"));
    EXPECT_LT(text.find("Stopped early"), text.find("share now"));
}

TEST(LadderComparison, ComparesNoPredictionWithAMeasurement) {
    const Ladder then = tests::made_up_ladder();
    Ladder now = then;
    tests::make_predicted(now);
    const LadderComparison answer = compare_ladders(now, then, {});
    EXPECT_EQ(answer.n_worse, 0U);
    EXPECT_EQ(answer.n_not_compared, then.rungs.size() - 1);
    EXPECT_TRUE(says(answer.text, "Another kind of numbers: predicted now, measured then"));
}

TEST(LadderComparison, FitsEightyColumnsAndObeysNoName) {
    const Ladder then = tests::made_up_ladder();
    Ladder now = then;
    tests::make_hostile(now);
    const std::string text = compare_ladders(now, then, {}).text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        EXPECT_LE(report::display_width(text.substr(at, end - at)), 80U) << text.substr(at, end - at);
        at = end + 1;
    }
}

}  // namespace
}  // namespace rafter::planning
