// /v1/embeddings: inputs, pooling, dimensions, and the two encodings of the same numbers.
#include "protocols/embeddings.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "protocols/openai_error.h"
#include "tests/protocols/tiny_opened_model.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;

class Embeddings : public testing::Test {
  protected:
    Embeddings() { opened_.config.d_model = 8; }
    Result<EmbeddingsRequest> parse(json body) {
        if (!body.contains("input")) body["input"] = "hello";
        return parse_embeddings_request(body, opened_, defaults_);
    }
    void expect_refused(json body, const std::string& words, const std::string& param) {
        const auto request = parse(std::move(body));
        ASSERT_FALSE(request) << words;
        EXPECT_EQ(request.error().message.find(words), 0U) << request.error().message << "\nexpected: " << words;
        EXPECT_EQ(openai_error_param(request.error().message), param);
    }

    engine::OpenedModel opened_ = tests::tiny_opened_model();
    OpenAiDefaults defaults_;
};

TEST_F(Embeddings, InputsAreTextsTokensOrListsOfEither) {
    const auto one = parse({});
    ASSERT_TRUE(one) << one.error().message;
    ASSERT_EQ(one->sequences.size(), 1U);
    EXPECT_EQ(one->sequences[0].output, engine::OutputKind::kHiddenMean);
    EXPECT_EQ(one->sequences[0].max_tokens, 0U);
    EXPECT_EQ(one->n_prompt_tokens, one->sequences[0].prompt.size());
    EXPECT_EQ(parse({{"input", {1, 2}}})->sequences.at(0).prompt, (std::vector<engine::TokenId>{1, 2}));
    EXPECT_EQ(parse({{"input", {"a", "b", json::array({3})}}})->sequences.size(), 3U);
    EXPECT_EQ(parse({{"pooling", "last"}})->sequences[0].output, engine::OutputKind::kHiddenLast);
    EXPECT_EQ(parse({{"cache_salt", "s"}})->sequences[0].cache_salt, "s");
    EXPECT_EQ(parse({{"wat", 1}})->unknown_keys, std::vector<std::string>{"wat"});
}

TEST_F(Embeddings, WhatCannotBeIsRefusedByName) {
    expect_refused({{"input", json::array()}}, "body: input: expected at least one prompt, found []", "input");
    expect_refused({{"input", nullptr}}, "body: input: expected a text or token ids, found no such key", "input");
    expect_refused({{"input", {"a", 5}}}, "body: input[1]: expected a text or token ids, found 5", "input[1]");
    expect_refused({{"input", json::array({json::array({1, 300})})}}, "body: input[0]: expected token ids from 0 to 299, found 300",
                   "input[0]");
    expect_refused({{"input", std::vector<std::string>(2049, "a")}}, "body: input: expected at most 2048 prompts, found 2049", "input");
    expect_refused({{"dimensions", 0}}, "body: dimensions: expected a whole number from 1", "dimensions");
    expect_refused({{"dimensions", 9}}, "body: dimensions: expected at most the model's 8, found 9", "dimensions");
    expect_refused({{"encoding_format", "int8"}}, "body: encoding_format: expected float or base64, found \"int8\"", "encoding_format");
    expect_refused({{"pooling", "cls"}}, "body: pooling: expected mean or last, found \"cls\"", "pooling");
    defaults_.context = 2;
    expect_refused({{"input", {1, 2, 3}}}, "body: input: the prompt is too long: expected at most 2 tokens", "input");
}

TEST_F(Embeddings, AreOfLengthOneWhateverTheirDimensions) {
    const std::vector<float> hidden = {3.0F, 4.0F, 12.0F};
    const std::vector<float> all = normalized(hidden, std::nullopt);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_FLOAT_EQ(all[2], 12.0F / 13.0F);
    const std::vector<float> two = normalized(hidden, 2);
    ASSERT_EQ(two.size(), 2U);
    EXPECT_FLOAT_EQ(two[0], 0.6F);
    EXPECT_FLOAT_EQ(two[1], 0.8F);
    EXPECT_EQ(normalized(hidden, 10).size(), 3U);
    EXPECT_EQ(normalized(std::vector<float>{0.0F, 0.0F}, std::nullopt), (std::vector<float>{0.0F, 0.0F}));
    const std::vector<float> huge = normalized(std::vector<float>{3e38F, 3e38F}, std::nullopt);
    EXPECT_NEAR(huge[0], std::sqrt(0.5), 1e-6);
}

TEST_F(Embeddings, BothEncodingsHaveTheSameFloats) {
    auto request = parse({{"input", {"a", "b"}}}).value();
    const std::vector<std::vector<float>> hidden = {{1e-20F, 1.0F, -0.3F}, {1.0F / 3.0F, 2.0F, 1e-7F}};
    const json floats = json::parse(embeddings_answer(request, hidden, "m\xff\"", R"({"bound":"memory"})"));
    EXPECT_EQ(floats["object"], "list");
    EXPECT_EQ(floats["model"], "m\xEF\xBF\xBD\"");
    EXPECT_EQ(floats["usage"], (json{{"prompt_tokens", request.n_prompt_tokens}, {"total_tokens", request.n_prompt_tokens}}));
    EXPECT_EQ(floats["timings"]["bound"], "memory");
    request.base64 = true;
    const json encoded = json::parse(embeddings_answer(request, hidden, "m"));
    EXPECT_FALSE(encoded.contains("timings"));
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(floats["data"][i]["index"], i);
        const std::vector<float> expected = normalized(hidden[i], std::nullopt);
        EXPECT_EQ(floats["data"][i]["embedding"].get<std::vector<float>>(), expected);
        std::vector<unsigned char> bytes(expected.size() * sizeof(float));
        std::memcpy(bytes.data(), expected.data(), bytes.size());
        EXPECT_EQ(encoded["data"][i]["embedding"], to_base64(bytes));
    }
}

TEST(Base64, IsThatOfTheRfc) {
    const auto of = [](std::string_view text) { return to_base64({reinterpret_cast<const unsigned char*>(text.data()), text.size()}); };
    EXPECT_EQ(of(""), "");
    EXPECT_EQ(of("f"), "Zg==");
    EXPECT_EQ(of("fo"), "Zm8=");
    EXPECT_EQ(of("foo"), "Zm9v");
    EXPECT_EQ(of("foob"), "Zm9vYg==");
    EXPECT_EQ(of("\xff\xfe\xfd"), "//79");
}

}  // namespace
}  // namespace rafter::protocols
