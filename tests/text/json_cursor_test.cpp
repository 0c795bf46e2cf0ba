// Reading JSON from front to back: what it takes of texts and counts is what a whole parser takes, and it says no where that does.
#include "text/hf/json_cursor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "text/hf/bpe_lists.h"
#include "text/hf/tokenizer_json.h"

namespace rafter::text::hf {
namespace {

// Of the whole input.
std::optional<std::string> text_of(std::string_view json) {
    JsonCursor in(json);
    std::string resolved;
    const auto text = in.take_text(resolved);
    if (!text || !in.at_end()) return std::nullopt;
    return std::string(*text);
}

TEST(JsonCursor, TakesTheTextsThatAWholeParserTakes) {
    const std::string_view texts[] = {R"("")",
                                      R"("a")",
                                      R"( "a" )",
                                      R"("a\nb")",
                                      R"("\"\\\/\b\f\n\r\t")",
                                      R"("\u0041")",
                                      R"("\u00e9x")",
                                      R"("\ud83d\ude00")",
                                      R"("\ud83d")",
                                      R"("\ud83dx")",
                                      R"("\ud83d\u0041")",
                                      R"("\ude00")",
                                      R"("\u12")",
                                      R"("\u12g4")",
                                      R"("\x41")",
                                      R"("a)",
                                      R"("a\)",
                                      R"("a\")",
                                      R"(a)",
                                      R"(a")",
                                      "",
                                      "\"a\nb\"",
                                      "\"a\tb\"",
                                      "\"\x7F\"",
                                      "\"\xC3\xA9\"",
                                      "\"\xC3\"",
                                      "\"\xC3\\n\"",
                                      "\"\xED\xA0\x80\"",
                                      "\"\xF0\x9F\x98\x80\\u0000\"",
                                      "\"\xC0\x80\"",
                                      "\"\xF4\x90\x80\x80\"",
                                      R"("\u0000")",
                                      R"("a" "b")"};
    for (const std::string_view json : texts) {
        const auto whole = nlohmann::json::parse(json, nullptr, false);
        const auto found = text_of(json);
        EXPECT_EQ(found.has_value(), whole.is_string()) << json;
        if (found && whole.is_string()) {
            EXPECT_EQ(*found, whole.get<std::string>()) << json;
        }
    }
}

TEST(JsonCursor, TakesEveryEscapedCodePoint) {
    for (unsigned code = 0; code < 0x10000; ++code) {
        const std::string json = fmt::format("\"<\\u{:04X}>\"", code);
        const auto whole = nlohmann::json::parse(json, nullptr, false);
        const auto found = text_of(json);
        ASSERT_EQ(found.has_value(), whole.is_string()) << json;
        if (found) {
            ASSERT_EQ(*found, whole.get<std::string>()) << json;
        }
    }
}

TEST(JsonCursor, TakesCountsOnly) {
    for (const std::string_view json : {"0", "7", "123456789", "18446744073709551615", " 5 "}) {
        EXPECT_EQ(JsonCursor(json).take_count(), nlohmann::json::parse(json).get<std::uint64_t>()) << json;
    }
    for (const std::string_view json : {"-1", "1.0", "1e3", "01", "00", "18446744073709551616", "5x", "x", "\"5\"", "", "+5"}) {
        JsonCursor in(json);
        EXPECT_FALSE(in.take_count()) << json;
        EXPECT_EQ(in.position(), 0) << json;
    }
}

TEST(JsonCursor, TakesWholeValues) {
    for (const std::string_view json : {"{}", "[]", R"({"a":[1,{"]":"}\""}]})", "1.5e3", "true", R"("\\")", "[[[]]]"}) {
        const std::string text = fmt::format(" {} , 1", json);
        JsonCursor in(text);
        EXPECT_EQ(in.take_value(), json);
        EXPECT_TRUE(in.take(',')) << json;
    }
    for (const std::string_view json : {"", "[", "{", "[}", "{]", R"(["])", R"(["\"])", "]", ",", R"("a)", R"({"a":[})"}) {
        EXPECT_FALSE(JsonCursor(json).take_value()) << json;
    }
    const std::string deepest(JsonCursor::kMaxDepth, '[');
    EXPECT_TRUE(JsonCursor(deepest + std::string(JsonCursor::kMaxDepth, ']')).take_value());
    EXPECT_FALSE(JsonCursor("[" + deepest + std::string(JsonCursor::kMaxDepth + 1, ']')).take_value());
}

TEST(BpeLists, AreCutOutWhereverTheyStand) {
    const auto cut =
        cut_long_lists(R"({"x":{"vocab":{"q":1}},"model":{"merges" : ["a b"],"k":[{"merges":[]}],"vocab":{"a":0}},"merges":[1]})");
    ASSERT_TRUE(cut) << cut.error().message;
    EXPECT_EQ(cut->rest, R"({"x":{"vocab":{"q":1}},"model":{"merges" : [],"k":[{"merges":[]}],"vocab":{}},"merges":[1]})");
    EXPECT_EQ(cut->merges, R"(["a b"])");
    EXPECT_EQ(cut->vocab, R"({"a":0})");
    const auto escaped = cut_long_lists(R"({"mod\u0065l":{"voc\u0061b":{"a":0}}})");
    ASSERT_TRUE(escaped) << escaped.error().message;
    EXPECT_EQ(escaped->vocab, R"({"a":0})");
}

TEST(BpeLists, MergesMayStandBeforeTheVocabularyAndInEitherForm) {
    const auto made = read_tokenizer_json(
        "\xEF\xBB\xBF"
        R"({"model":{"merges":["\u0061 b",["a\"","b"]],"vocab":{"a":0,"b":1,"ab":2,"a\"":3,"a\"b":5},"type":"BPE"}})");
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->tokens, (std::vector<std::string>{"a", "b", "ab", "a\"", "[PAD4]", "a\"b"}));
    EXPECT_EQ(made->merges, (std::vector<std::pair<TokenId, TokenId>>{{0, 1}, {3, 1}}));
    EXPECT_EQ(made->merged, (std::vector<TokenId>{2, 5}));
}

TEST(BpeLists, AreRefusedWhereTheyAreNoJsonOrThereTwice) {
    const auto message = [](std::string_view vocab, std::string_view merges) {
        const auto made = read_tokenizer_json(fmt::format(R"({{"model":{{"type":"BPE","vocab":{},"merges":{}}}}})", vocab, merges));
        return made ? std::string() : made.error().message;
    };
    EXPECT_EQ(message(R"({"a":0})", "[]"), "");
    const std::pair<std::string_view, std::string_view> no_json[] = {{R"({"a":0,})", "[]"},         {R"({"a" 0})", "[]"},
                                                                     {R"({"a":01})", "[]"},         {R"({"a":0})", "[,]"},
                                                                     {R"({"a":0})", R"(["a a",])"}, {R"({"a":0})", R"(["a a" "a a"])"},
                                                                     {"{\"a\xFF\":0}", "[]"},       {R"({"a":0 "b":1})", "[]"}};
    for (const auto& [vocab, merges] : no_json) {
        EXPECT_TRUE(message(vocab, merges).starts_with("tokenizer.json: expected JSON, found parse error")) << message(vocab, merges);
    }
    EXPECT_EQ(message(R"({"a":0,"a":1})", "[]"), "tokenizer.json: model: vocab: expected every text once, found \"a\" as 0 and 1");
    EXPECT_EQ(message(R"({"a":{"b":1}})", "[]"), "tokenizer.json: model: vocab: \"a\": expected an id below 4000000, found {\"b\":1}");
    EXPECT_EQ(message(R"({"a":0})", R"([["a"]])"), "tokenizer.json: model: merges: entry 0: expected two tokens, found [\"a\"]");
    EXPECT_EQ(message(R"({"a":0},"vocab":{"a":0})", "[]"), "tokenizer.json: model: vocab: expected once, found twice");
    const auto unigram = read_tokenizer_json(R"({"model":{"type":"Unigram","vocab":[["a",0]],"merges":[1 2]}})");
    ASSERT_FALSE(unigram);
    EXPECT_TRUE(unigram.error().message.starts_with("tokenizer.json: expected JSON")) << unigram.error().message;
}

}  // namespace
}  // namespace rafter::text::hf
