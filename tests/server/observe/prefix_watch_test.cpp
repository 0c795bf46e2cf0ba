// Prompts that miss the cache for a reason that can be helped, and those that do not.
#include "server/observe/prefix_watch.h"

#include <gtest/gtest.h>

#include <random>

namespace rafter::server {
namespace {

using Tokens = std::vector<text::TokenId>;

Tokens random_tokens(std::mt19937& random, std::size_t n) {
    Tokens tokens(n);
    for (auto& token : tokens) token = static_cast<text::TokenId>(random() % 30'000);
    return tokens;
}
Tokens joined(std::initializer_list<Tokens> parts) {
    Tokens all;
    for (const Tokens& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

TEST(PrefixWatch, ReportsALineEarlyInThePromptThatChangesWithEachRequest) {
    std::mt19937 random(1);
    const Tokens start = random_tokens(random, 20), system = random_tokens(random, 1000);
    PrefixWatch watch;
    for (int i = 0; i < 10; ++i) {
        // The line's length changes too.
        const Tokens line = random_tokens(random, 5 + static_cast<std::size_t>(i % 3));
        watch.arrived("", {.tokens = joined({start, line, system, random_tokens(random, 50)})}, 100.0 + i);
    }
    const PrefixFindings found = watch.last_minute(110.0);
    EXPECT_EQ(found.n_prompts, 10U);
    EXPECT_EQ(found.n_changed_early, 9U);  // the first has none before it
    EXPECT_EQ(found.changed_at, 20U);
    EXPECT_NEAR(static_cast<double>(found.n_changed_tokens), 9.0 * 1000.0, 9.0 * 150.0);
    EXPECT_EQ(found.n_other_salt, 0U);
}

// As coding agents write a header of theirs, the date or a folder into their system prompt.
TEST(PrefixWatch, ReportsALineOfTheSystemPromptByItself) {
    for (const std::size_t n_before : {15U, 700U}) {  // the second one is not early in the prompt
        std::mt19937 random(5);
        const Tokens start = random_tokens(random, n_before), rest = random_tokens(random, 1000 - n_before);
        PrefixWatch watch;
        for (int i = 0; i < 6; ++i) {
            const Tokens system = joined({start, random_tokens(random, 6), rest});
            const auto n_system = static_cast<std::uint32_t>(system.size());
            Tokens conversation = joined({system, random_tokens(random, 40)});
            for (int turn = 0; turn < 3; ++turn) {  // each conversation goes on, and has its own line from the cache
                watch.arrived("", {.tokens = conversation, .n_system = n_system}, 100.0 + i);
                conversation = joined({conversation, random_tokens(random, 50)});
            }
        }
        const PrefixFindings found = watch.last_minute(110.0);
        EXPECT_EQ(found.n_prompts, 18U);
        EXPECT_EQ(found.n_changed_system, 5U) << n_before;
        EXPECT_EQ(found.changed_system_at, n_before);
        EXPECT_NEAR(static_cast<double>(found.n_changed_system_tokens), 5.0 * static_cast<double>(rest.size()), 5.0 * 80.0);
        EXPECT_EQ(watch.n_changed_system_tokens(), found.n_changed_system_tokens);
        EXPECT_EQ(found.n_changed_early, 0U);
        EXPECT_EQ(watch.last_minute(200.0).n_changed_system, 0U);
    }
}

TEST(PrefixWatch, TakesSystemPromptsThatOnlyBeginAlikeForDifferentOnes) {
    std::mt19937 random(6);
    const Tokens start = random_tokens(random, 300);
    PrefixWatch watch;
    for (int i = 0; i < 10; ++i) {
        const Tokens system = joined({start, random_tokens(random, 200)});
        watch.arrived("", {.tokens = joined({system, random_tokens(random, 40)}), .n_system = 500}, 100.0);
    }
    EXPECT_EQ(watch.last_minute(100.0).n_changed_system, 0U);
    EXPECT_EQ(watch.n_changed_system_tokens(), 0U);
}

TEST(PrefixWatch, SaysNothingOfPromptsThatShareTheirBeginningOrNothingAtAll) {
    std::mt19937 random(2);
    const Tokens system = random_tokens(random, 500);
    PrefixWatch watch;
    Tokens conversation = system;
    for (int i = 0; i < 20; ++i) {
        conversation = joined({conversation, random_tokens(random, 40)});  // a conversation that goes on
        watch.arrived("", {.tokens = conversation}, 100.0);
        watch.arrived("", {.tokens = joined({system, random_tokens(random, 400)})}, 100.0);  // the same system prompt, other questions
        watch.arrived("", {.tokens = random_tokens(random, 700)}, 100.0);                    // something new
        watch.arrived("", {.tokens = random_tokens(random, 10)}, 100.0);                     // too short to matter
        watch.arrived("", {}, 100.0);
    }
    const PrefixFindings found = watch.last_minute(100.0);
    EXPECT_EQ(found.n_prompts, 100U);
    EXPECT_EQ(found.n_changed_early, 0U);
    EXPECT_EQ(found.n_changed_tokens, 0U);
    EXPECT_EQ(found.n_other_salt, 0U);
}

TEST(PrefixWatch, ReportsBeginningsThatOnlyAnotherSaltHas) {
    std::mt19937 random(3);
    const Tokens system = random_tokens(random, 300);
    PrefixWatch watch;
    watch.arrived("a", {.tokens = joined({system, random_tokens(random, 20)})}, 100.0);
    watch.arrived("b", {.tokens = joined({system, random_tokens(random, 20)})}, 100.0);  // only a has it
    watch.arrived("b", {.tokens = joined({system, random_tokens(random, 20)})}, 100.0);  // b has it too
    const PrefixFindings found = watch.last_minute(100.0);
    EXPECT_EQ(found.n_other_salt, 1U);
    EXPECT_EQ(found.n_other_salt_tokens, 300U);
    EXPECT_EQ(found.n_changed_early, 0U);
}

TEST(PrefixWatch, IsOfTheLastMinuteAndOfBoundedSize) {
    std::mt19937 random(4);
    PrefixWatch watch;
    const Tokens system = random_tokens(random, 10'000);  // longer than what is looked at
    for (int i = 0; i < 3000; ++i) watch.arrived("", {.tokens = joined({random_tokens(random, 3), system})}, 100.0);
    EXPECT_LE(watch.last_minute(100.0).n_prompts, 2048U);
    EXPECT_GT(watch.last_minute(100.0).n_changed_early, 2000U);
    EXPECT_EQ(watch.last_minute(200.0).n_prompts, 0U);
    watch.arrived("", {.tokens = system}, 200.0);
    EXPECT_EQ(watch.last_minute(200.0).n_prompts, 1U);
}

}  // namespace
}  // namespace rafter::server
