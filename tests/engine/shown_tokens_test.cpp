// Control tokens whose text an answer shows because its request says so.
#include <gtest/gtest.h>

#include "engine/sequence.h"

namespace rafter::engine {
namespace {

// Token i is "<i>"; 1 to 3 are control tokens.
class ControlTokenizer : public text::Tokenizer {
  public:
    [[nodiscard]] std::vector<TokenId> encode(std::string_view /*text*/, text::SpecialTokens /*special*/) const override { return {}; }
    [[nodiscard]] std::string_view piece(TokenId id, text::SpecialTokens special) const override {
        const bool is_hidden = id > 0 && special == text::SpecialTokens::kAsText;
        return is_hidden ? std::string_view() : std::string_view("<0><1><2><3>").substr(static_cast<std::size_t>(id) * 3, 3);
    }
    [[nodiscard]] std::string decode(std::span<const TokenId> /*ids*/, text::SpecialTokens /*special*/) const override { return {}; }
    [[nodiscard]] std::size_t n_tokens() const override { return 4; }
    [[nodiscard]] const text::SpecialIds& special() const override { return special_; }
    [[nodiscard]] std::optional<TokenId> find(std::string_view /*token_text*/) const override { return std::nullopt; }
    [[nodiscard]] std::string description() const override { return "control"; }

  private:
    text::SpecialIds special_;
};

std::string shown(const Request& request) {
    const ControlTokenizer tokenizer;
    AnswerText text(tokenizer, request);
    std::string all;
    for (const TokenId token : {0, 1, 2, 3, 0}) {
        const StopMatcher::Pushed pushed = text.push(token);
        all += pushed.text;
        if (pushed.stopped) break;
    }
    return all + text.finish();
}

TEST(ShownTokens, AreThoseOfTheRequestButNoEndTokens) {
    EXPECT_EQ(shown({}), "<0><0>");
    EXPECT_EQ(shown({.shown_tokens = {1, 3}}), "<0><1><3><0>");
    EXPECT_EQ(shown({.end_tokens = {3}, .shown_tokens = {1, 3}}), "<0><1><0>");
    EXPECT_EQ(shown({.stop = {"<1>"}, .shown_tokens = {1}}), "<0>");
    EXPECT_EQ(shown({.stop = {"<1>"}}), "<0><0>");
}

}  // namespace
}  // namespace rafter::engine
