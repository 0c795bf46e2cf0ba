// The mask of one sequence, token by token, and a mask that is decided later.
#include "engine/sampling/mask.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <thread>

#include "engine/waker.h"
#include "tests/engine/sampling/automaton_mask.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using tests::AutomatonMask;

constexpr TokenId kEndOfText = 70;
constexpr std::size_t kVocab = 80;

// "1 2 (3 2)* 40": complete after 40, and after 2.
std::shared_ptr<AutomatonMask> small_language(std::size_t n_vocab = kVocab) {
    using Edges = AutomatonMask::Edges;
    return std::make_shared<AutomatonMask>(std::vector<Edges>{{{1, 1}}, {{2, 2}}, {{3, 1}, {40, 3}}, {}}, std::set<std::size_t>{2, 3},
                                           n_vocab);
}

std::vector<TokenId> allowed_by(const MaskStage& stage, std::size_t n_vocab = kVocab) {
    std::vector<float> logits(n_vocab, 1.0F);
    std::vector<std::uint32_t> words;
    stage.apply(logits, words);
    std::vector<TokenId> allowed;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if (logits[i] == 1.0F) {
            allowed.push_back(static_cast<TokenId>(i));
        } else {
            EXPECT_EQ(logits[i], -INFINITY);
        }
    }
    return allowed;
}

TEST(MaskStage, AllowsWhatMayComeAndEndTokensWhereTheAnswerIsComplete) {
    MaskStage stage(small_language(), {kEndOfText, 5000});
    EXPECT_EQ(allowed_by(stage), (std::vector<TokenId>{1}));
    stage.accept(1);
    EXPECT_EQ(allowed_by(stage), (std::vector<TokenId>{2}));
    stage.accept(2);
    EXPECT_EQ(allowed_by(stage), (std::vector<TokenId>{3, 40, kEndOfText}));
    stage.accept(40);
    EXPECT_EQ(allowed_by(stage), (std::vector<TokenId>{kEndOfText}));
    EXPECT_EQ(stage.failure(), nullptr);
    EXPECT_FALSE(stage.is_finished());
}

TEST(MaskStage, TokensThatTheMaskDoesNotKnowAreNeverAllowed) {
    // 33 tokens, the last of which shares a word with tokens that only the model has.
    using Edges = AutomatonMask::Edges;
    Edges all;
    for (TokenId token = 0; token < 64; ++token) all[token] = 0;
    const auto mask = std::make_shared<AutomatonMask>(std::vector<Edges>{all}, std::set<std::size_t>{0}, 33);
    EXPECT_EQ(allowed_by(MaskStage(mask, {})).size(), 33U);
    EXPECT_EQ(allowed_by(MaskStage(mask, {kEndOfText})).size(), 34U);
    EXPECT_EQ(allowed_by(MaskStage(mask, {}), 20).size(), 20U);  // a model with fewer
}

TEST(MaskStage, WithoutEndTokensTheyAreTokensAsOthers) {
    MaskStage stage(small_language(), {});
    stage.accept(1);
    stage.accept(2);
    EXPECT_EQ(allowed_by(stage), (std::vector<TokenId>{3, 40}));
}

TEST(MaskStage, WhatComesAfterAnEndTokenIsOnlyCounted) {
    MaskStage stage(small_language(), {kEndOfText});
    for (const TokenId token : {1, 2, kEndOfText, 55, 1}) stage.accept(token);
    EXPECT_EQ(allowed_by(stage).size(), kVocab);
    EXPECT_EQ(stage.failure(), nullptr);
    stage.rollback(3);
    EXPECT_EQ(allowed_by(stage), (std::vector<TokenId>{3, 40, kEndOfText}));
}

TEST(MaskStage, ATokenAgainstTheMaskIsAFailureUntilItIsTakenBack) {
    MaskStage stage(small_language(), {kEndOfText});
    for (const TokenId token : {1, 3, 2}) stage.accept(token);
    EXPECT_NE(stage.failure(), nullptr);
    EXPECT_FALSE(stage.is_finished());
    stage.rollback(2);
    EXPECT_EQ(stage.failure(), nullptr);
    EXPECT_EQ(allowed_by(stage), (std::vector<TokenId>{2}));
}

TEST(MaskStage, KnowsHowManyDraftTokensMayCome) {
    MaskStage stage(small_language(), {kEndOfText});
    const auto n = [&](std::vector<TokenId> tokens) { return stage.n_acceptable(tokens); };
    EXPECT_EQ(n({}), 0U);
    EXPECT_EQ(n({2}), 0U);
    EXPECT_EQ(n({1, 2, 3, 2, 3, 3}), 5U);
    EXPECT_EQ(n({1, kEndOfText}), 1U);
    EXPECT_EQ(n({1, 2, kEndOfText, 4}), 3U);
    EXPECT_EQ(allowed_by(stage), (std::vector<TokenId>{1}));
}

TEST(MaskStage, WhatItLookedAheadAtIsWhatItWouldHaveComputed) {
    std::mt19937 random(5);
    const auto mask = small_language();
    int n_taken = 0;
    for (int round = 0; round < rafter::tests::rounds(300); ++round) {
        MaskStage ahead(mask, {kEndOfText}), plain(mask, {kEndOfText});
        std::size_t n_tokens = 0;
        for (int i = 0; i < 30; ++i) {
            if (random() % 3 == 0) {
                std::vector<TokenId> drafts;
                for (std::size_t n = random() % 5; n > 0; --n)
                    drafts.push_back(std::vector<TokenId>{1, 2, 2, 3, 40, kEndOfText, 50}[random() % 7]);
                ahead.look_ahead(drafts, random() % 8 == 0 ? kVocab - 1 : kVocab);
            }
            if (const std::size_t n_back = random() % 12; n_back <= std::min<std::size_t>(n_tokens, 3)) {
                ahead.rollback(n_back);
                plain.rollback(n_back);
                n_tokens -= n_back;
            }
            const int n_before = mask->n_fills;
            const std::vector<TokenId> allowed = allowed_by(ahead);
            n_taken += mask->n_fills == n_before;
            ASSERT_EQ(allowed, allowed_by(plain));
            const TokenId next = allowed.empty() || random() % 10 == 0 ? 50 : allowed[random() % allowed.size()];
            ahead.accept(next);
            plain.accept(next);
            ++n_tokens;
            ASSERT_EQ(ahead.failure(), plain.failure());
        }
    }
    EXPECT_GT(n_taken, rafter::tests::rounds(300));
}

TEST(MaskStage, IsFinishedWhereItsMatcherKnows) {
    const auto mask = small_language();
    mask->tells_when_finished = true;
    MaskStage stage(mask, {});
    for (const TokenId token : {1, 2}) stage.accept(token);
    EXPECT_FALSE(stage.is_finished());
    stage.accept(40);
    EXPECT_TRUE(stage.is_finished());
    stage.rollback(1);
    EXPECT_FALSE(stage.is_finished());
}

TEST(MaskStage, AMatcherThatThrowsOverDraftsIsAFailure) {
    const auto mask = small_language();
    mask->throw_after = 1;
    MaskStage stage(mask, {});
    EXPECT_EQ(stage.n_acceptable(std::vector<TokenId>{1, 2}), 0U);
    EXPECT_NE(stage.failure(), nullptr);
}

TEST(MaskStage, ARollbackForgetsWhatWasTakenBack) {
    std::mt19937 random(2);
    const auto mask = small_language();
    for (int round = 0; round < rafter::tests::rounds(300); ++round) {
        MaskStage moved(mask, {kEndOfText});
        std::vector<TokenId> answer;
        for (int i = 0; i < 30; ++i) {
            const std::vector<TokenId> allowed = allowed_by(moved);
            if (allowed.empty() || random() % 3 == 0) {
                const std::size_t n = random() % (answer.size() + 1);
                moved.rollback(n);
                answer.resize(answer.size() - n);
            } else {
                answer.push_back(random() % 8 == 0 ? 50 : allowed[random() % allowed.size()]);
                moved.accept(answer.back());
            }
            MaskStage straight(mask, {kEndOfText});
            for (const TokenId token : answer) straight.accept(token);
            ASSERT_EQ(allowed_by(moved), allowed_by(straight));
            ASSERT_EQ(moved.failure(), straight.failure());
        }
    }
}

TEST(PendingMask, IsDecidedOnce) {
    PendingMask ready;
    EXPECT_FALSE(ready.decided());
    const auto mask = small_language();
    ready.set_ready(mask);
    ready.set_failed(bad_input("too late"));
    ASSERT_TRUE(ready.decided());
    EXPECT_EQ(ready.mask().value(), mask);
    PendingMask failed;
    failed.set_failed(bad_input("line 3: expected ::="));
    failed.set_ready(mask);
    ASSERT_FALSE(failed.mask().has_value());
    EXPECT_EQ(failed.mask().error().message, "line 3: expected ::=");
    EXPECT_TRUE(PendingMask(mask).decided());
}

TEST(PendingMask, WakesWhoeverSleepsAndOutlivesThem) {
    PendingMask pending;
    const auto first = std::make_shared<Waker>();
    const auto second = std::make_shared<Waker>();
    auto gone = std::make_shared<Waker>();
    for (const auto& waker : {first, second, gone, first}) pending.wake_when_decided(waker);
    gone.reset();
    std::thread compiler([&] { pending.set_ready(small_language()); });
    first->sleep({});
    second->sleep({});
    compiler.join();
    // Decided already: whoever asks is awake at once.
    const auto late = std::make_shared<Waker>();
    pending.wake_when_decided(late);
    late->sleep({});
}

TEST(Waker, SleepsNoLongerThanItIsTold) {
    Waker waker;
    for (const double seconds : {0.0, -1e300, 0.01}) waker.sleep(seconds);
    waker.wake();
    waker.sleep(1e300);
}

}  // namespace
}  // namespace rafter::engine
