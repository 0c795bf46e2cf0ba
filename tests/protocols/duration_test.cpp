// Durations of Go's form, and what is none.
#include "protocols/duration.h"

#include <gtest/gtest.h>

#include <string>

namespace rafter::protocols {
namespace {

TEST(Duration, IsAsGoWritesIt) {
    const std::pair<const char*, double> known[] = {{"0", 0.0},        {"-1", -1.0},     {"300", 300.0},   {"5m", 300.0},
                                                    {"1h30m", 5400.0}, {"1.5h", 5400.0}, {"300ms", 0.3},   {"+2s", 2.0},
                                                    {"-1m", -60.0},    {"0s", 0.0},      {"1m0.5s", 60.5}, {"2us", 2e-6},
                                                    {"2µs", 2e-6},     {".5s", 0.5},     {"1s1s", 2.0},    {"1h1m1s1ms", 3661.001},
                                                    {"3.s", 3.0},      {"10ns", 1e-8}};
    for (const auto& [text, seconds] : known) {
        const auto found = duration_seconds(text);
        ASSERT_TRUE(found) << text;
        EXPECT_NEAR(*found, seconds, 1e-12) << text;
    }
}

TEST(Duration, IsNotAnythingElse) {
    for (const std::string text : {"", "-", "m", "5 m", "5x", "5m ", " 5m", "1h30", "--1s", "1e3s", "1e3", "nan", "inf", "0x10", ".", ".s",
                                   "1..2s", "5M", "five minutes"}) {
        EXPECT_FALSE(duration_seconds(text)) << text;
    }
    EXPECT_FALSE(duration_seconds(std::string_view("5m\0", 3)));
    EXPECT_FALSE(duration_seconds(std::string(400, '9') + "h"));
    EXPECT_FALSE(duration_seconds(std::string(400, '9')));
}

}  // namespace
}  // namespace rafter::protocols
