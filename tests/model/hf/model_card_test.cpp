// README.md files that are no model cards, or not quite: what is simple is taken, and all else passed over.
#include "model/hf/model_card.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace rafter::model::hf {
namespace {

using Texts = std::vector<std::pair<std::string, std::string>>;

Texts texts_of(std::string_view markdown) { return read_model_card(markdown).texts; }

TEST(ModelCard, TakesLinesOfAnySystem) {
    EXPECT_EQ(texts_of("---\nlicense: mit\n---\n"), (Texts{{"general.license", "mit"}}));
    EXPECT_EQ(texts_of("---\r\nlicense: 'mit'\r\n---\r\n"), (Texts{{"general.license", "mit"}}));
    EXPECT_EQ(texts_of("---\nlicense: mit # a comment\n---"), (Texts{{"general.license", "mit"}}));
}

TEST(ModelCard, PassesOverWhatIsNotSimple) {
    for (const std::string_view value : {"", "|", ">-", "*alias", "{a: b}", "[", "\"open", "\"a\\n\"", "null", "~", "a: b", "\xC3\xA9",
                                         "a\x01", "\n  nested: mit", "\n- a: b"}) {
        EXPECT_EQ(texts_of(fmt::format("---\nlicense: {}\n---\n", value)), Texts()) << value;
    }
}

TEST(ModelCard, NeedsBothLinesAroundIt) {
    for (const std::string_view text :
         {"", "\n", "---", "---\n", "license: mit\n", "---\nlicense: mit\n", "text\n---\nlicense: mit\n---\n"}) {
        const ModelCard card = read_model_card(text);
        EXPECT_TRUE(card.texts.empty() && card.lists.empty() && card.n_base_models == 0) << text;
    }
}

TEST(ModelCard, AnyNumberOfKeysAndValuesIsBounded) {
    std::string text = "---\ntags:\n";
    for (int i = 0; i < 5000; ++i) text += "- a\n";
    for (int i = 0; i < 5000; ++i) text += fmt::format("key{}: b\n", i);
    const ModelCard card = read_model_card(text + "---\n");
    ASSERT_EQ(card.lists.size(), 1U);
    EXPECT_EQ(card.lists.front().second.size(), 1000U);
}

TEST(SizeLabel, HasTwoDigits) {
    EXPECT_EQ(size_label(0, 0, 0), "0.00K");
    EXPECT_EQ(size_label(134'515'008, 0, 0), "135M");
    EXPECT_EQ(size_label(1'100'000'000, 0, 0), "1.1B");
    EXPECT_EQ(size_label(9'960'000, 0, 0), "10M");
    EXPECT_EQ(size_label(46'700'000'000, 45'100'000'000, 8), "8x7.2B");
}

}  // namespace
}  // namespace rafter::model::hf
