// Which model a body asks for, whatever the body is.
#include "server/models/asked_model.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/rounds.h"

namespace rafter::server {
namespace {

TEST(AskedModel, IsTheKeyOfTheOutermostObject) {
    const AskedModel asked =
        asked_model(R"({"messages": [{"model": "no"}], "a": {"stream": true}, "model": "yes", "stream": false})", false);
    EXPECT_EQ(asked.model, "yes");
    EXPECT_EQ(asked.stream, false);
    EXPECT_TRUE(asked.is_json);
    EXPECT_FALSE(asked.name);
    EXPECT_EQ(asked_model(R"({"name": "old"})", false).name, "old");
}

TEST(AskedModel, DoesNotReadOnBehindIt) {
    EXPECT_EQ(asked_model(R"({"model": "yes", no JSON)", true).model, "yes");
    EXPECT_TRUE(asked_model(R"({"model": "yes", no JSON)", true).is_json);
    EXPECT_FALSE(asked_model(R"({"model": "yes", no JSON)", false).is_json);
    EXPECT_FALSE(asked_model(R"({"model": "yes", "stream": true})", true).stream);
}

TEST(AskedModel, IsNoneWhereItIsNoText) {
    for (const char* body :
         {"", "[]", "[{\"model\": \"a\"}]", "\"model\"", R"({"model": 3})", R"({"model": ["a"]})", R"({"model": {"model": "a"}})"}) {
        EXPECT_FALSE(asked_model(body, true).model) << body;
    }
    EXPECT_FALSE(asked_model(std::string(1'000'000, '['), true).is_json);  // of any depth
}

// What a parser that makes values finds is what this finds, of bodies with any bytes changed.
TEST(AskedModel, AgreesWithAParserOfValues) {
    const std::string good =
        R"({"stream": true, "x": [1, {"model": "c"}, "\ud83d\ude00"], "model": "a\"b", "name": "n", "y": {"z": null}})";
    std::mt19937 random(1);
    std::size_t n_parsed = 0;
    for (int round = 0; round < rafter::tests::rounds(20'000); ++round) {
        std::string body = good;
        for (std::uint32_t i = random() % 3; i > 0; --i) body[random() % body.size()] = static_cast<char>(random());
        const AskedModel asked = asked_model(body, false);
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
        }
    }
    EXPECT_GT(n_parsed, static_cast<std::size_t>(rafter::tests::rounds(5'000)));
}

TEST(ModelInQuery, IsDecoded) {
    EXPECT_EQ(model_in_query("model=a"), "a");
    EXPECT_EQ(model_in_query("x=1&model=a%2Fb+c%"), "a/b c%");
    EXPECT_EQ(model_in_query("model=&x"), "");
    EXPECT_FALSE(model_in_query("models=a&amodel=b"));
    EXPECT_FALSE(model_in_query(""));
}

}  // namespace
}  // namespace rafter::server
