// Bodies of requests that are no JSON, too much of it, or not of 64 bits.
#include "protocols/json_body.h"

#include <gtest/gtest.h>

#include "protocols/openai_error.h"

namespace rafter::protocols {
namespace {

std::string refusal(std::string_view text) {
    const auto parsed = parse_json_body(text);
    EXPECT_FALSE(parsed) << text.substr(0, 100);
    return parsed ? "" : parsed.error().message;
}

TEST(JsonBodies, AreParsedAsTheyAre) {
    EXPECT_EQ(parse_json_body(R"({"a": [1, 2.5, "x\u0000", null]})").value(),
              (nlohmann::json{{"a", {1, 2.5, std::string("x\0", 2), nullptr}}}));
    EXPECT_EQ(parse_json_body(R"({"a": 1, "a": 2})").value(), (nlohmann::json{{"a", 2}}));
    EXPECT_EQ(parse_json_body(R"({"a": "[[[{{{\"[[["})").value()["a"], "[[[{{{\"[[[");
}

TEST(JsonBodies, OfTooMuchDepthAreRefusedBeforeTheyAreParsed) {
    const auto nested = [](std::size_t depth, std::string_view open, std::string_view close) {
        std::string text;
        for (std::size_t i = 0; i < depth; ++i) text += open;
        text += "1";
        for (std::size_t i = 0; i < depth; ++i) text += close;
        return text;
    };
    EXPECT_TRUE(parse_json_body(nested(kMaxJsonDepth, "[", "]")));
    EXPECT_TRUE(parse_json_body(nested(kMaxJsonDepth, R"({"a":)", "}")));
    EXPECT_EQ(refusal(nested(kMaxJsonDepth + 1, "[", "]")),
              "body: expected JSON nested at most 64 deep, found deeper at line 1, column 65");
    EXPECT_EQ(refusal(nested(1'000'000, R"({"a":)", "")).find("body: expected JSON nested at most 64 deep"), 0U);
    EXPECT_EQ(refusal(nested(1'000'000, "[", "")).find("body: expected JSON nested at most 64 deep"), 0U);
}

TEST(JsonBodies, OfTooManyValuesAreRefused) {
    std::string text = "[0";
    for (std::size_t i = 0; i < kMaxJsonValues; ++i) text += ",0";
    EXPECT_EQ(refusal(text + "]"), "body: expected JSON of at most 2000000 values, found more");
}

TEST(JsonBodies, WithNumbersBeyondADoubleNameTheKey) {
    EXPECT_EQ(refusal(R"({"temperature": 1e400})"),
              "body: temperature: expected a number that 64 bits can hold, found \"1e400\" at line 1, column 22");
    EXPECT_EQ(openai_error_param(refusal(R"({"top_p": 1, "n": -1e999})")), "n");
    EXPECT_EQ(refusal(R"({"a": [{"b": 1e400}]})").find("body: a: b: expected a number"), 0U);
}

TEST(JsonBodies, ThatAreNoJsonSayWhere) {
    EXPECT_EQ(refusal(""), "body: expected a JSON object, found nothing");
    EXPECT_EQ(refusal(" \r\n"), "body: expected a JSON object, found nothing");
    EXPECT_EQ(refusal("{\n  \"a\": \"\xff\"}"), "body: expected UTF-8, found the byte 0xff at line 2, column 9");
    EXPECT_NE(refusal("{\"a\": 1,\n}").find("line 2, column 1"), std::string::npos);
    EXPECT_NE(refusal(R"({"a": NaN})").find("NaN and Infinity are not numbers in JSON"), std::string::npos);
    EXPECT_NE(refusal(R"({"a": "\ud800"})").find("body: expected JSON"), std::string::npos);
    EXPECT_NE(refusal("{} {}").find("body: expected JSON"), std::string::npos);
    for (const char* text : {"{", "[", "\"", "{\"a\"", "{\"a\":", "]", "}", "nul", "01", "'a'", "{a:1}", "\xef\xbb\xbf"}) {
        EXPECT_EQ(refusal(text).find("body: expected JSON"), 0U) << text;
    }
}

TEST(JsonBodies, MessagesAreShortHoweverLongTheTokenIs) {
    EXPECT_LT(refusal("{\"a\": \"" + std::string(1'000'000, 'x')).size(), 400U);
    EXPECT_LT(refusal("{\"" + std::string(1'000'000, 'x') + "\": 1e400}").size(), 400U);
    EXPECT_LT(refusal("{\"a\": 1" + std::string(1'000'000, '0') + "}").size(), 400U);
}

}  // namespace
}  // namespace rafter::protocols
