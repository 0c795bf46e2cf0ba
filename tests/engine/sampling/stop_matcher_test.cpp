// Stop strings across every possible border, against a search of the whole text.
#include "engine/sampling/stop_matcher.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>

namespace rafter::engine {
namespace {

struct Answer {
    std::string text;
    bool stopped = false;
    std::size_t stop = 0;  // of stopped: which
};

Answer feed(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
    StopMatcher matcher(stops);
    Answer answer;
    for (const std::string& piece : pieces) {
        const auto pushed = matcher.push(piece);
        answer.text += pushed.text;
        if (pushed.stopped) return {answer.text, true, pushed.stop};
    }
    answer.text += matcher.finish();
    return answer;
}

// The stop string that is complete first ends the text; of several that end there, the longest.
Answer slow_answer(const std::vector<std::string>& stops, const std::string& text) {
    for (std::size_t end = 1; end <= text.size(); ++end) {
        std::size_t longest = 0, index = 0;
        for (std::size_t i = 0; i < stops.size(); ++i) {
            const std::string& stop = stops[i];
            if (stop.size() <= longest || stop.size() > end || text.compare(end - stop.size(), stop.size(), stop) != 0) continue;
            longest = stop.size();
            index = i;
        }
        if (longest > 0) return {text.substr(0, end - longest), true, index};
    }
    return {text, false};
}

TEST(StopMatcher, WithoutStopsShowsAllAtOnce) {
    StopMatcher matcher({""});
    EXPECT_EQ(matcher.push("abc").text, "abc");
    EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBeTheStartOfAStop) {
    StopMatcher matcher({"\n\nUser:"});
    EXPECT_EQ(matcher.push("Hello\n").text, "Hello");
    EXPECT_EQ(matcher.push("\n").text, "");
    EXPECT_EQ(matcher.push("\n").text, "\n");
    EXPECT_EQ(matcher.push("Use").text, "");
    EXPECT_EQ(matcher.push("d").text, "\n\nUsed");
    const auto last = matcher.push("\n\nUser: x");
    EXPECT_EQ(last.text, "");
    EXPECT_TRUE(last.stopped);
}

TEST(StopMatcher, GoesOnPastStopsWhereItIsToldTo) {
    using WhenComplete = StopMatcher::WhenComplete;
    std::mt19937 random(21);
    const auto letters = [&](std::size_t n) {
        std::string text(n, 'a');
        for (char& c : text) c = static_cast<char>('a' + random() % 2);
        return text;
    };
    int n_stopped = 0;
    for (int round = 0; round < 3000; ++round) {
        const std::vector<std::string> stops{letters(1 + random() % 5), letters(1 + random() % 5)};
        const std::string early = letters(random() % 10);
        const std::string late = letters(random() % 10);
        StopMatcher matcher(stops);
        std::string text;
        for (const char c : early) {
            const auto pushed = matcher.push(std::string(1, c), WhenComplete::kGoOn);
            ASSERT_FALSE(pushed.stopped);
            text += pushed.text;
        }
        const auto last = matcher.push(late);
        text += last.text;
        if (!last.stopped) text += matcher.finish();
        // Stops that end in the early part do not count; those that end after it do, wherever they begin.
        Answer expected{early + late};
        for (std::size_t end = early.size() + 1; end <= expected.text.size() && !expected.stopped; ++end) {
            std::size_t longest = 0;
            for (const std::string& stop : stops) {
                if (stop.size() > end || expected.text.compare(end - stop.size(), stop.size(), stop) != 0) continue;
                longest = std::max(longest, stop.size());
            }
            if (longest > 0) expected = {expected.text.substr(0, end - longest), true};
        }
        ASSERT_EQ(last.stopped, expected.stopped);
        ASSERT_EQ(text, expected.text);
        n_stopped += expected.stopped;
    }
    EXPECT_GT(n_stopped, 500);
}

TEST(StopMatcher, FinishGivesWhatWasHeldBack) {
    const Answer answer = feed({"END"}, {"the E", "N"});
    EXPECT_EQ(answer.text, "the EN");
    EXPECT_FALSE(answer.stopped);
}

TEST(StopMatcher, FindsAStopInsideAnother) {
    EXPECT_EQ(feed({"abcd", "bc"}, {"xabcd"}).text, "xa");
    EXPECT_EQ(feed({"aab"}, {"aaaa", "b"}).text, "aa");
}

TEST(StopMatcher, AgreesWithASearchOfTheWholeTextForAnyBorders) {
    std::mt19937 random(1);
    int n_stopped = 0;
    const auto word = [&](std::size_t n) {
        std::string text;
        for (std::size_t i = 0; i < n; ++i) text += "ab\n"[random() % 3];
        return text;
    };
    for (int round = 0; round < 20'000; ++round) {
        std::vector<std::string> stops(random() % 4);
        for (std::string& stop : stops) stop = word(random() % 6);
        const std::string text = word(random() % 30);
        std::vector<std::string> pieces;
        for (std::size_t i = 0; i < text.size();) {
            const std::size_t n = std::min(text.size() - i, random() % 5);
            pieces.push_back(text.substr(i, n));
            i += n;
        }
        const Answer expected = slow_answer(stops, text);
        const Answer found = feed(stops, pieces);
        ASSERT_EQ(found.text, expected.text) << "text \"" << text << "\"";
        ASSERT_EQ(found.stopped, expected.stopped);
        n_stopped += expected.stopped;
    }
    EXPECT_GT(n_stopped, 5'000);
}

TEST(StopMatcher, IsLinearInTextThatAlmostMatches) {
    const std::string almost(20'000, 'a');
    StopMatcher matcher({almost + "b"});
    for (int i = 0; i < 200; ++i) (void)matcher.push(almost.substr(0, 10'000));  // 2 MB; 4e10 steps if it were quadratic
    EXPECT_EQ(matcher.finish().size(), 20'000U);
}

}  // namespace
}  // namespace rafter::engine
