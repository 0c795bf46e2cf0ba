#include "report/word_wrap.h"

#include <gtest/gtest.h>

namespace rafter::report {
namespace {

// All of the text at once, or a byte of ASCII (a character of anything else) at a time.
std::string wrapped_at(std::size_t columns, std::string_view text) {
    WordWrap whole(columns);
    std::string once = whole.push(text);
    once += whole.finish();
    WordWrap pieces(columns);
    std::string streamed;
    for (std::size_t begin = 0; begin < text.size();) {
        std::size_t end = begin + 1;
        while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
        streamed += pieces.push(text.substr(begin, end - begin));
        begin = end;
    }
    streamed += pieces.finish();
    EXPECT_EQ(once, streamed);
    return once;
}

TEST(WordWrap, BreaksLinesBetweenWords) {
    EXPECT_EQ(wrapped_at(10, "one two three four"), "one two\nthree four");
    EXPECT_EQ(wrapped_at(9, "one two three four"), "one two\nthree\nfour");
    EXPECT_EQ(wrapped_at(80, "one  two\n\n  - three\n"), "one  two\n\n  - three\n");
    EXPECT_EQ(wrapped_at(7, "one two"), "one two");
    EXPECT_EQ(wrapped_at(6, "one two"), "one\ntwo");
}

TEST(WordWrap, LeavesALongWordToTheTerminal) {
    EXPECT_EQ(wrapped_at(5, "a abcdefgh b cd e"), "a\nabcdefgh b\ncd e") << "3 of the long word's columns are taken in its second row";
}

TEST(WordWrap, CountsColumnsAndNotBytes) {
    EXPECT_EQ(wrapped_at(9, "äöü éèê ñ"), "äöü éèê ñ");
    EXPECT_EQ(wrapped_at(6, "日本語の文"), "日本語\nの文");
    EXPECT_EQ(wrapped_at(6, "日本語、文"), "日本\n語、文") << "a comma does not begin a line";
    EXPECT_EQ(wrapped_at(4, "e\u0301e\u0301e\u0301 e"), "e\u0301e\u0301e\u0301\ne");
    EXPECT_EQ(character_width(U'a'), 1U);
    EXPECT_EQ(character_width(U'😀'), 2U);
}

TEST(WordWrap, LeavesCodeAsItIs) {
    EXPECT_EQ(wrapped_at(12, "see this here\n```py\nreturn a + b * c / d\n```\nand then on it goes"),
              "see this\nhere\n```py\nreturn a + b * c / d\n```\nand then on\nit goes");
}

TEST(WordWrap, ShowsControlCharacters) {
    EXPECT_EQ(wrapped_at(80, "\x1b[2J\x07 x\u009b"), "^[[2J^G x\uFFFD");
    EXPECT_EQ(wrapped_at(80, "a\tb"), "a       b");
}

}  // namespace
}  // namespace rafter::report
