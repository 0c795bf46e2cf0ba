// A ladder's report for people: what it must say, and what it must not break on.
#include "planning/ladder/report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "planning/ladder/words.h"
#include "report/style.h"
#include "report/svg.h"
#include "tests/support/made_up_ladder.h"
#include "text/utf8.h"

namespace rafter::planning {
namespace {

bool has(const std::string& text, std::string_view words) { return text.find(words) != std::string::npos; }

// Lines joined, so that words are found wherever a line broke between them.
std::string unwrapped(const std::string& text) {
    std::string joined;
    for (const char c : text) {
        const char next = c == '\n' ? ' ' : c;
        if (next != ' ' || joined.empty() || joined.back() != ' ') joined += next;
    }
    return joined;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

std::vector<std::string> all_forms(const Ladder& ladder) {
    return {ladder_text(ladder, {}), ladder_html(ladder), ladder_svg(ladder), ladder_svg(ladder, LadderPicture::kWaterfall)};
}

TEST(LadderReport, SaysTheNumbersOfEveryRung) {
    const Ladder ladder = tests::made_up_ladder();
    for (const std::string& form : {unwrapped(ladder_text(ladder, {})), ladder_html(ladder)}) {
        const bool is_page = form.starts_with("<!doctype");
        for (const char* words :
             {"SmolLM2 135M Instruct on Intel Xeon Processor, 2 threads, avx512-vnni", "37.0×", "135 M parameters",
              "8.91× measured, 8.32× predicted", "26.0 ms a step (spread 1.2%), predicted 26.6 ms: +2.1%", "33% of int8 arithmetic",
              "940 GFLOP/s", "same bits, 128 tokens", "541 MB moved and 277 MFLOP a step, 0.51 FLOP a byte",
              "KL 0.0031 a token, 97% same top token, against float32 weights", "Skipped: this processor has no AMX",
              "The text repeats itself too little", "--weights Q8_0", "rafter ladder SmolLM2-135M-Instruct.gguf --quick",
              "The machine is probed before", "a careful quantiser loses less"}) {
            EXPECT_TRUE(has(form, words)) << words;
        }
        EXPECT_TRUE(has(form, is_page ? "83% of memory&#39;s 25.1 GB/s" : "83% of memory's 25.1 GB/s"));
        for (const LadderRung& rung : ladder.rungs) {
            EXPECT_TRUE(has(form, rung.name)) << rung.name;
            EXPECT_TRUE(has(form, is_page ? report::escaped(rung.why) : rung.why)) << rung.why;
        }
    }
}

TEST(LadderReport, BeginsWithTheTotalTheErrorAndWhatMissed) {
    const Ladder ladder = tests::made_up_ladder();
    const std::string text = unwrapped(ladder_text(ladder, {}));
    const std::string opening = text.substr(0, text.find("rung"));
    EXPECT_TRUE(has(opening, "37.0× the tokens a second of the same model with a KV cache and nothing else (37.0× predicted)"));
    EXPECT_TRUE(has(opening, "median 4.8%, 90th percentile 18%, of 18 steps"));
    EXPECT_TRUE(has(opening, "Speculation: 0.95×, predicted 1.05×"));
    EXPECT_TRUE(has(opening, "Missed Speculation over plain decoding: 0.95×, at least 1.30× wanted. The text repeats itself too little"));
    EXPECT_TRUE(has(opening, "The KV cache's share of its roof: 83%, at least 70% wanted"));
}

TEST(LadderReport, SaysWhatIsDoubtfulFirst) {
    Ladder ladder = tests::made_up_ladder();
    for (const std::string& form : all_forms(ladder)) EXPECT_FALSE(has(form, "topped early"));
    ladder.complete = false;
    ladder.trusted = false;
    ladder.warnings = {"somebody else computes here"};
    const std::vector<std::string> lines = lines_of(ladder_text(ladder, {}));
    EXPECT_TRUE(has(lines[0], "Stopped early"));
    EXPECT_TRUE(has(lines[1], "The machine was not quiet"));
    EXPECT_TRUE(has(lines[3], "Somebody else computes here"));
    const std::string page = ladder_html(ladder);
    EXPECT_LT(page.find("Stopped early"), page.find("class=\"cards\""));
    EXPECT_LT(page.find("Somebody else"), page.find("class=\"cards\""));
    EXPECT_TRUE(has(ladder_svg(ladder), ">Somebody else computes here<"));
}

TEST(LadderReport, SaysPlainlyThatItIsPredicted) {
    Ladder ladder = tests::made_up_ladder();
    tests::make_predicted(ladder);
    for (const std::string& form : all_forms(ladder)) {
        EXPECT_TRUE(has(form, "redicted, not measured"));
        EXPECT_FALSE(has(form, "× measured"));
    }
    EXPECT_TRUE(ladder_text(ladder, {}).starts_with("Predicted, not measured"));
    EXPECT_FALSE(has(ladder_svg(ladder, LadderPicture::kWaterfall), "class=\"waterfall-tick\""));
    EXPECT_TRUE(has(ladder_svg(tests::made_up_ladder(), LadderPicture::kWaterfall), "class=\"waterfall-tick\""));
    EXPECT_TRUE(has(ladder_html(ladder), "waterfall-bar predicted"));
    EXPECT_FALSE(has(ladder_html(tests::made_up_ladder()), "waterfall-bar predicted"));
}

TEST(LadderReport, FitsEightyColumns) {
    for (const bool hostile : {false, true}) {
        Ladder ladder = tests::made_up_ladder();
        if (hostile) tests::make_hostile(ladder);
        for (const std::string& line : lines_of(ladder_text(ladder, {.color = true}))) {
            EXPECT_LE(report::display_width(line), 80U) << line;
        }
    }
}

TEST(LadderReport, ObeysNoNameFromAFile) {
    Ladder ladder = tests::made_up_ladder();
    tests::make_hostile(ladder);
    const std::vector<std::string> forms = all_forms(ladder);
    for (const std::string& form : forms) {
        EXPECT_EQ(form.find('\x1b'), std::string::npos);
        EXPECT_EQ(form.find('\x07'), std::string::npos);
        EXPECT_EQ(text::find_invalid_utf8(form), form.size());
        if (&form == forms.data()) continue;  // text is no markup
        EXPECT_FALSE(has(form, "<script>alert"));
        EXPECT_TRUE(has(form, "&lt;script&gt;alert"));
    }
}

TEST(LadderReport, KeepsTextsOnOneLine) {
    EXPECT_EQ(one_line("a\nb\tc"), "a b c");
    EXPECT_EQ(one_line("\x1b[2J"), "\xEF\xBF\xBD[2J");
    EXPECT_EQ(one_line("\xE2\x80\xAE"
                       "abc"),
              "\xEF\xBF\xBD"
              "abc");  // right-to-left override
    EXPECT_EQ(one_line("\xC2\x9B"
                       "0m"),
              "\xEF\xBF\xBD"
              "0m");  // a control sequence in one character
    EXPECT_EQ(one_line("Grüße, 漢字"), "Grüße, 漢字");
    EXPECT_EQ(cut_to("abcdef", 6), "abcdef");
    EXPECT_EQ(cut_to("äbcdefg", 4), "äbc…");
}

// Whatever a climb left behind: nothing, one rung, only skipped ones, zeros, numbers that are none.
TEST(LadderReport, HoldsForAnyNumbers) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double inf = std::numeric_limits<double>::infinity();
    std::vector<Ladder> ladders{{}, tests::made_up_ladder(), tests::made_up_ladder()};
    ladders[1].rungs.resize(1);
    for (LadderRung& rung : ladders[2].rungs) rung.skipped = "no time";
    for (const double n : {0.0, nan, inf, -1.0, 1e-300, 1e300}) {
        for (int which = 0; which < 8; ++which) {
            Ladder ladder = tests::made_up_ladder();
            for (std::size_t i = 0; i < ladder.rungs.size(); i += 2) {
                LadderPoint& p = ladder.rungs[i].after;
                double* const fields[] = {&p.tokens, &p.predicted_seconds, &p.flops, &p.bytes, &p.roof_seconds, &p.roof_rate, &p.spread};
                if (which < 7) {
                    *fields[which] = n;
                } else {
                    p.measured_seconds = n;
                    ladder.bytes_per_s = ladder.parameters = ladder.seconds = ladder.noise = n;
                    for (LadderRoof& roof : ladder.roofs) roof.flop_per_s = n;
                    for (LadderAim& aim : ladder.aims) aim.reached = n;
                }
            }
            ladders.push_back(std::move(ladder));
        }
    }
    for (const Ladder& ladder : ladders) {
        for (const std::string& form : all_forms(ladder)) {
            for (const char* word : {"nan", "NaN", "inf", "e+"}) EXPECT_FALSE(has(form, word)) << word << "\n" << form;
        }
        static_cast<void>(compare_ladders(ladder, ladders[1], {}));
    }
}

TEST(LadderReport, DrawsEveryRungWithItsNumber) {
    const Ladder ladder = tests::made_up_ladder();
    const std::string roofline = ladder_svg(ladder);
    const std::string waterfall = ladder_svg(ladder, LadderPicture::kWaterfall);
    for (const LadderRung& rung : ladder.rungs) {
        const std::string label = fmt::format("{} {}", number_of(ladder, rung), rung.name);
        for (const std::string& picture : {roofline, waterfall}) {
            EXPECT_EQ(has(picture, fmt::format("<title>{}\n", label)), !rung.skipped) << label;
            EXPECT_EQ(has(picture, fmt::format("\"{}. {}", number_of(ladder, rung), rung.name)), !rung.skipped) << label;
        }
    }
    EXPECT_TRUE(has(roofline, "memory 25.1 GB/s"));
    EXPECT_TRUE(has(roofline, "int8 arithmetic 940 GFLOP/s"));
    EXPECT_TRUE(has(waterfall, "waterfall-bar loss"));
    EXPECT_TRUE(has(waterfall, "waterfall-bar aside"));
}

TEST(LadderReport, NamesTheMemoryHoweverFullThePictureIs) {
    Ladder ladder = tests::made_up_ladder();
    tests::make_crowded(ladder);
    EXPECT_TRUE(has(ladder_svg(ladder), ">memory 25.1 GB/s<"));
    const std::string page = ladder_html(ladder);
    EXPECT_NE(page.find(">memory 25.1 GB/s<"), page.rfind(">memory 25.1 GB/s<"));  // wide and narrow
}

TEST(LadderReport, DrawsTheRoofOfACache) {
    Ladder ladder = tests::made_up_ladder();
    LadderPoint& p = ladder.rungs[6].after;
    p.level = "L3 cache";
    p.roof_rate = 80e9;
    EXPECT_TRUE(has(ladder_svg(ladder), "L3 cache 80.0 GB/s"));
    EXPECT_TRUE(has(unwrapped(ladder_text(ladder, {})), "of L3 cache's 80.0 GB/s"));
}

TEST(LadderReport, LoadsNothingFromElsewhere) {
    std::string page = ladder_html(tests::made_up_ladder());
    constexpr std::string_view kNamespace = "http://www.w3.org/2000/svg";  // a name, not an address
    for (std::size_t at = page.find(kNamespace); at != std::string::npos; at = page.find(kNamespace)) page.erase(at, kNamespace.size());
    for (const char* words : {"http://", "https://", " src=", " href=", "@import", "url("}) EXPECT_FALSE(has(page, words)) << words;
}

TEST(LadderReport, CallsAFailedCheckWhatItIs) {
    Ladder ladder = tests::made_up_ladder();
    ladder.rungs[2].check.passed = false;
    EXPECT_TRUE(has(unwrapped(ladder_text(ladder, {})), "Output: bits differ that should be equal, 128 tokens"));
    EXPECT_TRUE(has(ladder_html(ladder), "<p class=\"miss\">bits differ that should be equal"));
}

}  // namespace
}  // namespace rafter::planning
