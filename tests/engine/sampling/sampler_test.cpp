// The sampler against the definitions computed the slow way: tests/engine/sampling/slow_sampler.h. How often it draws what is in
// race_test.cpp.
#include "engine/sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "engine/sampling/logprobs.h"
#include "engine/sampling/noise.h"
#include "tests/engine/sampling/slow_sampler.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;

// A sampler for one request's options; prompt as it stands.
Sampler sampler_of(const SamplingOptions& options, std::vector<TokenId> prompt = {}) {
    return Sampler(Request{.prompt = std::move(prompt), .sampling = options});
}

// Whether each of n_draws is what the slow race over the slow distribution gives.
::testing::AssertionResult draws_what_wins_the_race(const std::vector<float>& logits, const SamplingOptions& options, int n_draws) {
    const auto expected = slow_distribution(logits, options);
    SamplerScratch scratch;
    for (int i = 0; i < n_draws; ++i) {
        const TokenNoise noise(5, static_cast<std::uint32_t>(i));
        const auto drawn = draw(logits, options, noise, scratch);
        if (!drawn) return ::testing::AssertionFailure() << "draw " << i << ": nothing drawn";
        const TokenId wanted = slow_race(expected, noise);
        if (drawn != wanted) return ::testing::AssertionFailure() << "draw " << i << ": expected token " << wanted << ", drawn " << *drawn;
    }
    return ::testing::AssertionSuccess();
}

// The tokens that some draw takes, each with how often of n_draws.
std::map<TokenId, int> drawn_tokens(const std::vector<float>& logits, const SamplingOptions& options, int n_draws) {
    SamplerScratch scratch;
    std::map<TokenId, int> result;
    for (int i = 0; i < n_draws; ++i) ++result[*draw(logits, options, TokenNoise(6, static_cast<std::uint32_t>(i)), scratch)];
    return result;
}

TEST(Noise, IsPhiloxAsPublished) {
    // The known answers of the authors' Random123 package.
    EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    constexpr std::uint32_t kOnes = 0xffffffff;
    EXPECT_EQ(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              (std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Noise, IsEvenlySpreadInTheUnitInterval) {
    constexpr int kDraws = 100'000;
    std::vector<int> histogram(10, 0);
    for (int position = 0; position < kDraws; ++position) {
        const double u = uniform(7, static_cast<std::uint32_t>(position));
        ASSERT_GE(u, 0.0);
        ASSERT_LT(u, 1.0);
        ++histogram[static_cast<std::size_t>(u * 10)];
    }
    for (const int n : histogram) EXPECT_NEAR(n, kDraws / 10.0, 5 * std::sqrt(kDraws / 10.0));
    EXPECT_NE(uniform(7, 0), uniform(8, 0));
    EXPECT_NE(uniform(7, 0), uniform(7ULL << 32, 0));
}

TEST(Noise, OfATokenIsInsideTheUnitIntervalAndOfItsOwn) {
    constexpr std::uint32_t kTokens = 100'003;
    std::set<double> seen;
    std::vector<int> histogram(10, 0);
    for (const auto& noise : {TokenNoise(7, 0), TokenNoise(7, 1), TokenNoise(8, 0), TokenNoise(7ULL << 32, 0), TokenNoise(0, 7)}) {
        for (std::uint32_t token = 0; token < kTokens; ++token) {
            const double u = noise.uniform(token);
            ASSERT_GT(u, 0.0);
            ASSERT_LT(u, 1.0);
            ASSERT_EQ(std::floor(u * 0x1p32), noise.upper(token / 4)[token % 4]);
            ASSERT_EQ(1.0 - (1.0 - u), u);
            ASSERT_GE(noise.exponential(token), u);
            seen.insert(u);
            ++histogram[static_cast<std::size_t>(u * 10)];
        }
    }
    EXPECT_EQ(seen.size(), 5 * kTokens);
    for (const int n : histogram) EXPECT_NEAR(n, kTokens / 2.0, 5 * std::sqrt(kTokens / 2.0));
}

TEST(Sampler, GreedyTakesTheLowestIdOfEquals) {
    SamplerScratch scratch;
    const Sampler sampler = sampler_of({});
    EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 3, 2}, 0, scratch), 1);
    EXPECT_EQ(sampler.sample(std::vector<float>{kNan, -kInfinity, -5}, 0, scratch), 2);
}

// Equals, NaN and infinities at any place of vocabularies of any size, against the definition one by one.
TEST(Sampler, GreedyIsTheFirstOfTheLargest) {
    std::mt19937 random(17);
    const float specials[] = {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::infinity(), -0.0F, 0.0F};
    for (int round = 0; round < 2000; ++round) {
        std::vector<float> logits(random() % (round % 10 == 0 ? 5000 : 100));
        const auto n_values = 1 + random() % 50;  // few different ones: equals
        for (float& logit : logits) {
            logit = -static_cast<float>(random() % n_values);
            if (random() % 20 == 0) logit = specials[random() % (random() % 4 == 0 ? 5 : 2)];
        }
        std::optional<TokenId> expected;
        for (std::size_t i = 0; i < logits.size(); ++i) {
            const float best = expected ? logits[static_cast<std::size_t>(*expected)] : -std::numeric_limits<float>::infinity();
            if (logits[i] > best) expected = static_cast<TokenId>(i);
        }
        ASSERT_EQ(argmax(logits), expected) << round;
    }
}

TEST(Sampler, SaysWhenNoTokenCanBeChosen) {
    SamplerScratch scratch;
    SamplingOptions warm;
    warm.temperature = 1.0;
    SamplingOptions cut = warm;
    cut.top_p = 0.5;
    SamplingOptions typical = warm;
    typical.typical_p = 0.5;
    for (const SamplingOptions& options : {SamplingOptions{}, warm, cut, typical}) {
        const Sampler sampler = sampler_of(options);
        EXPECT_FALSE(sampler.sample(std::vector<float>{kNan, kNan}, 0, scratch));
        EXPECT_FALSE(sampler.sample(std::vector<float>{-kInfinity, -kInfinity}, 0, scratch));
        EXPECT_FALSE(sampler.sample(std::vector<float>{kInfinity, 0}, 0, scratch));
        EXPECT_EQ(sampler.sample(std::vector<float>{kNan, -kInfinity, 0}, 0, scratch), 2);
    }
}

TEST(Sampler, DrawsFromTheDistributionThatTheOptionsDefine) {
    std::mt19937 random(3);
    for (int round = 0; round < 300; ++round) {
        const std::vector<float> logits = random_logits(random, 1 + random() % 40);
        SamplingOptions options;
        options.temperature = 0.2 + 0.1 * (random() % 20);
        if (random() % 2) options.top_k = random() % 45;
        if (random() % 2) options.top_p = 0.01 * (random() % 101);
        if (random() % 2) options.min_p = 0.01 * (random() % 101);
        if (random() % 2) options.typical_p = 0.01 * (random() % 101);
        ASSERT_TRUE(draws_what_wins_the_race(logits, options, 100)) << "round " << round;
    }
}

TEST(Sampler, CutsALargeVocabularyAsItCutsASmallOne) {
    std::mt19937 random(4);
    const std::vector<float> logits = random_logits(random, 50'000);
    for (const auto& [k, p, m, t] : {std::tuple{40U, 1.0, 0.0, 1.0},
                                     {0U, 0.5, 0.0, 1.0},
                                     {0U, 0.99, 0.0, 1.0},
                                     {0U, 1.0, 0.02, 1.0},
                                     {100U, 0.9, 0.01, 1.0},
                                     {0U, 1.0, 0.0, 0.05},
                                     {0U, 0.9, 0.0, 0.3},
                                     {0U, 1.0, 0.0, 1.0}}) {
        SamplingOptions options;
        options.temperature = 0.8;
        options.top_k = k;
        options.top_p = p;
        options.min_p = m;
        options.typical_p = t;
        ASSERT_TRUE(draws_what_wins_the_race(logits, options, rafter::tests::rounds(30)));
    }
}

TEST(Sampler, TopPOfNothingAndTopKOfOneAreGreedy) {
    std::mt19937 random(5);
    SamplerScratch scratch;
    for (int round = 0; round < 50; ++round) {
        const std::vector<float> logits = random_logits(random, 30);
        SamplingOptions top_p;
        top_p.temperature = 2.0;
        top_p.top_p = 0.0;
        SamplingOptions top_k;
        top_k.temperature = 2.0;
        top_k.top_k = 1;
        SamplingOptions min_p;
        min_p.temperature = 2.0;
        min_p.min_p = 1.0;
        for (const SamplingOptions& options : {top_p, top_k, min_p}) {
            EXPECT_EQ(draw(logits, options, TokenNoise(1, round), scratch), argmax(logits));
        }
    }
}

TEST(Sampler, TinyTemperatureIsGreedyAndFinite) {
    SamplerScratch scratch;
    SamplingOptions options;
    options.temperature = 1e-300;
    for (std::uint32_t i = 0; i < 100; ++i) EXPECT_EQ(draw(std::vector<float>{1, 2, 1.999F}, options, TokenNoise(1, i), scratch), 1);
}

TEST(Sampler, SameSeedAndPositionGiveTheSameTokenWhateverWasDrawnBefore) {
    std::mt19937 random(6);
    SamplingOptions options;
    options.temperature = 1.5;
    options.seed = 99;
    const Sampler a = sampler_of(options);
    const Sampler b = sampler_of(options);
    SamplerScratch scratch_a;
    SamplerScratch scratch_b;
    std::set<TokenId> tokens;
    for (std::uint32_t position = 0; position < 50; ++position) {
        const std::vector<float> logits = random_logits(random, 100);
        const auto token = a.sample(logits, position, scratch_a);
        tokens.insert(*token);
        if (position % 7 == 3) {
            EXPECT_EQ(b.sample(logits, position, scratch_b), token);
        }
    }
    EXPECT_GT(tokens.size(), 20U);
}

SamplingOptions typical_at(double typical_p) {
    SamplingOptions options;
    options.temperature = 1.0;
    options.typical_p = typical_p;
    return options;
}

TEST(TypicalP, CutsOffTheLikeliestWhenItSurprisesTooLittle) {
    // Entropy 1.75; the first token's surprise is 0.92, the others' 2.30.
    const auto drawn = drawn_tokens(logs({0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}), typical_at(0.45), 1000);
    ASSERT_EQ(drawn.size(), 5U);
    for (const TokenId token : {1, 2, 3, 4, 5}) EXPECT_NEAR(drawn.at(token), 200, 60);
}

TEST(TypicalP, OfEquallyTypicalTokensTakesTheLowerIds) {
    const std::vector<float> flat(8, 1.5F);
    const auto drawn = drawn_tokens(flat, typical_at(0.5), 1000);
    ASSERT_EQ(drawn.size(), 4U);
    EXPECT_EQ(drawn.rbegin()->first, 3);
}

TEST(TypicalP, KeepsOneTokenAtLeastAndNoneThatCannotBe) {
    SamplerScratch scratch;
    const TokenNoise noise(1, 1);
    EXPECT_EQ(draw(std::vector<float>{kNan, -kInfinity, 3.0F, -kInfinity}, typical_at(0.0), noise, scratch), 2);
    // Far below the best, exp() of a logit is 0 and its logarithm infinite.
    SamplingOptions cold = typical_at(0.999);
    cold.temperature = 1e-306;
    EXPECT_EQ(draw(std::vector<float>{1e6F, 2e6F, 1.999e6F}, cold, noise, scratch), 1);
    cold.top_k = 2;
    EXPECT_EQ(draw(std::vector<float>{1e6F, 2e6F, 1.999e6F}, cold, noise, scratch), 1);
    // 0 keeps the most typical one.
    EXPECT_EQ(drawn_tokens(logs({0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}), typical_at(0.0), 100), (std::map<TokenId, int>{{1, 100}}));
}

TEST(TypicalP, IsWhatThePaperDefinesForDistributionsOfEveryShape) {
    std::mt19937 random(10);
    for (int round = 0; round < rafter::tests::rounds(300); ++round) {
        // From nearly flat to nearly certain.
        std::vector<float> logits = random_logits(random, 2 + random() % 200);
        const float spread = std::exp2(static_cast<float>(random() % 9) - 5.0F);
        for (float& logit : logits) logit = logit * spread - 1000.0F;
        std::vector<double> p;
        const double normalizer = log_sum_exp(logits);
        for (const float logit : logits) p.push_back(std::exp(logit - normalizer));
        const double typical_p = std::uniform_real_distribution(0.0, 1.0)(random);
        std::map<TokenId, double> expected;
        for (const std::size_t i : slow_typical(p, typical_p)) expected[static_cast<TokenId>(i)] = p[i];
        SamplerScratch scratch;
        for (std::uint32_t position = 0; position < 100; ++position) {
            const TokenNoise noise(9, position);
            ASSERT_EQ(draw(logits, typical_at(typical_p), noise, scratch), slow_race(expected, noise)) << "round " << round;
        }
        std::set<TokenId> kept;
        for (const auto& candidate : scratch.candidates) kept.insert(candidate.token);
        for (const auto& [token, weight] : expected) ASSERT_TRUE(kept.count(token)) << "round " << round << ", token " << token;
        ASSERT_EQ(kept.size(), expected.size()) << "round " << round;
    }
}

TEST(Penalties, AgreeWithTheDefinitionThroughAcceptAndRollback) {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        SamplingOptions options;
        options.repeat_penalty = 1.0 + 0.1 * (random() % 5);
        options.frequency_penalty = 0.25 * (random() % 4);
        options.presence_penalty = -0.5 + 0.5 * (random() % 4);
        std::vector<TokenId> prompt(random() % 10);
        for (TokenId& token : prompt) token = random() % 20;
        const Penalties::Strengths strengths{static_cast<float>(options.repeat_penalty), static_cast<float>(options.frequency_penalty),
                                             static_cast<float>(options.presence_penalty)};
        options.repeat_last_n = round % 2 == 0 ? 0 : random() % 30 + 1;
        Penalties stage(strengths, prompt, options.repeat_last_n > 0 ? options.repeat_last_n : Penalties::kWholeText);
        std::vector<TokenId> answer;
        for (int i = 0; i < 40; ++i) {
            if (random() % 3 == 0 && !answer.empty()) {
                const std::size_t n = random() % answer.size() + 1;
                answer.resize(answer.size() - n);
                stage.rollback(n);
            } else {
                answer.push_back(random() % 20);
                stage.accept(answer.back());
            }
            std::vector<float> logits = random_logits(random, 20);
            const std::vector<float> expected = slow_penalties(logits, options, prompt, answer);
            stage.apply(logits);
            ASSERT_EQ(logits, expected);
        }
    }
}

Request sampling_request(std::mt19937& random, std::size_t n_vocab) {
    const auto token = [&] { return static_cast<TokenId>(random() % n_vocab); };
    const auto percent = [&] { return 0.01 * (random() % 101); };
    Request request;
    for (std::uint32_t n = random() % 10; n > 0; --n) request.prompt.push_back(token());
    SamplingOptions& options = request.sampling;
    for (std::uint32_t n = random() % 3; n > 0; --n) options.logit_bias.emplace_back(token(), -1.0F + static_cast<float>(random() % 3));
    if (random() % 2) options.repeat_penalty = 1.3;
    if (random() % 2) options.frequency_penalty = 0.4;
    if (random() % 2) options.presence_penalty = -0.2;
    if (random() % 4 == 0) options.repeat_last_n = random() % 12 + 1;
    options.temperature = random() % 8 == 0 ? 0.0 : 0.5 + percent();
    if (random() % 2) options.top_k = random() % 30;
    if (random() % 2) options.top_p = percent();
    if (random() % 2) options.min_p = percent();
    if (random() % 2) options.typical_p = percent();
    options.seed = (std::uint64_t{random()} << 32) | random();
    if (random() % 2) {
        request.min_tokens = random() % 20;
        request.end_tokens = {token(), token()};
    }
    return request;
}

TEST(Sampler, IsAPureFunctionOfLogitsHistoryOptionsSeedAndPosition) {
    constexpr std::size_t kVocab = 40;
    std::mt19937 random(11);
    SamplerScratch shared;
    for (int round = 0; round < rafter::tests::rounds(300); ++round) {
        const Request request = sampling_request(random, kVocab);
        const Request other_request = sampling_request(random, kVocab);
        Sampler wanders(request);
        const Sampler other(other_request);
        std::vector<TokenId> answer;
        for (int i = 0; i < 30; ++i) {
            if (random() % 4 == 0 && !answer.empty()) {
                const std::size_t n = 1 + random() % answer.size();
                answer.resize(answer.size() - n);
                wanders.rollback(n);
            }
            const std::vector<float> logits = random_logits(random, kVocab);
            const auto position = static_cast<std::uint32_t>(request.prompt.size() + answer.size());
            Sampler fresh(request);
            for (const TokenId token : answer) fresh.accept(token);
            SamplerScratch own;
            const auto expected = fresh.sample(logits, position, own);
            (void)other.sample(random_logits(random, kVocab), position, shared);
            ASSERT_EQ(wanders.sample(logits, position, shared), expected) << "round " << round << ", token " << i;
            ASSERT_EQ(wanders.sample(logits, position, shared), expected);
            ASSERT_TRUE(expected.has_value());
            answer.push_back(*expected);
            wanders.accept(*expected);
        }
    }
}

TEST(MinTokens, ForbidsEndTokensUntilTheAnswerIsLongEnoughAlsoAfterRollback) {
    Request request;
    request.end_tokens = {1, 1000, -1};  // the last two are nobody's
    request.min_tokens = 2;
    request.sampling.logit_bias = {{1, 100.0F}};
    Sampler sampler(request);
    SamplerScratch scratch;
    const std::vector<float> logits{1, 9, 2};
    EXPECT_EQ(sampler.sample(logits, 0, scratch), 2);
    sampler.accept(2);
    EXPECT_EQ(sampler.sample(logits, 1, scratch), 2);
    sampler.accept(2);
    EXPECT_EQ(sampler.sample(logits, 2, scratch), 1);
    sampler.rollback(1);
    EXPECT_EQ(sampler.sample(logits, 1, scratch), 2);
    EXPECT_FALSE(Sampler(request).sample(std::vector<float>{-kInfinity, 9, -kInfinity}, 0, scratch));
}

TEST(LogitBias, MovesTheChoiceAndNothingElse) {
    SamplingOptions options;
    options.logit_bias = {{2, 10.0F}, {0, -100.0F}};
    const Sampler sampler = sampler_of(options);
    SamplerScratch scratch;
    EXPECT_EQ(sampler.sample(std::vector<float>{9, 5, 1, 2}, 0, scratch), 2);
    EXPECT_EQ(std::vector<float>(scratch.logits.begin(), scratch.logits.end()), (std::vector<float>{-91, 5, 11, 2}));
}

TEST(SamplingOptions, AreCheckedBeforeUse) {
    const auto message = [](auto change) {
        SamplingOptions options;
        change(options);
        const auto result = validate(options, 100);
        return result.has_value() ? std::string() : result.error().message;
    };
    EXPECT_EQ(message([](auto&) {}), "");
    EXPECT_EQ(message([](auto& o) { o.temperature = -1; }), "temperature: expected 0 or more, found -1");
    EXPECT_EQ(message([](auto& o) { o.temperature = std::nan(""); }), "temperature: expected 0 or more, found nan");
    EXPECT_EQ(message([](auto& o) { o.top_p = 1.5; }), "top-p: expected 0 to 1, found 1.5");
    EXPECT_EQ(message([](auto& o) { o.min_p = -0.5; }), "min-p: expected 0 to 1, found -0.5");
    EXPECT_EQ(message([](auto& o) { o.typical_p = 1.01; }), "typical-p: expected 0 to 1, found 1.01");
    EXPECT_EQ(message([](auto& o) { o.typical_p = std::nan(""); }), "typical-p: expected 0 to 1, found nan");
    EXPECT_EQ(message([](auto& o) { o.repeat_penalty = 0; }), "repeat penalty: expected a positive number, found 0");
    EXPECT_EQ(message([](auto& o) { o.logit_bias = {{100, 1.0F}}; }), "logit bias: expected a token from 0 to 99, found 100");
    EXPECT_EQ(message([](auto& o) { o.logit_bias = {{-1, 1.0F}}; }), "logit bias: expected a token from 0 to 99, found -1");
    EXPECT_NE(message([](auto& o) { o.logit_bias = {{1, kInfinity}}; }), "");
}

TEST(Logprobs, AreTheLogSoftmaxAndTheTopIsSortedWithTiesToTheLowerId) {
    const std::vector<float> logits{0, 2, 1, 2, -kInfinity};
    const TokenLogprobs result = logprobs_of(logits, 2, 4);
    const double normalizer = std::log(1 + 2 * std::exp(2.0) + std::exp(1.0));
    EXPECT_NEAR(result.logprob, 1 - normalizer, 1e-15);
    ASSERT_EQ(result.top.size(), 4U);
    EXPECT_EQ(result.top[0].first, 1);
    EXPECT_EQ(result.top[1].first, 3);
    EXPECT_EQ(result.top[2].first, 2);
    EXPECT_EQ(result.top[3].first, 0);
    EXPECT_NEAR(result.top[3].second, -normalizer, 1e-15);
    EXPECT_TRUE(logprobs_of(logits, 0, 0).top.empty());
    EXPECT_EQ(logprobs_of(logits, 0, 100).top.size(), 5U);
}

TEST(Logprobs, OfAllTokensSumToOneEvenWhenLogitsAreLarge) {
    std::mt19937 random(8);
    std::vector<float> logits = random_logits(random, 1000);
    for (float& logit : logits) logit += 5000.0F;
    double sum = 0.0;
    for (const auto& [id, logprob] : logprobs_of(logits, 0, 1000).top) sum += std::exp(logprob);
    EXPECT_NEAR(sum, 1.0, 1e-12);
}

}  // namespace
}  // namespace rafter::engine
