// Which model a body asks for, whatever the body is.
#include "server/models/asked_model.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/rounds.h"

namespace rafter::server {
namespace {

TEST(AskedModel, IsTheKeyOfTheOutermostObject) {
    const AskedModel asked = asked_model(R"({"messages": [{"model": "no"}], "a": {"stream": true}, "model": "yes", "stream": false})");
    EXPECT_EQ(asked.model, "yes");
    EXPECT_EQ(asked.stream, false);
    EXPECT_TRUE(asked.is_json);
    EXPECT_FALSE(asked.name);
    EXPECT_EQ(asked_model(R"({"name": "old"})").name, "old");
}

TEST(AskedModel, IsNoneWhereItIsNoText) {
    for (const char* body :
         {"", "[]", "[{\"model\": \"a\"}]", "\"model\"", "{\"model\"", "{\"model\":", "{\"model\": \"", "{\"model\": \"a\\\"",
          R"({"model": 3})", R"({"model": ["a"]})", R"({"model": {"model": "a"}})", R"({"a": "model", "b": "c"})"}) {
        EXPECT_FALSE(asked_model(body).model) << body;
        EXPECT_FALSE(quick_model(body)) << body;
    }
    const std::string deep(1'000'000, '[');
    EXPECT_FALSE(asked_model(deep).is_json);
    EXPECT_FALSE(quick_model(deep));
    EXPECT_FALSE(quick_model(R"({"a": )" + deep));
}

TEST(QuickModel, DoesNotReadOnBehindIt) {
    EXPECT_EQ(quick_model(R"({"model": "yes", no JSON)"), "yes");
    EXPECT_FALSE(asked_model(R"({"model": "yes", no JSON)").is_json);
    EXPECT_EQ(quick_model(R"({"a": "\"model\": \\", "model" : "\u0061\\\"", )"), "a\\\"");
    EXPECT_EQ(quick_model(R"({"model": "first", "model": "second"})"), "first");
}

// What a parser that makes values finds is what this finds, of bodies with any bytes changed.
TEST(AskedModel, AgreesWithAParserOfValues) {
    const std::string good =
        R"({"stream": true, "x": [1, {"model": "c"}, "\ud83d\ude00"], "model": "a\"b", "name": "n", "y": {"z": null}})";
    std::mt19937 random(1);
    std::size_t n_parsed = 0, n_quick = 0;
    for (int round = 0; round < rafter::tests::rounds(20'000); ++round) {
        std::string body = good;
        for (std::uint32_t i = random() % 3; i > 0; --i) body[random() % body.size()] = static_cast<char>(random());
        const AskedModel asked = asked_model(body);
        const std::optional<std::string> quick = quick_model(body);  // whatever the body is
        const nlohmann::json value = nlohmann::json::parse(body, nullptr, false);
        ASSERT_EQ(asked.is_json, !value.is_discarded()) << body;
        if (!asked.is_json) continue;
        ++n_parsed;
        const auto text = [&](const char* key) {
            return value.contains(key) && value[key].is_string() ? std::optional(value[key].get<std::string>()) : std::nullopt;
        };
        if (value.size() == 5) {  // no key twice: which of two counts is the parser's matter
            ASSERT_EQ(asked.model, text("model")) << body;
            ASSERT_EQ(asked.name, text("name")) << body;
            ASSERT_EQ(quick, asked.model) << body;
            n_quick += quick ? 1 : 0;
        }
    }
    EXPECT_GT(n_parsed, static_cast<std::size_t>(rafter::tests::rounds(5'000)));
    EXPECT_GT(n_quick, static_cast<std::size_t>(rafter::tests::rounds(5'000)));
}

TEST(ModelInQuery, IsDecoded) {
    EXPECT_EQ(model_in_query("model=a"), "a");
    EXPECT_EQ(model_in_query("x=1&model=a%2Fb+c%2B%"), "a/b c+%");
    EXPECT_EQ(percent_decoded("a%2fb+c%2"), "a/b+c%2");
    EXPECT_EQ(model_in_query("model=&x"), "");
    EXPECT_FALSE(model_in_query("models=a&amodel=b"));
    EXPECT_FALSE(model_in_query(""));
}

}  // namespace
}  // namespace rafter::server
