// A ladder's report: what it must say, what it must not break on, and its JSON, which comes back as it was.
#include "planning/ladder/report.h"

#include <gtest/gtest.h>

#include "tests/support/made_up_ladder.h"

namespace rafter::planning {
namespace {

TEST(LadderJson, ComesBackAsItWas) {
    const Ladder ladder = tests::made_up_ladder();
    const Result<Ladder> again = read_ladder(ladder_json(ladder), "ladder.json");
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_TRUE(*again == ladder);
}

TEST(LadderText, SaysTheHeadline) {
    const std::string text = ladder_text(tests::made_up_ladder(), {});
    for (const char* words :
         {"37.0×", "SmolLM2 135M Instruct", "83% of memory's 25.1\n   GB/s", "KL 0.0031 a token, 97% same top token", "Missed",
          "Skipped: this processor has no AMX", "same bits, 128 tokens", "rafter ladder SmolLM2-135M-Instruct.gguf --quick"}) {
        EXPECT_NE(text.find(words), std::string::npos) << words;
    }
}

}  // namespace
}  // namespace rafter::planning
