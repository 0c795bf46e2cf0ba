// What holds for every family of pre-tokenizers; where they cut is tokenizer_golden_test's matter.
#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <string>

#include "tests/support/rounds.h"

namespace rafter::text {
namespace {

std::vector<std::string> words_of(std::string_view name, std::string_view text) {
    const PreTokenizer pre_tokenizer = PreTokenizer::make(*find_pre_tokenizer_family(name)).value();
    PreTokenizer::Scratch scratch;
    std::vector<std::string> words;
    pre_tokenizer.split(text, scratch, [&](std::string_view word) { words.emplace_back(word); });
    return words;
}

std::string first_name(const PreTokenizerFamily& family) { return std::string(family.names.substr(0, family.names.find(' '))); }

using Words = std::vector<std::string>;

TEST(PreTokenizer, WordsAreTheTextByteForByteWhateverItHolds) {
    std::mt19937 random(1);
    const std::vector<std::string> parts = {"a",    "B",    " ",        "\n",       "'s", "7", "\xC3\xA4", "\xE4\xB8\x96",
                                            "\xFF", "\x80", "\xE2\x82", "\xF0\x9F", "."};
    for (const PreTokenizerFamily& family : pre_tokenizer_families()) {
        const PreTokenizer pre_tokenizer = PreTokenizer::make(family).value();
        PreTokenizer::Scratch scratch;
        for (int round = 0; round < 200; ++round) {
            std::string text;
            for (std::size_t i = random() % 30; i > 0; --i) text += parts[random() % parts.size()];
            std::string joined;
            pre_tokenizer.split(text, scratch, [&](std::string_view word) {
                EXPECT_FALSE(word.empty());
                joined += word;
            });
            EXPECT_EQ(joined, text) << family.names;
        }
    }
}

TEST(PreTokenizer, NamesBelongToOneFamilyEach) {
    Words names;
    for (const PreTokenizerFamily& family : pre_tokenizer_families()) {
        for (std::size_t begin = 0; begin < family.names.size();) {
            const std::size_t end = std::min(family.names.find(' ', begin), family.names.size());
            const std::string name(family.names.substr(begin, end - begin));
            EXPECT_EQ(find_pre_tokenizer_family(name), &family) << name;
            names.push_back(name);
            begin = end + 1;
        }
    }
    EXPECT_GT(names.size(), 80U);
    EXPECT_EQ(find_pre_tokenizer_family("no-such-name"), nullptr);
    EXPECT_EQ(find_pre_tokenizer_family(""), nullptr);
    EXPECT_EQ(find_pre_tokenizer_family("gpt"), nullptr);
}

TEST(PreTokenizer, ABrokenByteIsNeitherLetterNorSpace) {
    EXPECT_EQ(words_of("gpt-2",
                       "ab\xFF"
                       "cd \xC3"),
              (Words{"ab", "\xFF", "cd", " \xC3"}));
    EXPECT_EQ(words_of("qwen2", "  \xE2\x82"), (Words{" ", " \xE2\x82"}));
}

TEST(PreTokenizer, CountsDigitsFromTheRightWhereTheFamilyDoes) {
    EXPECT_EQ(words_of("afmoe", "ab1234567 12"), (Words{"ab", "1", "234", "567", " ", "12"}));
    EXPECT_EQ(words_of("superbpe", "ab1234567 123"), (Words{"ab", "1", "234", "567", " ", "123"}));
    EXPECT_EQ(words_of("superbpe", "1234\u00BD56789"), (Words{"1", "234\u00BD56", "789"}));
    EXPECT_EQ(words_of("tiny_aya", "1234 1234a"), (Words{"1", "234", " ", "123", "4", "a"}));
}

TEST(PreTokenizer, LinesOfGemma4AndWordsAcrossThemOfLaguna) {
    EXPECT_EQ(words_of("gemma4", "a b\n\nc\n"), (Words{"a b", "\n\n", "c", "\n"}));
    EXPECT_EQ(words_of("laguna", "a \n b"), (Words{"a", " ", "\n", " b"}));
    EXPECT_EQ(words_of("qwen2", "a \n b"), (Words{"a", " \n", " b"}));
}

// Ten times the text may take at most some forty times as long: what is quadratic takes a hundred times, what is linear ten.
TEST(PreTokenizer, LongRunsOfOneCharacterTakeLinearTime) {
    const auto seconds = [](const PreTokenizer& pre_tokenizer, const std::string& text) {
        PreTokenizer::Scratch scratch;
        std::size_t n_bytes = 0;
        const std::clock_t start = std::clock();  // of this process, whatever else the machine does
        pre_tokenizer.split(text, scratch, [&](std::string_view word) { n_bytes += word.size(); });
        EXPECT_EQ(n_bytes, text.size());
        return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    };
    const Words units = {"a",        "A",  " ",         "\n",   "7",          ".",     "'", "\t ", "\n ", "\xE4\xB8\x96",
                         "\xCC\x81", "a ", "A\xCC\x81", "\xFF", "<sentinel:", "\u0663"};
    const auto n_small = static_cast<std::size_t>(tests::rounds(20'000));
    for (const PreTokenizerFamily& family : pre_tokenizer_families()) {
        const PreTokenizer pre_tokenizer = PreTokenizer::make(family).value();
        for (const std::string& unit : units) {
            std::string small;
            while (small.size() < n_small) small += unit;
            std::string large;
            for (int i = 0; i < 10; ++i) large += small;
            // Ends in a letter that is no Latin one, so that the run is not the end of the text for any expression.
            const auto is_linear = [&] {
                return seconds(pre_tokenizer, large + "\u0639") < 0.01 + 40 * seconds(pre_tokenizer, small + "\u0639");
            };
            // What is quadratic fails every time; a busy machine only sometimes.
            EXPECT_TRUE(is_linear() || is_linear() || is_linear()) << first_name(family) << ": " << unit;
        }
    }
}

TEST(Regex, AMillionRepetitionsOfAGroupDoNotOverflowAnyStack) {
    const Regex regex = Regex::compile(R"((?:ab|[0-9]b)*c|x)").value();
    std::string text;
    for (int i = 0; i < 1'000'000; ++i) text += "ab";
    Regex::Scratch scratch;
    EXPECT_EQ(regex.find(text + "c", 0, scratch)->end, text.size() + 1);
    EXPECT_EQ(regex.find(text + "x", text.size() - 40, scratch)->begin, text.size());
}

TEST(Regex, WhiteSpaceIsUnicodesProperty) {
    const Regex space = Regex::compile(R"(\s)").value();
    const Regex in_class = Regex::compile(R"([^\sx])").value();
    const Regex not_space = Regex::compile(R"(\S)").value();
    Regex::Scratch scratch;
    for (const std::string white : {"\t", "\n", "\v", "\f", "\r", " ", "\u0085", "\u00A0", "\u1680", "\u2000", "\u200A", "\u2028", "\u2029",
                                    "\u202F", "\u205F", "\u3000"}) {
        EXPECT_TRUE(space.find(white, 0, scratch));
        EXPECT_FALSE(in_class.find(white, 0, scratch));
        EXPECT_FALSE(not_space.find(white, 0, scratch));
    }
    for (const std::string other : {"\u180E", "\u200B", "\u2060", "\x1C", "\x1F", "\uFEFF"}) {
        EXPECT_FALSE(space.find(other, 0, scratch));
        EXPECT_TRUE(in_class.find(other, 0, scratch));
        EXPECT_TRUE(not_space.find(other, 0, scratch));
    }
    EXPECT_FALSE(Regex::compile("(").has_value());
}

}  // namespace
}  // namespace rafter::text
