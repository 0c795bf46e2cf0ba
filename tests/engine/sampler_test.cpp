// The sampler against the definitions computed the slow way: sort everything, cut, renormalise, walk the cumulative sum.
#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "engine/logprobs.h"
#include "engine/noise.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_logits(std::mt19937& random, std::size_t n) {
    std::normal_distribution<float> normal(0.0F, 3.0F);
    std::vector<float> logits(n);
    for (float& logit : logits) logit = normal(random);
    return logits;
}

// A sampler for one request's options; prompt as it stands.
Sampler sampler_of(const SamplingOptions& options, std::vector<TokenId> prompt = {}) {
    return Sampler(Request{.prompt = std::move(prompt), .sampling = options});
}

// Locally typical sampling word by word: the surprise of each token beside the entropy, sorted by how far it is off, until the mass is
// there. p: sums to 1. The indices that stay.
std::vector<std::size_t> slow_typical(const std::vector<double>& p, double typical_p) {
    double entropy = 0.0;
    for (const double x : p) entropy -= x > 0.0 ? x * std::log(x) : 0.0;
    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), 0U);
    const auto distance = [&](std::size_t i) { return std::abs(-std::log(p[i]) - entropy); };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return distance(a) < distance(b); });
    double mass = 0.0;
    std::size_t n = 0;
    while (n < order.size() && (n == 0 || mass < typical_p)) mass += p[order[n++]];
    order.resize(n);
    return order;
}

// The tokens that may be drawn, each with its probability.
std::map<TokenId, double> slow_distribution(const std::vector<float>& logits, const SamplingOptions& options) {
    std::vector<TokenId> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return logits[a] > logits[b]; });
    std::vector<long double> p;
    for (const TokenId id : order) p.push_back(std::exp((static_cast<long double>(logits[id]) - logits[order[0]]) / options.temperature));
    const auto renormalise = [&] {
        const long double total = std::accumulate(p.begin(), p.end(), 0.0L);
        for (long double& x : p) x /= total;
    };
    if (options.top_k > 0 && options.top_k < p.size()) p.resize(options.top_k);
    renormalise();
    long double sum = 0.0L;
    std::size_t n = 0;
    while (n < p.size() && (n == 0 || sum < options.top_p)) sum += p[n++];
    p.resize(n);
    const long double least = options.min_p * p[0];
    p.erase(std::remove_if(p.begin(), p.end(), [&](long double x) { return x < least; }), p.end());
    renormalise();
    if (options.typical_p < 1.0) {
        std::vector<long double> typical(p.size(), 0.0L);
        for (const std::size_t i : slow_typical({p.begin(), p.end()}, options.typical_p)) typical[i] = p[i];
        p = typical;
        renormalise();
    }
    std::map<TokenId, double> result;
    for (std::size_t i = 0; i < p.size(); ++i) {
        if (p[i] > 0.0L) result[order[i]] = static_cast<double>(p[i]);
    }
    return result;
}

// The probability of each token, read off by trying evenly spaced noise.
std::map<TokenId, double> drawn_distribution(const std::vector<float>& logits, const SamplingOptions& options, int n_draws) {
    SamplerScratch scratch;
    std::map<TokenId, double> result;
    for (int i = 0; i < n_draws; ++i) result[*draw(logits, options, (i + 0.5) / n_draws, scratch)] += 1.0 / n_draws;
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

TEST(Sampler, GreedyTakesTheLowestIdOfEquals) {
    SamplerScratch scratch;
    const Sampler sampler = sampler_of({});
    EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 3, 2}, 0, scratch), 1);
    EXPECT_EQ(sampler.sample(std::vector<float>{kNan, -kInfinity, -5}, 0, scratch), 2);
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
        const auto expected = slow_distribution(logits, options);
        constexpr int kDraws = 2000;
        const auto drawn = drawn_distribution(logits, options, kDraws);
        for (const auto& [token, p] : drawn)
            ASSERT_TRUE(expected.count(token)) << "round " << round << ": token " << token << " was cut off";
        for (const auto& [token, p] : expected) {
            const auto it = drawn.find(token);
            ASSERT_NEAR(it == drawn.end() ? 0.0 : it->second, p, 1.01 / kDraws) << "round " << round << ", token " << token;
        }
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
                                     {0U, 0.9, 0.0, 0.3}}) {
        SamplingOptions options;
        options.temperature = 0.8;
        options.top_k = k;
        options.top_p = p;
        options.min_p = m;
        options.typical_p = t;
        const auto expected = slow_distribution(logits, options);
        const int n_draws = rafter::tests::rounds(500);
        for (const auto& [token, drawn] : drawn_distribution(logits, options, n_draws)) {
            ASSERT_TRUE(expected.count(token)) << token;
            ASSERT_NEAR(drawn, expected.at(token), 1.01 / n_draws);
        }
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
            EXPECT_EQ(draw(logits, options, 0.999999, scratch), argmax(logits));
        }
    }
}

TEST(Sampler, TinyTemperatureIsGreedyAndFinite) {
    SamplerScratch scratch;
    SamplingOptions options;
    options.temperature = 1e-300;
    EXPECT_EQ(draw(std::vector<float>{1, 2, 1.999F}, options, 0.99, scratch), 1);
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

std::vector<float> logs(const std::vector<double>& p) {
    std::vector<float> logits;
    for (const double x : p) logits.push_back(static_cast<float>(std::log(x)));
    return logits;
}

TEST(TypicalP, CutsOffTheLikeliestWhenItSurprisesTooLittle) {
    // Entropy 1.75; the first token's surprise is 0.92, the others' 2.30.
    const auto drawn = drawn_distribution(logs({0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}), typical_at(0.45), 1000);
    ASSERT_EQ(drawn.size(), 5U);
    for (const TokenId token : {1, 2, 3, 4, 5}) EXPECT_NEAR(drawn.at(token), 0.2, 1e-3);
}

TEST(TypicalP, OfEquallyTypicalTokensTakesTheLowerIds) {
    const std::vector<float> flat(8, 1.5F);
    const auto drawn = drawn_distribution(flat, typical_at(0.5), 1000);
    ASSERT_EQ(drawn.size(), 4U);
    EXPECT_EQ(drawn.rbegin()->first, 3);
}

TEST(TypicalP, KeepsOneTokenAtLeastAndNoneThatCannotBe) {
    SamplerScratch scratch;
    EXPECT_EQ(draw(std::vector<float>{kNan, -kInfinity, 3.0F, -kInfinity}, typical_at(0.0), 0.999, scratch), 2);
    // Far below the best, exp() of a logit is 0 and its logarithm infinite.
    SamplingOptions cold = typical_at(0.999);
    cold.temperature = 1e-306;
    EXPECT_EQ(draw(std::vector<float>{1e6F, 2e6F, 1.999e6F}, cold, 0.999, scratch), 1);
    cold.top_k = 2;
    EXPECT_EQ(draw(std::vector<float>{1e6F, 2e6F, 1.999e6F}, cold, 0.999, scratch), 1);
    // 0 keeps the most typical one.
    EXPECT_EQ(draw(logs({0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}), typical_at(0.0), 0.5, scratch), 1);
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
        std::vector<double> expected(p.size(), 0.0);
        double mass = 0.0;
        for (const std::size_t i : slow_typical(p, typical_p)) mass += expected[i] = p[i];
        constexpr int kDraws = 2000;
        const auto drawn = drawn_distribution(logits, typical_at(typical_p), kDraws);
        for (std::size_t i = 0; i < p.size(); ++i) {
            const auto it = drawn.find(static_cast<TokenId>(i));
            if (expected[i] == 0.0) {
                ASSERT_TRUE(it == drawn.end()) << "round " << round << ", token " << i;
            } else {
                ASSERT_NEAR(it == drawn.end() ? 0.0 : it->second, expected[i] / mass, 1.01 / kDraws)
                    << "round " << round << ", token " << i;
            }
        }
    }
}

// Penalties as the sentence in request.h defines them, from the whole history each time.
std::vector<float> slow_penalties(std::vector<float> logits, const SamplingOptions& options, const std::vector<TokenId>& prompt,
                                  const std::vector<TokenId>& answer) {
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const auto token = static_cast<TokenId>(i);
        const auto n = std::count(answer.begin(), answer.end(), token);
        if (n > 0 || std::count(prompt.begin(), prompt.end(), token) > 0) {
            const auto repeat = static_cast<float>(options.repeat_penalty);
            logits[i] = logits[i] > 0 ? logits[i] / repeat : logits[i] * repeat;
        }
        if (n > 0)
            logits[i] -=
                static_cast<float>(options.frequency_penalty) * static_cast<float>(n) + static_cast<float>(options.presence_penalty);
    }
    return logits;
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
        Penalties stage(strengths, prompt);
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

Request random_request(std::mt19937& random, std::size_t n_vocab) {
    const auto token = [&] { return static_cast<TokenId>(random() % n_vocab); };
    const auto percent = [&] { return 0.01 * (random() % 101); };
    Request request;
    for (std::uint32_t n = random() % 10; n > 0; --n) request.prompt.push_back(token());
    SamplingOptions& options = request.sampling;
    for (std::uint32_t n = random() % 3; n > 0; --n) options.logit_bias.emplace_back(token(), -1.0F + static_cast<float>(random() % 3));
    if (random() % 2) options.repeat_penalty = 1.3;
    if (random() % 2) options.frequency_penalty = 0.4;
    if (random() % 2) options.presence_penalty = -0.2;
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
        const Request request = random_request(random, kVocab);
        const Request other_request = random_request(random, kVocab);
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

// The chi-square value that a right sampler exceeds once in about 10^5 times: Wilson and Hilferty's approximation.
double chi_square_limit(double freedom) {
    const double x = 2.0 / (9.0 * freedom);
    return freedom * std::pow(1.0 - x + 4.3 * std::sqrt(x), 3.0);
}

TEST(Sampler, DrawsEachTokenAsOftenAsItsProbabilitySaysWithAllOptionsOn) {
    constexpr std::size_t kVocab = 60;
    std::mt19937 random(12);
    std::size_t most_tokens = 0;
    for (int round = 0; round < 20; ++round) {
        Request request;
        request.prompt = {1, 2, 3, 4};
        request.end_tokens = {7, 50};
        request.min_tokens = 5;
        SamplingOptions& options = request.sampling;
        options.logit_bias = {{5, 2.0F}, {6, -2.0F}, {7, 3.0F}};
        options.repeat_penalty = 1.2;
        options.frequency_penalty = 0.3;
        options.presence_penalty = 0.1;
        options.temperature = 1.5;
        options.top_k = 40;
        options.top_p = 0.97;
        options.min_p = 0.002;
        options.typical_p = 0.3 + 0.05 * (random() % 14);
        options.seed = random();
        const std::vector<TokenId> answer{3, 9, 9};
        Sampler sampler(request);
        for (const TokenId token : answer) sampler.accept(token);

        const std::vector<float> logits = random_logits(random, kVocab);
        std::vector<float> changed = logits;
        for (const auto& [token, bias] : options.logit_bias) changed[static_cast<std::size_t>(token)] += bias;
        changed = slow_penalties(changed, options, request.prompt, answer);
        for (const TokenId token : request.end_tokens) changed[static_cast<std::size_t>(token)] = -kInfinity;
        const auto expected = slow_distribution(changed, options);
        most_tokens = std::max(most_tokens, expected.size());

        constexpr auto kDraws = static_cast<std::uint32_t>(rafter::tests::rounds(20'000));
        SamplerScratch scratch;
        std::map<TokenId, double> seen;
        for (std::uint32_t position = 0; position < kDraws; ++position) seen[*sampler.sample(logits, position, scratch)] += 1.0;
        for (const auto& [token, n] : seen) ASSERT_TRUE(expected.count(token)) << token;
        double chi_square = 0.0;
        double rare_expected = 0.0;  // cells of less than ten are one
        double rare_seen = 0.0;
        int n_cells = 0;
        const auto add_cell = [&](double wanted, double found) {
            chi_square += (found - wanted) * (found - wanted) / wanted;
            ++n_cells;
        };
        for (const auto& [token, p] : expected) {
            if (p * kDraws >= 10.0) {
                add_cell(p * kDraws, seen[token]);
            } else {
                rare_expected += p * kDraws;
                rare_seen += seen[token];
            }
        }
        if (rare_expected >= 1.0) add_cell(rare_expected, rare_seen);
        if (n_cells > 1) {
            EXPECT_LT(chi_square, chi_square_limit(n_cells - 1)) << "round " << round << ", " << n_cells << " cells";
        }
    }
    EXPECT_GT(most_tokens, 10U);
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
    EXPECT_EQ(scratch.logits, (std::vector<float>{-91, 5, 11, 2}));
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
