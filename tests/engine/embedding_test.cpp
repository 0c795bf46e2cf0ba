// Hidden states as results: by the definition on a model without weights, and on tiny real models against the float64 interpreter; equal,
// bit for bit, however prompts are cut, batched, preempted or found in the cache.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/engine/engine_rig.h"
#include "tests/engine/tiny_engine.h"
#include "tests/support/naive_model.h"

namespace rafter::engine::tests {
namespace {

constexpr OutputKind kKinds[] = {OutputKind::kHiddenLast, OutputKind::kHiddenMean};

// hidden: [n_tokens][d_model]. The definition: the last row, or the mean of all, summed in order.
template <typename Row>
std::vector<double> pooled(const std::vector<Row>& hidden, OutputKind kind) {
    if (kind == OutputKind::kHiddenLast) return {hidden.back().begin(), hidden.back().end()};
    std::vector<double> mean(hidden[0].size());
    for (const Row& row : hidden) {
        for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += static_cast<double>(row[i]);
    }
    for (double& x : mean) x /= static_cast<double>(hidden.size());
    return mean;
}

std::vector<float> slow_embedding(const FakeModel& model, const Request& request) {
    std::vector<std::vector<float>> hidden;
    for (std::size_t n = 1; n <= request.prompt.size(); ++n) hidden.push_back(model.hidden_after(std::span(request.prompt).first(n)));
    const std::vector<double> result = pooled(hidden, request.output);
    return {result.begin(), result.end()};
}

TEST(Embedding, ArrivesWithTheFinishAndWithoutAnAnswer) {
    Rig rig;
    for (const OutputKind kind : kKinds) {
        Request request = request_of("abcde", 10);
        request.output = kind;
        const StreamUpdate update = rig.run(request);
        EXPECT_EQ(update.embedding, slow_embedding(rig.model, request));
        EXPECT_TRUE(update.tokens.empty());
        EXPECT_EQ(update.text, "");
        ASSERT_TRUE(update.finish.has_value());
        EXPECT_EQ(update.finish->reason, FinishReason::kLength);
        EXPECT_EQ(update.finish->times.n_generated, 0U);
        EXPECT_EQ(rig.n_used(), 0U);
    }
    EXPECT_TRUE(rig.run(request_of("abcde", 2)).embedding.empty());
}

TEST(Embedding, APromptMayFillTheContext) {
    Rig rig({.context = 8});
    Request request = request_of("abcdefgh");
    request.output = OutputKind::kHiddenMean;
    EXPECT_EQ(rig.run(request).embedding, slow_embedding(rig.model, request));
}

TEST(Embedding, IsNoRequestForScores) {
    Rig rig;
    Request request = request_of("abc");
    request.output = OutputKind::kHiddenLast;
    request.score_prompt_from = 0;
    const auto refused = rig.engine.submit(request);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind, ErrorKind::kBadInput);
}

// A mean needs every row, so nothing of it comes out of the cache; the last row's does.
TEST(Embedding, TheCacheServesTheLastRowOnly) {
    Rig rig;
    const std::string_view text = "abcdefghijklmnop";
    rig.run(request_of(text, 1));
    Request request = request_of(text);
    request.output = OutputKind::kHiddenMean;
    const StreamUpdate mean = rig.run(request);
    EXPECT_EQ(mean.embedding, slow_embedding(rig.model, request));
    EXPECT_EQ(mean.finish->times.n_reused, 0U);
    request.output = OutputKind::kHiddenLast;
    const StreamUpdate last = rig.run(request);
    EXPECT_EQ(last.embedding, slow_embedding(rig.model, request));
    EXPECT_GE(last.finish->times.n_reused, 12U);
}

// Hidden states need no logits: the limit on rows that have them cuts no step.
TEST(Embedding, TakesNoRowsOfLogits) {
    Rig rig({.limits = {.n_tokens = 64, .n_outputs = 2}});
    Request request = request_of("abcdefghijklmnopqrstuvwxyz");
    request.output = OutputKind::kHiddenMean;
    std::vector<Request> requests(2, request);
    rig.run(requests);
    ASSERT_EQ(rig.model.steps.size(), 1U);
    EXPECT_EQ(rig.model.steps[0].n_tokens(), 52U);
    EXPECT_EQ(rig.model.steps[0].n_outputs(), 0U);
    EXPECT_EQ(rig.model.steps[0].n_hidden(), 52U);
}

TEST(Embedding, IsThatOfTheDefinitionWhateverElseRuns) {
    std::mt19937 random(4);
    std::uint64_t n_preempted = 0;
    constexpr int n_rounds = 400;  // few of them preempt, so a sanitizer runs them all too
    for (int round = 0; round < n_rounds; ++round) {
        RigOptions setup;
        setup.block_size = 1 + random() % 6;
        setup.limits = {.n_tokens = 4 + static_cast<std::uint32_t>(random() % 40),
                        .n_outputs = 2 + static_cast<std::uint32_t>(random() % 8)};
        setup.context = 60;
        setup.n_blocks = (setup.context + random() % 60) / setup.block_size + 4;
        Rig rig(setup);
        std::vector<Request> requests;
        for (std::size_t i = 0; i < 2 + random() % 6; ++i) {
            requests.push_back(random_request(random, 40, 20));
            if (random() % 3 != 0) requests.back().output = kKinds[random() % 2];
        }
        if (random() % 2) rig.run(request_of("z", 1));  // answers are expected to be short, so that more are let in than there is room for
        const auto found = rig.run(requests);
        for (std::size_t i = 0; i < requests.size(); ++i) {
            if (requests[i].output == OutputKind::kTokens) {
                EXPECT_EQ(ids(found[i]), ids(Rig().run(requests[i])));
            } else {
                EXPECT_EQ(found[i].embedding, slow_embedding(rig.model, requests[i]));
                n_preempted += found[i].finish->times.n_preemptions;
            }
        }
        EXPECT_EQ(rig.n_used(), 0U);
        if (HasFailure()) FAIL() << "in round " << round;
    }
    EXPECT_GT(n_preempted, 0U);
}

std::vector<Request> tiny_prompts(std::uint32_t seed, std::size_t n) {
    std::mt19937 random(seed);
    std::vector<Request> requests(n);
    for (Request& request : requests) {
        request.prompt.resize(1 + random() % 60);
        for (TokenId& token : request.prompt) token = static_cast<TokenId>(random() % 200);
        request.output = kKinds[random() % 2];
    }
    return requests;
}

TEST(Embedding, OfRealModelsIsThatOfTheInterpreter) {
    for (const std::string name : {"llama", "qwen3", "gemma3"}) {
        Runtime runtime = Runtime::create({.n_threads = 2}).value();
        const TinyEngineOptions options{
            .model = name, .rewrites = {.activations = model::ActivationMode::kF32, .without = {}}, .kv_type = backend::KvType::kF32};
        const TinyEngine tiny(runtime, options);
        const backend::NaiveModel naive(tiny.canonical, tiny.file, backend::KvType::kF32, backend::KvType::kF32);
        const auto requests = tiny_prompts(1, 8);
        const auto found = tiny.run(requests);
        for (std::size_t i = 0; i < requests.size(); ++i) {
            const std::vector<double> expected = pooled(naive.hidden(requests[i].prompt), requests[i].output);
            ASSERT_EQ(found[i].embedding.size(), expected.size());
            double error = 0.0, size = 0.0;
            for (std::size_t j = 0; j < expected.size(); ++j) {
                error += std::pow(static_cast<double>(found[i].embedding[j]) - expected[j], 2);
                size += std::pow(expected[j], 2);
            }
            EXPECT_LT(std::sqrt(error / size), 1e-4) << name << ", request " << i;
        }
    }
}

TEST(Embedding, OfRealModelsIsTheSameBitsAloneTogetherAndInSmallSteps) {
    const auto requests = tiny_prompts(2, 12);
    for (const std::string name : {"llama", "gpt-oss"}) {
        Runtime runtime = Runtime::create({.n_threads = 2}).value();
        const TinyEngine together(runtime, {.model = name, .limits = {.n_tokens = 32, .n_outputs = 8}});
        const TinyEngine alone(runtime, {.model = name, .limits = {.n_tokens = 64, .n_outputs = 64}, .prefix_cache = false});
        const TinyEngine slow(runtime, {.model = name, .limits = {.n_tokens = 5, .n_outputs = 3}});
        const auto found = together.run(requests);
        const auto in_small_steps = slow.run(requests);
        for (std::size_t i = 0; i < requests.size(); ++i) {
            const StreamUpdate expected = alone.run({requests[i]})[0];
            EXPECT_FALSE(expected.embedding.empty());
            EXPECT_EQ(found[i].embedding, expected.embedding);
            EXPECT_EQ(in_small_steps[i].embedding, expected.embedding);
        }
    }
}

}  // namespace
}  // namespace rafter::engine::tests
