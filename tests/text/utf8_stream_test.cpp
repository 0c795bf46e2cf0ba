// Utf8Stream against Python's decoder (the expected texts) and against itself, however the bytes are cut.
#include "text/utf8_stream.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "text/utf8.h"

namespace rafter::text {
namespace {

std::string shown(const std::vector<std::string>& chunks) {
    Utf8Stream stream;
    std::string all;
    for (const std::string& chunk : chunks) all += stream.push(chunk);
    return all + stream.finish();
}

TEST(Utf8Stream, HoldsBackASplitCharacterUntilItIsWhole) {
    Utf8Stream stream;
    EXPECT_EQ(stream.push("a\xF0\x9F"), "a");
    EXPECT_EQ(stream.push("\x98"), "");
    EXPECT_EQ(stream.push("\x80z"), "\xF0\x9F\x98\x80z");
    EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, ShowsWhatIsCutOffAtTheEndAsOneReplacement) {
    Utf8Stream stream;
    EXPECT_EQ(stream.push("\xE2\x96"), "");
    EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
    EXPECT_EQ(stream.finish(), "");
}

// bytes.decode("utf-8", "replace") in Python 3.11 gives these.
TEST(Utf8Stream, ReplacesWhatCanNeverBeACharacterAsPythonDoes) {
    const std::string r = "\xEF\xBF\xBD";
    EXPECT_EQ(shown({"a\xFFz"}), "a" + r + "z");
    EXPECT_EQ(shown({"\x80\x80"}), r + r);
    EXPECT_EQ(shown({"\xC0\xAF"}), r + r);
    EXPECT_EQ(shown({"\xE2\x82"
                     "a"}),
              r + "a");
    EXPECT_EQ(shown({"\xED\xA0\x80"}), r + r + r);          // a surrogate
    EXPECT_EQ(shown({"\xF4\x90\x80\x80"}), r + r + r + r);  // U+110000
    EXPECT_EQ(shown({"\xF0\x9F\x98\xF0\x9F\x98\x80"}), r + "\xF0\x9F\x98\x80");
}

TEST(Utf8Stream, GivesTheSameTextHoweverTheBytesAreCut) {
    std::mt19937 random(7);
    const std::string alphabet = "az\xC3\xA4\xE2\x96\x81\xF0\x9F\x98\x80\xFF\xC0\xED\xA0\xF4\x8F\xBF";
    for (int round = 0; round < 2000; ++round) {
        std::string bytes;
        for (std::size_t i = random() % 24; i > 0; --i) bytes += alphabet[random() % alphabet.size()];
        std::vector<std::string> chunks(1);
        for (const char c : bytes) {
            if (random() % 3 == 0) chunks.emplace_back();
            chunks.back() += c;
        }
        const std::string whole = shown({bytes});
        EXPECT_EQ(shown(chunks), whole);
        EXPECT_EQ(find_invalid_utf8(whole), whole.size());
    }
}

TEST(Utf8, EveryCodePointSurvivesTheRoundTripAndNothingElseIsValid) {
    for (char32_t code = 0; code <= 0x10FFFF; ++code) {
        std::string text;
        append_utf8(text, code);
        const Utf8Char c = utf8_char_at(text, 0);
        const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
        ASSERT_EQ(c.kind == Utf8Kind::kCharacter, !surrogate) << static_cast<std::uint32_t>(code);
        if (surrogate) continue;
        ASSERT_TRUE(c.code == code) << static_cast<std::uint32_t>(code);
        ASSERT_EQ(c.size, text.size());
    }
}

}  // namespace
}  // namespace rafter::text
