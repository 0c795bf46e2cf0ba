// The sampler on every instruction set against plain double arithmetic: the same token, whatever the logits and options.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/sampling.h"
#include "engine/sampling/cut.h"
#include "engine/sampling/sampler.h"
#include "tests/engine/sampling/plain_sampler.h"
#include "tests/isa_under_test.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;
using backend::cpu::Isa;

std::vector<Isa> isas() { return rafter::tests::isas_under_test(backend::cpu::available_isas()); }

// Logits of many shapes: from flat to certain, with and without ties, in order and not, with values that no token has.
std::vector<float> any_logits(std::mt19937& random, std::size_t n) {
    const auto pick = [&](unsigned k) { return random() % k; };
    std::vector<float> logits(n);
    const float spread = std::exp2(static_cast<float>(pick(12)) - 5.0F);
    const float offset = pick(3) == 0 ? std::ldexp(static_cast<float>(pick(3)) - 1.0F, static_cast<int>(pick(24))) : 0.0F;
    std::normal_distribution<float> normal(offset, spread);
    for (float& logit : logits) logit = normal(random);
    switch (pick(12)) {
        case 0:
            std::ranges::fill(logits, offset);
            break;
        case 1:  // ties
            for (float& logit : logits) logit = std::round(logit * 4.0F) / 4.0F;
            break;
        case 2:
            std::ranges::sort(logits);
            break;
        case 3:
            std::ranges::sort(logits, std::greater());
            break;
        case 4:  // nearly certain
            logits[pick(static_cast<unsigned>(n))] = offset + 20.0F * spread + 20.0F;
            break;
        case 5:  // two values
            for (float& logit : logits) logit = pick(2) ? offset : offset - spread;
            break;
        case 6:  // denormals
            for (float& logit : logits) logit = std::ldexp(static_cast<float>(pick(100)), -149) * (pick(2) ? 1.0F : -1.0F);
            break;
        case 7:  // neighbours
            for (float& logit : logits) logit = std::nextafter(1.5F, pick(2) ? 2.0F : 1.0F);
            break;
        case 8:
            for (float& logit : logits) logit *= std::ldexp(1.0F, static_cast<int>(pick(120)));
            break;
        default:
            break;
    }
    if (pick(4) == 0) {
        for (std::size_t i = pick(static_cast<unsigned>(n) + 1); i > 0; --i) {
            logits[pick(static_cast<unsigned>(n))] = pick(2) ? kNan : -kInfinity;
        }
    }
    if (pick(40) == 0) logits[pick(static_cast<unsigned>(n))] = kInfinity;
    return logits;
}

SamplingOptions any_options(std::mt19937& random, std::size_t n) {
    const auto pick = [&](unsigned k) { return random() % k; };
    const auto fraction = [&] { return std::uniform_real_distribution(0.0, 1.0)(random); };
    SamplingOptions options;
    options.temperature = pick(2) ? 0.5 + fraction() : std::pow(10.0, 12.0 * fraction() - 6.0);
    if (pick(50) == 0) options.temperature = 1e-300;
    if (pick(4) == 0) options.top_k = 1 + static_cast<std::uint32_t>(pick(static_cast<unsigned>(n) + 2));
    if (pick(2) == 0) options.top_p = fraction();
    if (pick(6) == 0) options.top_p = std::vector{0.0, 0.25, 0.5, 0.9, 0.95, 0.999999, 1.0 - 0x1p-53, 1e-12}[pick(8)];
    if (pick(3) == 0) options.min_p = fraction() * fraction();
    if (pick(6) == 0) options.min_p = std::vector{1.0, 0.5, 0.05, 1e-4, 1e-9, 1e-300}[pick(6)];
    if (pick(5) == 0) options.typical_p = fraction();
    return options;
}

std::string described(const SamplingOptions& o, std::size_t n) {
    return fmt::format("n {}, temperature {}, top-k {}, top-p {}, min-p {}, typical-p {}", n, o.temperature, o.top_k, o.top_p, o.min_p,
                       o.typical_p);
}

TEST(SamplingKernels, ChooseTheTokensThatPlainArithmeticChooses) {
    for (const Isa isa : isas()) {
        std::mt19937 random(21);
        SamplerScratch scratch(backend::cpu::sampling_kernels(isa));
        for (int round = 0; round < rafter::tests::rounds(150'000); ++round) {
            const std::size_t n = 1 + random() % (round % 50 == 0 ? 3000U : 80U);
            const std::vector<float> logits = any_logits(random, n);
            const SamplingOptions options = any_options(random, n);
            const TokenNoise noise((std::uint64_t{random()} << 32) | random(), static_cast<std::uint32_t>(random()));
            const auto expected = plain::draw(logits, options, noise);
            ASSERT_EQ(draw(logits, options, noise, scratch), expected)
                << to_string(isa) << ", round " << round << ": " << described(options, n);
            ASSERT_EQ(argmax(logits, scratch.kernels()), plain::argmax(logits)) << to_string(isa) << ", round " << round;
        }
    }
}

TEST(SamplingKernels, ChooseTheTokensOfALargeVocabularyThatPlainArithmeticChooses) {
    constexpr std::size_t kVocab = 151'936;
    std::mt19937 random(22);
    for (int round = 0; round < rafter::tests::rounds(60); ++round) {
        const std::size_t n = kVocab - random() % 40;
        const std::vector<float> logits = any_logits(random, n);
        SamplingOptions options = any_options(random, n);
        if (round % 3 == 0) options = {.temperature = 0.8, .top_p = 0.95};
        const TokenNoise noise(random(), static_cast<std::uint32_t>(random()));
        const auto expected = plain::draw(logits, options, noise);
        for (const Isa isa : isas()) {
            SamplerScratch scratch(backend::cpu::sampling_kernels(isa));
            ASSERT_EQ(draw(logits, options, noise, scratch), expected)
                << to_string(isa) << ", round " << round << ": " << described(options, n);
        }
    }
}

// Many tokens of much the same weight, ties among them: where the race is run before the cut, and where its winner is cut off.
TEST(SamplingKernels, ARaceBeforeTheCutChoosesTheTokenThatOneAfterItChooses) {
    std::mt19937 random(25);
    int n_early = 0, n_late = 0;
    for (int round = 0; round < rafter::tests::rounds(4000); ++round) {
        std::normal_distribution<float> normal(0.0F, std::array{0.0F, 0.05F, 0.3F, 1.0F, 3.0F}[random() % 5]);
        std::vector<float> logits(1025 + random() % 5000);
        for (float& logit : logits) logit = round % 3 == 0 ? std::round(normal(random) * 16.0F) / 16.0F : normal(random);
        SamplingOptions options{.temperature = std::array{0.3, 0.8, 1.0, 2.0}[random() % 4],
                                .top_p = std::array{0.01, 0.3, 0.5, 0.9, 0.95, 0.999}[random() % 6]};
        if (random() % 4 == 0) options.min_p = std::array{1e-6, 0.01, 0.3}[random() % 3];
        const TokenNoise noise(random(), static_cast<std::uint32_t>(random()));
        const auto expected = plain::draw(logits, options, noise);
        for (const Isa isa : isas()) {
            SamplerScratch scratch(backend::cpu::sampling_kernels(isa));
            ASSERT_EQ(draw(logits, options, noise, scratch), expected)
                << to_string(isa) << ", round " << round << ": " << described(options, logits.size());
            const TokenId best = *argmax(logits, scratch.kernels());
            EarlyRace early{.noise = noise, .likeliest = best};
            (void)keep_likely(logits, options, {logits[static_cast<std::size_t>(best)], options.temperature}, scratch.kernels(),
                              scratch.rows(logits.size()).list, scratch.candidates, &early);
            if (early.winner) EXPECT_EQ(early.winner, expected);
            (early.winner ? n_early : n_late) += 1;
        }
    }
    EXPECT_GT(n_early, rafter::tests::rounds(1000));
    EXPECT_GT(n_late, rafter::tests::rounds(1000));
}

// A sampler that went the exact way each time would choose the right tokens, too, slowly.
TEST(SamplingKernels, DecideTopPAndMinPWithoutTheExactSumsForOrdinaryLogits) {
    std::mt19937 random(23);
    for (const Isa isa : isas()) {
        SamplerScratch scratch(backend::cpu::sampling_kernels(isa));
        int n_decided = 0;
        for (int round = 0; round < 200; ++round) {
            const std::vector<float> logits = random_logits(random, 20'000);
            SamplingOptions options{.temperature = 0.5 + 0.01 * (random() % 100), .top_p = 0.9 + 0.001 * (random() % 101)};
            if (round % 2 == 0) options.min_p = 0.02;
            const Weight weight{*std::ranges::max_element(logits), options.temperature};
            n_decided +=
                keep_likely(logits, options, weight, scratch.kernels(), scratch.rows(logits.size()).list, scratch.candidates, nullptr) ? 1
                                                                                                                                       : 0;
        }
        EXPECT_GE(n_decided, 198) << to_string(isa);
    }
}

TEST(SamplingKernels, WeighWithinTheStatedBoundAndListAllTokensAboveALogit) {
    std::mt19937 random(24);
    for (const Isa isa : isas()) {
        const backend::SamplingKernels& kernels = backend::cpu::sampling_kernels(isa);
        SamplerScratch scratch(kernels);
        for (int round = 0; round < rafter::tests::rounds(2000); ++round) {
            std::vector<float> logits = any_logits(random, 1 + random() % 300);
            std::ranges::replace(logits, kInfinity, 0.0F);
            const auto best = plain::argmax(logits);
            if (!best) continue;
            const Weight weight{logits[static_cast<std::size_t>(*best)], std::pow(10.0, static_cast<double>(random() % 13) - 6.0)};
            const float above = logits[random() % logits.size()];
            if (std::isnan(above)) continue;
            TokenList& list = scratch.rows(logits.size()).list;
            list.n = 0;
            const double total = kernels.weigh(logits.data(), logits.size(), weight.max, weight.temperature, above, list);
            long double expected = 0.0L;
            std::size_t n = 0;
            double listed = 0.0;
            for (std::size_t i = 0; i < logits.size(); ++i) {
                const double w = weight(logits[i]);
                expected += w;
                if (!(logits[i] > above)) continue;
                ASSERT_LT(n, list.n);
                ASSERT_EQ(list.tokens[n], static_cast<TokenId>(i));
                ASSERT_EQ(list.logits[n], logits[i]);
                ASSERT_NEAR(list.weights[n], w, w * 1e-10 + 1e-300);
                listed += list.weights[n++];
            }
            ASSERT_EQ(list.n, n);
            ASSERT_NEAR(total, static_cast<double>(expected),
                        static_cast<double>(expected) * (1e-10 + static_cast<double>(logits.size()) * 0x1p-53));
            const backend::Share share = kernels.share_above(list, above);
            ASSERT_EQ(share.n, n);
            ASSERT_NEAR(share.weight, listed, listed * 1e-12);
        }
    }
}

TEST(SamplingKernels, SumTheDivergenceOfTwoRowsAsLongDoublesDo) {
    std::mt19937 random(26);
    for (const Isa isa : isas()) {
        const backend::SamplingKernels& kernels = backend::cpu::sampling_kernels(isa);
        for (int round = 0; round < rafter::tests::rounds(1000); ++round) {
            const std::size_t n = 1 + random() % 300;
            std::normal_distribution<float> normal(0.0F, std::exp2(static_cast<float>(random() % 10) - 4.0F));
            std::vector<float> p(n);
            std::vector<float> q(n);
            for (std::size_t i = 0; i < n; ++i) {
                p[i] = normal(random);
                q[i] = random() % 4 == 0 ? p[i] : p[i] + normal(random) / 8;
            }
            if (round % 3 == 0) p[random() % n] = -kInfinity;  // no token of the reference: adds nothing, whatever the other says
            if (round % 6 == 0) q[static_cast<std::size_t>(std::ranges::min_element(p) - p.begin())] = -kInfinity;
            const float p_max = *std::ranges::max_element(p);
            const float q_max = *std::ranges::max_element(q);
            if (!std::isfinite(p_max) || !std::isfinite(q_max)) continue;
            long double p_sum = 0.0L;
            long double q_sum = 0.0L;
            long double weighted = 0.0L;
            long double magnitude = 0.0L;
            for (std::size_t i = 0; i < n; ++i) {
                const long double a = static_cast<long double>(p[i]) - p_max;
                const long double b = static_cast<long double>(q[i]) - q_max;
                p_sum += std::exp(a);
                q_sum += std::exp(b);
                if (p[i] == -kInfinity) continue;
                weighted += std::exp(a) * (a - b);
                magnitude += std::exp(a) * std::abs(a - b);
            }
            const backend::DivergenceSums sums = kernels.divergence(p.data(), p_max, q.data(), q_max, n);
            ASSERT_NEAR(sums.reference, static_cast<double>(p_sum), static_cast<double>(p_sum) * 1e-11) << to_string(isa);
            ASSERT_NEAR(sums.row, static_cast<double>(q_sum), static_cast<double>(q_sum) * 1e-11) << to_string(isa);
            // Where a token of the reference has no logit in the other row, the sum is infinite.
            if (std::isinf(static_cast<double>(weighted))) {
                ASSERT_FALSE(std::isfinite(sums.weighted)) << to_string(isa);
            } else {
                ASSERT_NEAR(sums.weighted, static_cast<double>(weighted), static_cast<double>(magnitude) * 1e-11 + 1e-300);
            }
        }
    }
}

struct Entered {
    std::vector<std::pair<std::size_t, std::uint32_t>> tokens;
    double best_time = 0.0;
};

TEST(SamplingKernels, HandOnEveryTokenThatMayWinWithTheNoiseThatItHas) {
    std::mt19937 random(25);
    for (const Isa isa : isas()) {
        for (int round = 0; round < rafter::tests::rounds(2000); ++round) {
            const std::size_t n = 1 + random() % 200;
            std::vector<float> logits = random_logits(random, n);
            std::vector<TokenId> tokens(n);
            TokenId next = 0;
            for (TokenId& token : tokens) token = next += 1 + static_cast<TokenId>(random() % 9);
            const bool list = round % 2 == 0;
            const TokenNoise noise(random(), static_cast<std::uint32_t>(random()));
            Entered entered{.tokens = {}, .best_time = std::ldexp(1.0, -static_cast<int>(random() % 8))};
            const Weight weight{*std::ranges::max_element(logits), 0.7};
            backend::RaceRow row{
                .logits = logits.data(), .tokens = list ? tokens.data() : nullptr, .n = n, .above = -2.0F, .max = weight.max};
            row.temperature = weight.temperature;
            row.key[0] = noise.key()[0];
            row.key[1] = noise.key()[1];
            row.position = noise.position();
            row.best_time = entered.best_time;
            row.race = &entered;
            row.enter = [](void* race, std::size_t index, std::uint32_t upper) {
                static_cast<Entered*>(race)->tokens.emplace_back(index, upper);
                return static_cast<Entered*>(race)->best_time;
            };
            backend::cpu::sampling_kernels(isa).race(row);
            std::size_t n_seen = 0;
            for (std::size_t i = 0; i < n; ++i) {
                const auto token = static_cast<std::uint32_t>(list ? tokens[i] : static_cast<TokenId>(i));
                const bool handed = n_seen < entered.tokens.size() && entered.tokens[n_seen].first == i;
                const bool may_win = logits[i] > -2.0F && noise.exponential(token) / weight(logits[i]) <= entered.best_time;
                ASSERT_TRUE(handed || !may_win) << to_string(isa) << ", round " << round << ", token " << token;
                if (!handed) continue;
                ASSERT_GT(logits[i], -2.0F);
                ASSERT_EQ(entered.tokens[n_seen++].second, noise.upper(token / 4)[token % 4]);
            }
            ASSERT_EQ(n_seen, entered.tokens.size());
        }
    }
}

}  // namespace
}  // namespace rafter::engine
