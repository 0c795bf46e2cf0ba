// The divergence of two models: against plain sums, for every way in which a window may be cut into steps, and of models that are the same.
#include "engine/measure/divergence.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <random>

#include "tests/support/tiny_model.h"

namespace rafter::engine {
namespace {

namespace fs = std::filesystem;

constexpr float kNoLogit = std::numeric_limits<float>::quiet_NaN();

TEST(CompareLogits, GivesTheDivergenceOfKnownDistributions) {
    const std::vector<float> p{std::log(0.5F), std::log(0.25F), std::log(0.25F)};
    const std::vector<float> q{std::log(0.25F) + 7.0F, std::log(0.5F) + 7.0F, std::log(0.25F) + 7.0F};  // a shift changes nothing
    const TokenDivergence token = compare_logits(p, q, 1);
    EXPECT_NEAR(token.kl, 0.5 * std::log(2.0) - 0.25 * std::log(2.0), 1e-6);
    EXPECT_FALSE(token.same_top);
    EXPECT_NEAR(*token.logprob, std::log(0.5), 1e-6);
    EXPECT_NEAR(*token.reference_logprob, std::log(0.25), 1e-6);
}

TEST(CompareLogits, OfEqualRowsIsExactlyZero) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(3.0F, 9.0F);
    for (const std::size_t n : {1U, 2U, 15U, 16U, 17U, 1000U}) {
        std::vector<float> row(n);
        for (float& x : row) x = normal(random);
        const TokenDivergence token = compare_logits(row, row, std::nullopt);
        EXPECT_EQ(token.kl, 0.0) << n;
        EXPECT_TRUE(token.same_top);
        EXPECT_FALSE(token.logprob);
    }
}

TEST(CompareLogits, OfLogitsThatAreNoNumbersIsNoNumber) {
    const std::vector<float> good{1.0F, 2.0F};
    const std::vector<float> bad{1.0F, kNoLogit};
    const std::vector<float> none{kNoLogit, kNoLogit};
    EXPECT_FALSE(std::isfinite(compare_logits(good, bad, 0).kl));
    EXPECT_FALSE(std::isfinite(compare_logits(good, none, 0).kl));
    EXPECT_FALSE(std::isfinite(compare_logits(none, good, 0).kl));
    EXPECT_FALSE(std::isfinite(*compare_logits(none, good, 0).logprob));
    EXPECT_FALSE(std::isfinite(compare_logits(good, {{1.0F, std::numeric_limits<float>::infinity()}}, 0).kl));
}

TEST(Divergence, SummarisesItsTokens) {
    Divergence divergence;
    EXPECT_EQ(divergence.summary().n_tokens, 0U);
    // KLs 0, 1, ..., 1000 in an order of no pattern; every fourth agrees; each has log-probabilities that are known.
    std::vector<std::uint32_t> order(1001);
    std::iota(order.begin(), order.end(), 0U);
    std::shuffle(order.begin(), order.end(), std::mt19937(2));
    for (const std::uint32_t i : order) {
        divergence.add(TokenDivergence{
            .kl = static_cast<double>(i), .same_top = i % 4 == 0, .logprob = i % 2 == 0 ? -1.0 : -3.0, .reference_logprob = -1.5});
    }
    const DivergenceSummary s = divergence.summary();
    EXPECT_EQ(s.n_tokens, 1001U);
    EXPECT_EQ(s.n_scored, 1001U);
    EXPECT_NEAR(s.mean_kl, 500.0, 1e-9);
    EXPECT_NEAR(s.mean_kl_error, std::sqrt(1001.0 * 1002.0 / 12.0 / 1001.0), 1e-9);  // of 0 .. n - 1: variance n (n + 1) / 12
    EXPECT_EQ(s.kl_99, 990.0);
    EXPECT_EQ(s.kl_999, 999.0);
    EXPECT_EQ(s.max_kl, 1000.0);
    EXPECT_NEAR(s.same_top, 251.0 / 1001.0, 1e-12);
    EXPECT_NEAR(s.same_top_error, std::sqrt(s.same_top * (1 - s.same_top) / 1000.0), 1e-12);
    const double mean = (501.0 * 1.0 + 500.0 * 3.0) / 1001.0;
    EXPECT_NEAR(s.perplexity, std::exp(mean), 1e-9);
    EXPECT_NEAR(s.reference_perplexity, std::exp(1.5), 1e-9);
    EXPECT_EQ(s.reference_perplexity_error, 0.0);
    EXPECT_NEAR(s.perplexity_ratio, std::exp(mean - 1.5), 1e-9);
    EXPECT_NEAR(s.perplexity_ratio_error / s.perplexity_ratio, s.perplexity_error / s.perplexity, 1e-9);  // the reference has no spread
}

TEST(Divergence, PercentilesLieBetweenNeighbours) {
    Divergence divergence;
    for (const double kl : {0.0, 1.0}) divergence.add(TokenDivergence{.kl = kl, .same_top = true});
    EXPECT_NEAR(divergence.summary().kl_99, 0.99, 1e-12);
    EXPECT_EQ(divergence.summary().n_scored, 0U);
    EXPECT_EQ(divergence.summary().perplexity, 0.0);
}

class DivergenceOfModels : public ::testing::Test {
  protected:
    ~DivergenceOfModels() override {
        for (const fs::path& path : files_) fs::remove(path);
    }
    struct Model {
        OpenedModel opened;
        LoadedModel loaded;
    };
    std::unique_ptr<Model> load(const model::TinyModel& tiny, std::uint32_t n_outputs = 16, unsigned n_threads = 2,
                                bool other_words = false) {
        if (!runtime_ || runtime_->pool().n_threads() != n_threads) runtime_.emplace(Runtime::create({.n_threads = n_threads}).value());
        std::vector<std::byte> bytes = model::tiny_gguf(tiny);
        if (other_words) replace_all(bytes, "<|im_start|>", "<|im_Start|>");
        files_.push_back(fs::path(::testing::TempDir()) /
                         fmt::format("rafter-divergence-{}-{}-{}.gguf", getpid(), files_.size(), tiny.name));
        std::ofstream(files_.back(), std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        OpenedModel opened = open_model(files_.back()).value();
        LoadedModel loaded = load_model(*runtime_, opened, {.context = 64, .n_outputs = n_outputs}).value();
        return std::make_unique<Model>(Model{.opened = std::move(opened), .loaded = std::move(loaded)});
    }
    static void replace_all(std::vector<std::byte>& bytes, std::string_view from, std::string_view to) {
        const auto same = [](std::byte a, char b) { return a == static_cast<std::byte>(b); };
        for (auto at = bytes.begin(); (at = std::search(at, bytes.end(), from.begin(), from.end(), same)) != bytes.end(); ++at) {
            std::ranges::transform(to, at, [](char c) { return static_cast<std::byte>(c); });
        }
    }
    static std::vector<TokenId> window(const Model& model) {
        std::vector<TokenId> tokens;
        for (std::uint32_t i = 0; i < 64; ++i) tokens.push_back(static_cast<TokenId>(i * i * 31 % model.opened.config.n_vocab));
        return tokens;
    }
    std::optional<Runtime> runtime_;
    std::vector<fs::path> files_;
};

TEST_F(DivergenceOfModels, IsZeroForTheSameModel) {
    for (const char* const name : {"llama", "gemma3", "gpt-oss"}) {  // with windows that are shorter than the context
        const auto a = load({.name = name, .matrices = tensor::DType::kQ8_0});
        const auto b = load({.name = name, .matrices = tensor::DType::kQ8_0});
        Divergence divergence;
        ASSERT_TRUE(add_window(a->loaded, b->loaded, window(*a), 32, divergence)) << name;
        const DivergenceSummary s = divergence.summary();
        EXPECT_EQ(s.n_tokens, 31U);
        EXPECT_EQ(s.mean_kl, 0.0);
        EXPECT_EQ(s.max_kl, 0.0);
        EXPECT_EQ(s.same_top, 1.0);
        EXPECT_EQ(s.perplexity, s.reference_perplexity);
        EXPECT_EQ(s.perplexity_ratio, 1.0);
    }
}

TEST_F(DivergenceOfModels, DoesNotDependOnStepsAndThreads) {
    std::vector<double> kls;
    for (const std::uint32_t n_outputs : {1U, 5U, 31U, 64U}) {
        const auto reference = load({.seed = 1}, 64, n_outputs == 5 ? 1 : 2);
        const auto model = load({.matrices = tensor::DType::kQ4_0, .seed = 1}, n_outputs, n_outputs == 5 ? 1 : 2);
        Divergence divergence;
        std::vector<std::size_t> positions;
        const std::vector<TokenId> tokens = window(*model);
        ASSERT_TRUE(add_window(reference->loaded, model->loaded, tokens, 32, divergence,
                               [&](std::size_t position, TokenId next, const TokenDivergence&) -> Result<void> {
                                   positions.push_back(position);
                                   EXPECT_EQ(next, tokens[position]);
                                   return {};
                               }));
        ASSERT_EQ(positions.size(), 31U);
        EXPECT_EQ(positions.front(), 33U);
        EXPECT_EQ(positions.back(), 63U);
        kls.push_back(divergence.summary().mean_kl);
    }
    EXPECT_GT(kls[0], 0.0);
    for (const double kl : kls) EXPECT_EQ(kl, kls[0]);
}

TEST_F(DivergenceOfModels, IsThatOfTheLogitsOfOneStep) {
    const auto reference = load({.seed = 1}, 64);
    const auto model = load({.matrices = tensor::DType::kQ4_0, .seed = 1}, 64);
    const std::vector<TokenId> tokens = window(*model);
    const auto logits = [&](LoadedModel& loaded) {
        backend::Batch batch;
        batch.tokens = tokens;
        for (std::uint32_t i = 0; i < 64; ++i) {
            batch.positions.push_back(i);
            batch.output_rows.push_back(i);
        }
        batch.sequences.push_back({.step = {.n_new = 64, .n_past = 0, .n_outputs = 64}, .first_row = 0, .block_tables = {{3, 1, 0, 2}}});
        const backend::StepOutput out = loaded.device->forward(batch);
        return std::vector<float>(out.logits.begin(), out.logits.end());
    };
    const std::vector<float> p = logits(reference->loaded);
    const std::vector<float> q = logits(model->loaded);
    const std::size_t n_vocab = reference->opened.config.n_vocab;
    Divergence divergence;
    ASSERT_TRUE(add_window(reference->loaded, model->loaded, tokens, 32, divergence,
                           [&](std::size_t position, TokenId, const TokenDivergence& token) -> Result<void> {
                               const float* const p_row = p.data() + (position - 1) * n_vocab;
                               const float* const q_row = q.data() + (position - 1) * n_vocab;
                               long double p_sum = 0.0L;
                               long double q_sum = 0.0L;
                               for (std::size_t i = 0; i < n_vocab; ++i) {
                                   p_sum += std::exp(static_cast<long double>(p_row[i]));
                                   q_sum += std::exp(static_cast<long double>(q_row[i]));
                               }
                               long double kl = 0.0L;
                               for (std::size_t i = 0; i < n_vocab; ++i) {
                                   const long double log_p = p_row[i] - std::log(p_sum);
                                   kl += std::exp(log_p) * (log_p - (q_row[i] - std::log(q_sum)));
                               }
                               EXPECT_NEAR(token.kl, static_cast<double>(kl), 1e-10);
                               return {};
                           }));
}

TEST_F(DivergenceOfModels, NeedsTheSameVocabulary) {
    const auto a = load({.name = "llama"});
    const auto same = load({.name = "gemma3", .seed = 2});
    const auto other = load({.name = "qwen3"}, 16, 2, true);
    EXPECT_TRUE(check_same_vocabulary(a->opened, same->opened));
    const auto differs = check_same_vocabulary(a->opened, other->opened);
    ASSERT_FALSE(differs);
    EXPECT_NE(differs.error().message.find("expected token 263 to be \"<|im_start|>\", found \"<|im_Start|>\""), std::string::npos)
        << differs.error().message;
    same->opened.config.n_vocab += 64;
    const auto padded = check_same_vocabulary(a->opened, same->opened);
    ASSERT_FALSE(padded);
    EXPECT_NE(padded.error().message.find("expected 265 logits, found 329"), std::string::npos) << padded.error().message;
}

}  // namespace
}  // namespace rafter::engine
