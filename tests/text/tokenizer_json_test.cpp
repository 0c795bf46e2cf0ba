// tokenizer.json files that are wrong, or that say what is not supported: each is refused in one line that names the place.
#include "text/hf/tokenizer_json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "files/metadata.h"
#include "text/hf/json_tokenizer.h"

namespace rafter::text::hf {
namespace {

constexpr std::string_view kModel = R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]})";

std::string file_with(std::string_view more) { return fmt::format("{{{},{}}}", kModel, more); }

std::string nested(std::string_view open, std::string_view close, std::size_t n) {
    std::string text;
    for (std::size_t i = 0; i < n; ++i) text += open;
    text += R"({"type":"NFC"})";
    for (std::size_t i = 0; i < n; ++i) text += close;
    return text;
}

void expect_refused(const std::string& json, std::string_view words) {
    const auto made = read_tokenizer_json(json);
    ASSERT_FALSE(made) << json.substr(0, 200);
    EXPECT_NE(made.error().message.find(words), std::string::npos) << made.error().message;
    EXPECT_TRUE(made.error().message.starts_with("tokenizer.json: ")) << made.error().message;
    EXPECT_EQ(made.error().message.find('\n'), std::string::npos) << made.error().message;
}

TEST(TokenizerJson, TheSmallestOneIsTaken) {
    const auto made = read_tokenizer_json(file_with(R"("added_tokens":[])"));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->tokens, (std::vector<std::string>{"a", "b", "ab"}));
    EXPECT_EQ(made->merged, std::vector<TokenId>{2});
}

TEST(TokenizerJson, RefusesWhatIsNoTokenizer) {
    expect_refused("", "JSON");
    expect_refused("[]", "expected an object");
    expect_refused("{}", "model: expected an object");
    expect_refused(R"({"model":{"type":"WordPiece","vocab":{}}})", "BPE or Unigram, found \"WordPiece\"");
    expect_refused(R"({"model":{"type":"BPE","vocab":{},"merges":[]}})", "at least one token");
    expect_refused(R"({"model":{"type":"BPE","vocab":[],"merges":[]}})", "expected tokens with their ids");
    expect_refused(R"({"model":{"type":"BPE","vocab":{"a":0}}})", "merges: expected a list");
}

TEST(TokenizerJson, RefusesIdsThatDoNotFit) {
    for (const std::string_view id : {"-1", "1.5", "\"0\"", "null", "99999999999", "3999999"}) {
        expect_refused(fmt::format(R"({{"model":{{"type":"BPE","vocab":{{"a":{}}},"merges":[]}}}})", id), "expected");
    }
    expect_refused(R"({"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}})", "expected one text");
    expect_refused(file_with(R"("added_tokens":[{"id":1,"content":"a"}])"), "expected its id in the vocabulary, 0, found 1");
    expect_refused(file_with(R"("added_tokens":[{"id":0,"content":"x"}])"), "expected one text");
    expect_refused(file_with(R"("added_tokens":[{"id":3999999,"content":"x"}])"), "expected an id up to about");
    expect_refused(file_with(R"("added_tokens":{"x":3})"), "expected");
}

TEST(TokenizerJson, RefusesMergesOfNoTokens) {
    const auto with_merges = [](std::string_view merges) {
        return fmt::format(R"({{"model":{{"type":"BPE","vocab":{{"a":0,"b":1,"ab":2}},"merges":{}}}}})", merges);
    };
    expect_refused(with_merges(R"(["a c"])"), "entry 0 names \"c\"");
    expect_refused(with_merges(R"([["a","b"],["b","a"]])"), "entry 1 names \"ba\"");
    for (const std::string_view merge : {R"(["ab"])", R"(["a b c"])", R"([["a"]])", R"([1])", R"({})"})
        expect_refused(with_merges(merge), "merges");
}

TEST(TokenizerJson, RefusesStepsByName) {
    expect_refused(file_with(R"("normalizer":{"type":"Precompiled"})"), "Precompiled");
    expect_refused(file_with(R"("pre_tokenizer":{"type":"UnicodeScripts"})"), "UnicodeScripts");
    expect_refused(file_with(R"("decoder":{"type":"CTC"})"), "CTC");
    expect_refused(file_with(R"("post_processor":{"type":"Other"})"), "Other");
    expect_refused(file_with(R"("normalizer":{"type":5})"), "type");
    expect_refused(file_with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"a"},"behavior":"Sideways"})"), "Sideways");
    expect_refused(file_with(R"("pre_tokenizer":{"type":"Metaspace","replacement":"ab"})"), "one character");
}

TEST(TokenizerJson, RefusesRegularExpressionsThatItCannotReadAlike) {
    for (const std::string_view regex : {"(", "[a", "a{2,1}", R"(\\h+)", "[a&&b]", R"(\\Ka)", R"(\\B)", R"([\\W])"}) {
        expect_refused(
            file_with(fmt::format(R"("pre_tokenizer":{{"type":"Split","pattern":{{"Regex":"{}"}},"behavior":"Isolated"}})", regex)),
            "regular expression");
    }
}

TEST(TokenizerJson, RefusesNestingAndGrowth) {
    expect_refused(file_with("\"normalizer\":" + nested(R"({"type":"Sequence","normalizers":[)", "]}", 5000)), "nested");
    std::string doubling = R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
    std::string many = doubling;
    for (int i = 0; i < 40; ++i) many += "," + doubling;
    expect_refused(file_with(R"("normalizer":{"type":"Sequence","normalizers":[)" + many + "]}"), "256 times as long");
    expect_refused(file_with(R"("decoder":{"type":"Sequence","decoders":[)" + many + "]}"), "256 times as long");
    const std::string bytes = R"({"type":"ByteLevel"})";
    expect_refused(file_with(R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[)" + bytes + "," + bytes + "]}"),
                   "once, found it twice");
}

// A pattern whose backtracking explodes ends the cutting, in bounded time, and never the program.
TEST(TokenizerJson, AnExplodingExpressionIsBounded) {
    const std::string json = file_with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+c"},"behavior":"Isolated"})");
    files::Metadata metadata;
    metadata.add(std::string(kTokenizerKey), std::string_view(json));
    const auto tokenizer = load_json_tokenizer(metadata);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    const auto ids = (*tokenizer)->encode(std::string(5000, 'a'), SpecialTokens::kParse);
    EXPECT_EQ(ids, std::vector<TokenId>(5000, 0));
}

}  // namespace
}  // namespace rafter::text::hf
