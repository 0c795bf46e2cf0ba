// /v1/rerank and /v1/score: which method a model gets, what its prompts are, and how scores become answers.
#include "protocols/rerank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <list>

#include "protocols/openai_error.h"
#include "protocols/reranker.h"
#include "tests/protocols/tiny_opened_model.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;

// A model file with these texts in place of what a tiny model's has. The model looks into its bytes, which stay.
engine::OpenedModel opened_with(const std::vector<std::pair<std::string, std::string>>& changes) {
    static std::list<std::vector<std::byte>> kept;
    std::vector<std::byte>& bytes = kept.emplace_back(model::tiny_gguf({.name = "qwen3"}));
    for (const auto& [from, to] : changes) {
        const auto as_bytes = [](const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); };
        const auto found = std::search(bytes.begin(), bytes.end(), as_bytes(from).begin(), as_bytes(from).end());
        EXPECT_NE(found, bytes.end()) << from;
        std::copy(as_bytes(to).begin(), as_bytes(to).end(), found);
    }
    auto file = files::GgufFile::parse(bytes, "tiny").value();
    auto tokenizer = text::Tokenizer::load(file.metadata()).value();
    engine::OpenedModel opened = tests::tiny_opened_model();
    opened.source = std::make_unique<files::GgufFile>(std::move(file));
    opened.tokenizer = std::move(tokenizer);
    return opened;
}

class Rerank : public testing::Test {
  protected:
    Result<RerankRequest> rerank(json body) {
        if (!body.contains("query")) body["query"] = "q";
        if (!body.contains("documents")) body["documents"] = {"a", "b"};
        return parse_rerank_request(RerankEndpoint::kRerank, body, opened_, defaults_);
    }
    Result<RerankRequest> score(const json& body) { return parse_rerank_request(RerankEndpoint::kScore, body, opened_, defaults_); }
    static void expect_refused(const Result<RerankRequest>& request, const std::string& words) {
        ASSERT_FALSE(request) << words;
        EXPECT_EQ(request.error().message.find(words), 0U) << request.error().message << "\nexpected: " << words;
    }

    engine::OpenedModel opened_ = tests::tiny_opened_model();
    OpenAiDefaults defaults_;
};

TEST_F(Rerank, ComparesVectorsWhereTheModelIsNoReranker) {
    const auto request = rerank({{"documents", {"a", {{"text", "b"}}}}, {"query_prefix", "x"}, {"document_prefix", "y"}, {"top_n", 1}});
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->method, RelevanceMethod::kEmbedding);
    ASSERT_EQ(request->sequences.size(), 3U);
    const auto encode = [&](std::string_view text) { return opened_.tokenizer->encode(text, text::SpecialTokens::kParse); };
    EXPECT_EQ(request->sequences[0].prompt, encode("xq"));
    EXPECT_EQ(request->sequences[1].prompt, encode("ya"));
    EXPECT_EQ(request->sequences[2].prompt, encode("yb"));
    EXPECT_EQ(request->sequences[2].output, engine::OutputKind::kHiddenMean);
    EXPECT_EQ(request->pairs[1].first, 0U);
    EXPECT_EQ(request->pairs[1].second, 2U);
    EXPECT_EQ(request->n_prompt_tokens, 6U);
}

TEST_F(Rerank, AsksARerankerYesOrNo) {
    // Both words as tokens, in place of "in", "an" and "and", and a name that says what the model is for.
    opened_ = opened_with(
        {{"tiny qwen3", "reranking "},
         {std::string("in\2\0\0\0\0\0\0\0an\3\0\0\0\0\0\0\0and", 23), std::string("ye\2\0\0\0\0\0\0\0no\3\0\0\0\0\0\0\0yes", 23)},
         {std::string("i n\3\0\0\0\0\0\0\0a n\4\0\0\0\0\0\0\0an d", 26), std::string("y e\3\0\0\0\0\0\0\0n o\4\0\0\0\0\0\0\0ye s", 26)}});
    EXPECT_TRUE(is_reranker(opened_));
    const auto request = rerank({{"instruction", "{document}!"}, {"documents", {"{query}"}}});
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->method, RelevanceMethod::kYesNo);
    ASSERT_EQ(request->sequences.size(), 1U);
    const engine::Request& sequence = request->sequences[0];
    EXPECT_EQ(sequence.max_tokens, 1U);
    EXPECT_EQ(sequence.probed_tokens, (std::vector<engine::TokenId>{*opened_.tokenizer->find("yes"), *opened_.tokenizer->find("no")}));
    // Texts of a request are no placeholders.
    const std::string prompt = opened_.tokenizer->decode(sequence.prompt, text::SpecialTokens::kParse);
    EXPECT_NE(
        prompt.find("<Instruct>: {document}!\n<Query>: q\n<Document>: {query}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        std::string::npos)
        << prompt;
    EXPECT_NE(opened_.tokenizer->decode(rerank({})->sequences[0].prompt, text::SpecialTokens::kParse).find(kStandardInstruction),
              std::string::npos);
    EXPECT_EQ(rerank({{"method", "embedding"}})->method, RelevanceMethod::kEmbedding);
}

TEST_F(Rerank, WhatCannotBeIsRefusedByName) {
    expect_refused(rerank({{"method", "yes_no"}}), "body: method: the model cannot rerank by yes and no");
    expect_refused(rerank({{"method", "x"}}), "body: method: expected auto, yes_no or embedding, found \"x\"");
    expect_refused(rerank({{"query", nullptr}}), "body: query: expected a text, found no such key");
    expect_refused(rerank({{"documents", json::array()}}), "body: documents: expected a list of at least one text, found []");
    expect_refused(rerank({{"documents", "x"}}), "body: documents: expected a list of at least one text, found \"x\"");
    expect_refused(rerank({{"documents", {"a", 1}}}), "body: documents[1]: expected a text or an object with a text, found 1");
    expect_refused(rerank({{"documents", {{{"title", "a"}}}}}), "body: documents[0]: text: expected a text, found no such key");
    expect_refused(rerank({{"documents", std::vector<std::string>(2049, "a")}}), "body: documents: expected at most 2048 texts");
    expect_refused(rerank({{"top_n", 0}}), "body: top_n: expected a whole number from 1");
    expect_refused(rerank({{"pooling", "cls"}}), "body: pooling: expected mean or last");
    expect_refused(score({{"text_1", {"a", "b"}}, {"text_2", {"a", "b", "c"}}}),
                   "body: text_1: expected one text, or 3 as text_2 has, found 2");
    expect_refused(score({{"text_1", "a"}}), "body: text_2: expected a text or a list of at least one text, found no such key");
    defaults_.context = 2;
    expect_refused(rerank({{"documents", {"a", "xyz"}}}), "body: documents[1]: the prompt is too long");
}

TEST_F(Rerank, ScoresPairOneTextWithAllOrEachWithItsOwn) {
    const auto one = score({{"text_1", "a"}, {"text_2", {"b", "c"}}});
    EXPECT_EQ(one->sequences.size(), 3U);
    EXPECT_EQ(one->pairs[1].first, 0U);
    const auto each = score({{"text_1", {"a", "b"}}, {"text_2", {"c", "d"}}});
    EXPECT_EQ(each->sequences.size(), 4U);
    EXPECT_EQ(each->pairs[1].first, 1U);
    EXPECT_EQ(each->pairs[1].second, 3U);
}

TEST_F(Rerank, ResultsAreInTheOrderOfTheirScores) {
    RerankRequest request{.method = RelevanceMethod::kYesNo, .pairs = {{0, 0}, {1, 1}, {2, 2}}, .documents = {"a", "b", "c"}};
    request.top_n = 2;
    request.n_prompt_tokens = 7;
    const std::vector<RelevanceResult> results = {{.yes = -3.0, .no = -1.0}, {.yes = -1.0, .no = -3.0}, {.yes = -3.0, .no = -1.0}};
    const std::vector<double> scores = relevance_scores(request, results);
    EXPECT_DOUBLE_EQ(scores[1], 1.0 / (1.0 + std::exp(-2.0)));
    EXPECT_DOUBLE_EQ(scores[0] + scores[1], 1.0);
    EXPECT_EQ(yes_probability(-INFINITY, -INFINITY), 0.5);
    const auto answer = rerank_answer(request, scores, {.id = "7", .created_unix_s = 5, .model = "m"});
    EXPECT_EQ(answer["id"], "rerank-7");
    EXPECT_EQ(answer["method"], "yes_no");
    ASSERT_EQ(answer["results"].size(), 2U);
    EXPECT_EQ(answer["results"][0]["index"], 1);
    EXPECT_EQ(answer["results"][0]["relevance_score"], scores[1]);
    EXPECT_EQ(answer["results"][0]["document"]["text"], "b");
    EXPECT_EQ(answer["results"][1]["index"], 0);  // of equal ones the first
    EXPECT_EQ(answer["usage"]["total_tokens"], 7);
    request.endpoint = RerankEndpoint::kScore;
    request.top_n.reset();
    const auto list = rerank_answer(request, scores, {.id = "7", .created_unix_s = 5, .model = "m"});
    EXPECT_EQ(list["data"][0]["index"], 0);
    EXPECT_EQ(list["data"][0]["score"], scores[0]);
    EXPECT_EQ(list["object"], "list");
}

TEST_F(Rerank, VectorsAreComparedByTheirCosine) {
    const RerankRequest request{.pairs = {{0, 1}, {0, 0}}};
    std::vector<RelevanceResult> results(2);
    results[0].take({.embedding = {3.0F, 4.0F}});
    results[1].take({.embedding = {4.0F, -3.0F}});
    const std::vector<double> scores = relevance_scores(request, results);
    EXPECT_NEAR(scores[0], 0.0, 1e-7);
    EXPECT_NEAR(scores[1], 1.0, 1e-7);
}

}  // namespace
}  // namespace rafter::protocols
