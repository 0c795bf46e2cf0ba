// What people read: units, tables, styles.
#include <gtest/gtest.h>

#include "report/plot.h"
#include "report/progress.h"
#include "report/staircase.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::report {
namespace {

TEST(Units, KeepThreeDigitsThatCount) {
    EXPECT_EQ(bytes(0), "0 B");
    EXPECT_EQ(bytes(999), "999 B");
    EXPECT_EQ(bytes(999.6), "1.00 kB");
    EXPECT_EQ(bytes(98'362'432), "98.4 MB");
    EXPECT_EQ(bytes(253'113'024), "253 MB");
    EXPECT_EQ(bytes(999'600'000), "1.00 GB");
    EXPECT_EQ(bytes(1.5e18), "1.50 EB");
    EXPECT_EQ(bytes(1.5e36), "1,500,000 QB");
    EXPECT_EQ(bytes_per_second(12.345e9), "12.3 GB/s");
    EXPECT_EQ(count(134'515'008), "135 M");
    EXPECT_EQ(rate(9.996), "10.0");
    EXPECT_EQ(rate(0), "0.00");
    EXPECT_EQ(rate(74.26), "74.3");
    EXPECT_EQ(rate(123.4), "123");
    EXPECT_EQ(rate(1234.5), "1,235");
}

TEST(Units, GroupThousands) {
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(999), "999");
    EXPECT_EQ(grouped(1000), "1,000");
    EXPECT_EQ(grouped(1234567), "1,234,567");
    EXPECT_EQ(whole(1234.5), "1,235");
    EXPECT_EQ(whole(2e19), "20,000,000,000,000,000,000");
    EXPECT_EQ(whole(1.2345e15), "1,230,000,000,000,000");
    EXPECT_EQ(seconds(2e19), "633,761,756,281 years");
    EXPECT_EQ(seconds(86400.0 * 12), "12 days");
    EXPECT_EQ(rate(2e19), "20,000,000,000,000,000,000");
}

TEST(Units, HaveNoExponents) {
    EXPECT_EQ(rate(1.234e-7), "0.000000123");
    EXPECT_EQ(dollars(1.234e-7), "$0.00000012");
    EXPECT_EQ(dollars(0), "$0");
    EXPECT_EQ(duration(1.5e-13), "under 0.01 ns");
    EXPECT_EQ(duration(0), "0 s");
    EXPECT_EQ(percent(1e6), "100,000,000%");
    EXPECT_EQ(factor(76123.4), "76,123x");
    EXPECT_EQ(factor(1.288), "1.29x");
    EXPECT_EQ(plain(0.05), "0.05");
    EXPECT_EQ(plain(1e-7), "0.0000001");
    EXPECT_EQ(plain(2525), "2525");
    for (double n = 1e-30; n < 1e40; n *= 7) {
        for (const std::string& text : {whole(n), bytes(n), count(n), seconds(n), duration(n), percent(n), dollars(n), rate(n), plain(n)}) {
            EXPECT_EQ(text.find("e+"), std::string::npos) << text;
            EXPECT_EQ(text.find("e-"), std::string::npos) << text;
        }
    }
}

TEST(Units, ChooseTheUnitOfTime) {
    EXPECT_EQ(seconds(12e-6), "12 µs");
    EXPECT_EQ(duration(4.183e-7), "418 ns");
    EXPECT_EQ(duration(12.34e-6), "12.3 µs");
    EXPECT_EQ(duration(0.003456), "3.46 ms");
    EXPECT_EQ(duration(0.9996), "1.00 s");
    EXPECT_EQ(duration(200), "3 min 20 s");
    EXPECT_EQ(percent(0.0312), "3.1%");
    EXPECT_EQ(percent(0.0996), "10%");
    EXPECT_EQ(percent(0), "0%");
    EXPECT_EQ(percent(1), "100%");
    EXPECT_EQ(dollars(0.0123), "$0.012");
    EXPECT_EQ(dollars(0.0999), "$0.10");
    EXPECT_EQ(dollars(12.5), "$12.50");
    EXPECT_EQ(dollars(1234.4), "$1,234");
    EXPECT_EQ(seconds(0.0849), "85 ms");
    EXPECT_EQ(seconds(0.9996), "1.00 s");
    EXPECT_EQ(seconds(59.4), "59.4 s");
    EXPECT_EQ(seconds(200), "3 min 20 s");
    EXPECT_EQ(seconds(7260), "2 h 1 min");
}

TEST(Table, AlignsByCharactersAndLeavesNoBlanksAtLineEnds) {
    Table table({{"type"}, {"size", Align::kRight}, {"note"}});
    table.add({"Q4_K", "9", "é"});
    table.add({"é", "1,234", ""});
    table.add_total({"all", "1,243", ""});
    EXPECT_EQ(table.render({}, " "),
              " type   size  note\n"
              " ────  ─────  ────\n"
              " Q4_K      9  é\n"
              " é     1,234\n"
              " ────  ─────  ────\n"
              " all   1,243\n");
}

TEST(Table, StylesDoNotMoveColumns) {
    Table plain({{"a"}, {"b"}});
    plain.add({"x", "y"});
    const Style color{.color = true};
    Table styled({{"a"}, {"b"}});
    styled.add({color.accent("x"), "y"});
    EXPECT_EQ(display_width(styled.render(color)), display_width(plain.render({})));
    EXPECT_NE(styled.render(color), plain.render({}));
    EXPECT_EQ(Style{}.bold("x"), "x");
}

TEST(Facts, BreakLongValuesUnderThemselves) {
    Facts facts;
    facts.add("a", "one two three");
    facts.add("long", "four");
    EXPECT_EQ(facts.render({}, 14), "a     one two\n      three\nlong  four\n");
    EXPECT_EQ(wrapped("one two", 5, " "), "one\n two");
    EXPECT_EQ(wrapped("incomprehensible", 5, " "), "incomprehensible");
    EXPECT_EQ(wrapped("", 5, " "), "");
}

TEST(Facts, LineUpTheirValues) {
    Facts facts;
    facts.add("parameters", "135 M");
    facts.add("file", "98 MB");
    EXPECT_EQ(facts.render({}), "parameters  135 M\nfile        98 MB\n");
}

TEST(LabelSpace, TakesTheFirstPlaceThatIsFree) {
    LabelSpace space({0, 0, 200, 100});
    space.block_circle(20, 50, 10);
    Svg svg;
    EXPECT_TRUE(space.draw(svg, "note", "one", {{10, 50}, {190, 20, Anchor::kEnd}}));
    EXPECT_TRUE(space.draw(svg, "note", "two", {{190, 20, Anchor::kEnd}, {190, 50, Anchor::kEnd}}));
    EXPECT_FALSE(space.draw(svg, "note", "three", {{10, 50}, {190, 200, Anchor::kEnd}}));
    EXPECT_TRUE(space.is_free_circle(60, 80, 5));
    EXPECT_FALSE(space.is_free_circle(198, 80, 5));
    EXPECT_EQ(svg.take(),
              "<text x=\"190\" y=\"20\" class=\"note end\">one</text>\n<text x=\"190\" y=\"50\" class=\"note end\">two</text>\n");
}

TEST(Ticks, ArePowersOfTenThatDoNotTouch) {
    EXPECT_EQ(tick_label(0.1), "0.1");
    EXPECT_EQ(tick_label(0.001), "0.001");
    EXPECT_EQ(tick_label(1e-5), "10⁻⁵");
    EXPECT_EQ(tick_label(1e13), "10T");
    EXPECT_EQ(tick_label(1e24), "10²⁴");
    EXPECT_EQ(decades(LogScale(0.5, 2000, 0, 400), 50), (std::vector<double>{1, 10, 100, 1000}));
    EXPECT_EQ(decades(LogScale(1, 1e6, 400, 0), 100), (std::vector<double>{1, 100, 1e4, 1e6}));
}

TEST(StaircaseSvg, HasTitleLegendAndNamedAxes) {
    Staircase staircase{.title = "Read bandwidth", .subtitle = "of a machine", .lines = {}, .marks = {{"L2", 1e6}, {"L3", 1.1e6}}};
    EXPECT_EQ(staircase_svg(staircase), "");
    for (const char* label : {"1 thread", "2 threads"}) {
        StaircaseLine line{.label = label, .points = {}};
        for (double size = 32768; size < 1e9; size *= 2) line.points.push_back({size, 5e13 / size + 1e10, 6e13 / size + 1e10});
        staircase.lines.push_back(std::move(line));
    }
    const std::string svg = staircase_svg(staircase);
    for (const char* said :
         {"<title>Read bandwidth</title>", "<desc>of a machine</desc>", ">1 thread</text>", ">2 threads</text>", ">L2</text>", ">L3</text>",
          ">bytes read a second</text>", ">working set of all threads</text>", "viewBox=\"0 0 450 ", "prefers-color-scheme: dark"}) {
        EXPECT_NE(svg.find(said), std::string::npos) << said;
    }
}

std::string drawn(unsigned width, bool interactive) {
    char* text = nullptr;
    std::size_t size = 0;
    std::FILE* stream = open_memstream(&text, &size);
    {
        Progress progress({.stream = stream, .interactive = interactive, .width = width, .style = {}}, "Loading");
        progress.update(0.5, "note");
        progress.update(0.6);  // too soon to draw again
    }
    std::fclose(stream);
    std::string result(text, size);
    std::free(text);  // NOLINT: open_memstream allocates so
    return result;
}

TEST(Progress, FillsTheLineAndGoesAway) {
    EXPECT_EQ(drawn(30, true), "\r\x1b[2KLoading ━━━━━─────  50%  note\r\x1b[2K");
    EXPECT_EQ(drawn(20, true), "\r\x1b[2KLoading  50%  note\r\x1b[2K");
}

// A line that wraps cannot be erased.
TEST(Progress, IsNeverAsWideAsTheTerminal) {
    EXPECT_EQ(drawn(19, true), "\r\x1b[2KLoading ━━───  50%\r\x1b[2K");
    EXPECT_EQ(drawn(13, true), "\r\x1b[2KLoading  50%\r\x1b[2K");
    EXPECT_EQ(drawn(9, true), "\r\x1b[2KLoa  50%\r\x1b[2K");
    EXPECT_EQ(drawn(5, true), "\r\x1b[2K  50\r\x1b[2K");
}

TEST(Progress, IsSilentInAPipe) { EXPECT_EQ(drawn(80, false), ""); }

}  // namespace
}  // namespace rafter::report
