// The front of alternatives, and their two pictures.
#include "report/tradeoff_chart.h"

#include <gtest/gtest.h>

#include <cmath>

#include "report/style.h"

namespace rafter::report {
namespace {

TradeoffPoint point(double x, double y, std::string mark) { return {.x = x, .y = y, .mark = std::move(mark), .title = "t", .detail = "d"}; }

TradeoffChart chart_of(std::vector<TradeoffPoint> points) {
    TradeoffChart chart{.title = "Speed", .description = "", .x_title = "tok/s", .y_title = "KL", .points = std::move(points)};
    for (const std::size_t i : pareto_front(chart.points)) chart.points[i].on_front = true;
    return chart;
}

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
}

TEST(ParetoFront, HasThePointsThatNoOtherBeats) {
    const std::vector<TradeoffPoint> points{point(10, 0.001, "1"), point(20, 0.01, "2"), point(15, 0.02, "3"), point(30, 0.1, "4")};
    EXPECT_EQ(pareto_front(points), (std::vector<std::size_t>{3, 1, 0}));
    EXPECT_TRUE(pareto_front({}).empty());
}

TEST(ParetoFront, HasAllEqualPointsAndNoneThatIsBeatenInOne) {
    EXPECT_EQ(pareto_front({point(10, 0.1, "1"), point(10, 0.1, "2")}), (std::vector<std::size_t>{0, 1}));
    EXPECT_EQ(pareto_front({point(10, 0.1, "1"), point(10, 0.2, "2")}), (std::vector<std::size_t>{0}));
    EXPECT_EQ(pareto_front({point(10, 0.1, "1"), point(11, 0.1, "2")}), (std::vector<std::size_t>{1}));
}

TEST(TradeoffSvg, HasAMarkForEachPointAndNothingForWhatCannotBeDrawn) {
    const TradeoffChart chart = chart_of({point(10, 0.0, "1"), point(20, 0.01, "2"), point(15, 0.02, "3")});
    for (const bool narrow : {false, true}) {
        const std::string svg = tradeoff_svg(chart, {.narrow = narrow, .alone = true, .warnings = {}});
        EXPECT_EQ(count(svg, "class=\"climb-stop\""), 2U);
        EXPECT_EQ(count(svg, "class=\"climb-stop aside\""), 1U);
        EXPECT_EQ(count(svg, "nan"), 0U);
        EXPECT_EQ(count(svg, "inf"), 0U);
    }
    EXPECT_EQ(tradeoff_svg(chart_of({}), {.warnings = {}}), "");
    EXPECT_EQ(tradeoff_svg(chart_of({point(0, 0.1, "1")}), {.warnings = {}}), "");
    EXPECT_EQ(tradeoff_svg(chart_of({point(1, std::nan(""), "1")}), {.warnings = {}}), "");
}

TEST(TradeoffText, FitsItsColumnsAndHasAMarkForEachPoint) {
    for (const std::vector<TradeoffPoint>& points : {std::vector{point(10, 0.0, "1"), point(20, 0.01, "2"), point(15, 0.02, "3")},
                                                     {point(50, 0.003, "1")},
                                                     {point(7, 0.0, "1"), point(7, 0.0, "2"), point(7, 0.0, "3")},
                                                     {point(1, 1e-7, "1"), point(1e5, 12.0, "2")},
                                                     {point(99.9, 0.0101, "1"), point(100.1, 0.0102, "10"), point(100.2, 0.0103, "11")}}) {
        const TradeoffChart chart = chart_of(points);
        for (const std::size_t columns : {40U, 80U, 200U}) {
            const std::string text = tradeoff_text(chart, columns);
            ASSERT_FALSE(text.empty());
            for (std::size_t at = 0; at < text.size();) {
                const std::size_t end = text.find('\n', at);
                EXPECT_LE(display_width(std::string_view(text).substr(at, end - at)), columns) << text;
                at = end + 1;
            }
            for (const TradeoffPoint& p : chart.points) {
                EXPECT_NE(text.find(p.mark + (p.on_front ? "*" : "")), std::string::npos) << p.mark << "\n" << text;
            }
        }
        EXPECT_EQ(tradeoff_text(chart, 20), "");
    }
}

}  // namespace
}  // namespace rafter::report
