// The block cache against a memory that knows what belongs where: every row of every block remembers which prefix it was computed for, and
// whatever a sequence is given must hold exactly what it would have computed itself.
#include "kv/block_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

#include "tests/kv/failing_memory.h"
#include "tests/support/rounds.h"

namespace rafter::kv {
namespace {

struct Row {
    std::string salt;
    std::vector<Token> prefix;  // up to and with the row's own token
    bool operator==(const Row&) const = default;
};

struct Running {
    std::string salt;
    std::vector<Token> tokens;
    std::uint32_t n_computed = 0;
    SequenceBlocks blocks;
    BlockHashes hashes;

    PrefixKey key(std::uint32_t block_size) { return hashes.key(tokens, salt, block_size); }
};

class World {
  public:
    explicit World(BlockCacheOptions options) : cache(options), options_(std::move(options)) {
        for (const std::uint32_t n : options_.n_blocks) memory_.emplace_back(std::size_t{n} * options_.block_size);
    }

    Running& start(std::vector<Token> tokens, std::string salt, std::uint32_t n_wanted) {
        running.push_back(std::make_unique<Running>(Running{.salt = std::move(salt), .tokens = std::move(tokens)}));
        Running& sequence = *running.back();
        const PrefixKey wanted = sequence.key(options_.block_size).first(n_wanted);
        const std::uint32_t promised = cache.find(wanted);
        const Prefix prefix = cache.attach(sequence.blocks, wanted, copies_);
        EXPECT_LE(prefix.n_tokens, promised);
        EXPECT_EQ(prefix.end == PrefixEnd::kComplete, prefix.n_tokens == n_wanted);
        if (promised != prefix.n_tokens) ++n_tails_without_room;
        sequence.n_computed = prefix.n_tokens;
        n_found += prefix.n_tokens;
        return sequence;
    }

    // Computes n_new tokens and n_drafts more that are then rolled back. False when there is no room.
    bool compute(Running& sequence, std::uint32_t n_new, std::uint32_t n_drafts) {
        const std::uint32_t until = sequence.n_computed + n_new;
        if (!cache.grow(sequence.blocks, until + n_drafts)) return false;
        copy();
        for (std::uint32_t position = sequence.n_computed; position < until + n_drafts; ++position) {
            Row row{sequence.salt, {sequence.tokens.begin(), sequence.tokens.begin() + std::min(position + 1, until)}};
            if (position >= until) row.prefix.assign(position + 1, -1);
            for (std::size_t group = 0; group < memory_.size(); ++group) at(sequence, group, position) = row;
        }
        for (std::uint32_t position = sequence.n_computed; position < until; ++position) look(sequence, position);
        sequence.n_computed = until;
        cache.publish(sequence.blocks, sequence.key(options_.block_size), until);
        cache.truncate(sequence.blocks, until);
        return true;
    }

    void release(std::size_t i) {
        Running& sequence = *running[i];
        cache.release(sequence.blocks, sequence.key(options_.block_size), sequence.n_computed);
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }

    [[nodiscard]] std::uint32_t find(const std::vector<Token>& tokens, std::string_view salt) const {
        return cache.find(BlockHashes().key(tokens, salt, options_.block_size));
    }
    [[nodiscard]] std::uint32_t n_in_use(const std::vector<Token>& tokens, std::string_view salt) const {
        return cache.n_in_use(BlockHashes().key(tokens, salt, options_.block_size));
    }

    void check() const {
        std::vector<const SequenceBlocks*> held;
        for (const auto& sequence : running) held.push_back(&sequence->blocks);
        cache.check(held);
        for (const auto& sequence : running) {
            // Waste: in the last block only.
            EXPECT_LE(sequence->blocks.n_blocks(), cache.blocks_for(sequence->n_computed));
        }
    }

    BlockCache cache;
    std::vector<std::unique_ptr<Running>> running;
    std::uint64_t n_found = 0;
    std::uint64_t n_tails_without_room = 0;

  private:
    Row& at(const Running& sequence, std::size_t group, std::uint32_t position) {
        return memory_[group].at(std::size_t{sequence.blocks.tables()[group].at(position / options_.block_size)} * options_.block_size +
                                 position % options_.block_size);
    }
    // The token at this position finds its own past.
    void look(const Running& sequence, std::uint32_t position) {
        for (std::size_t group = 0; group < memory_.size(); ++group) {
            const std::uint32_t window = options_.windows[group];
            const std::uint32_t first = window == 0 || position < window ? 0 : position + 1 - window;
            for (std::uint32_t seen = first; seen <= position; ++seen) {
                const Row& row = at(sequence, group, seen);
                ASSERT_EQ(row.salt, sequence.salt);
                ASSERT_TRUE(std::ranges::equal(row.prefix, std::span(sequence.tokens).first(seen + 1)))
                    << "group " << group << ", position " << seen;
            }
        }
    }
    void copy() {
        for (const BlockCopy& copy : copies_) {
            for (std::uint32_t i = 0; i < options_.block_size; ++i) {
                memory_[copy.group][copy.to * options_.block_size + i] = memory_[copy.group][copy.from * options_.block_size + i];
            }
        }
        copies_.clear();
    }

    BlockCacheOptions options_;
    std::vector<std::vector<Row>> memory_;  // [n_groups][n_blocks * block_size]
    std::vector<BlockCopy> copies_;
};

std::vector<Token> letters(std::string_view text) { return {text.begin(), text.end()}; }

TEST(BlockCache, AnEqualBeginningIsNotComputedAgain) {
    World world({.block_size = 4, .n_blocks = {16}, .windows = {0}});
    Running& first = world.start(letters("the cat sat on it"), "", 16);
    EXPECT_EQ(first.n_computed, 0U);
    ASSERT_TRUE(world.compute(first, 17, 0));
    Running& second = world.start(letters("the cat sings now"), "", 16);
    EXPECT_EQ(second.n_computed, 9U);  // two blocks, and "s" of the third as a copy
    EXPECT_EQ(world.cache.counters().blocks_copied, 1U);
    ASSERT_TRUE(world.compute(second, 8, 0));
    world.check();
    Running& stranger = world.start(letters("the cat sat on it"), "other", 16);
    EXPECT_EQ(stranger.n_computed, 0U);
    world.release(0);
    Running& again = world.start(letters("the cat sat on it!"), "", 18);
    EXPECT_EQ(again.n_computed, 17U);  // an ended sequence's last block too
    ASSERT_TRUE(world.compute(again, 1, 0));
    world.check();
}

TEST(BlockCache, BlocksComputedTwiceBecomeOne) {
    World world({.block_size = 4, .n_blocks = {16}, .windows = {0}});
    Running& a = world.start(letters("abcdefgh"), "", 7);
    Running& b = world.start(letters("abcdefgh"), "", 7);
    ASSERT_TRUE(world.compute(a, 8, 0));
    ASSERT_TRUE(world.compute(b, 8, 0));
    EXPECT_EQ(world.cache.counters().blocks_merged, 2U);
    EXPECT_EQ(world.cache.pools()[0].n_used(), 2U);
    world.check();
}

TEST(BlockCache, WhatIsCheapToComputeAgainGoesFirst) {
    World world(
        {.block_size = 4, .n_blocks = {6}, .windows = {0}, .recompute_seconds = [](std::uint32_t position) { return 1.0 + position; }});
    for (const char* text : {"aaaabbbb", "ccccdddd", "eeeeffff"}) {
        ASSERT_TRUE(world.compute(world.start(letters(text), "", 8), 8, 0));
        world.release(0);
    }
    // The deeper block is worth more; but a parent cannot go before its child, so the oldest chain loses its leaf.
    ASSERT_TRUE(world.compute(world.start(letters("gggg"), "", 4), 4, 0));
    EXPECT_EQ(world.find(letters("aaaabbbb"), ""), 4U);
    EXPECT_EQ(world.find(letters("ccccdddd"), ""), 8U);
    ASSERT_TRUE(world.compute(world.start(letters("hhhh"), "", 4), 4, 0));
    EXPECT_EQ(world.find(letters("aaaabbbb"), ""), 0U);  // then its root, which is the cheapest
    EXPECT_EQ(world.find(letters("eeeeffff"), ""), 8U);
    const Running& back = world.start(letters("aaaabbbb"), "", 8);
    EXPECT_EQ(back.n_computed, 0U);
    EXPECT_EQ(world.cache.counters().missed_evicted, 8U);
    EXPECT_EQ(world.cache.counters().blocks_evicted, 2U);
    world.check();
}

TEST(BlockCache, CountsTheBlocksOfAPrefixThatARunningSequenceHolds) {
    World world({.block_size = 4, .n_blocks = {16}, .windows = {0}, .recompute_seconds = {}});
    ASSERT_TRUE(world.compute(world.start(letters("aaaabbbbccccd"), "", 13), 13, 0));
    EXPECT_EQ(world.n_in_use(letters("aaaabbbbccccd"), ""), 3U);
    EXPECT_EQ(world.n_in_use(letters("aaaabbbbcc"), ""), 2U);
    EXPECT_EQ(world.n_in_use(letters("aaaabbbbcc"), "tenant"), 0U);
    world.release(0);
    EXPECT_EQ(world.n_in_use(letters("aaaabbbbccccd"), ""), 0U);
    EXPECT_EQ(world.find(letters("aaaabbbbccccd"), ""), 13U);
    world.start(letters("aaaabbbbx"), "", 9);
    EXPECT_EQ(world.n_in_use(letters("aaaabbbbccccd"), ""), 2U);
}

TEST(BlockCache, AWindowGivesBackWhatNobodySeesAgain) {
    World world({.block_size = 4, .n_blocks = {64, 8}, .windows = {0, 8}});
    Running& sequence = world.start(std::vector<Token>(200, 7), "", 199);
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(world.compute(sequence, 4, 0));
    EXPECT_EQ(sequence.blocks.n_blocks(), 50U);
    EXPECT_EQ(sequence.blocks.first_held(1), 48U);
    world.check();
}

TEST(BlockCache, WithoutSharingNothingIsKept) {
    World world({.block_size = 4, .n_blocks = {8}, .windows = {0}, .share = false});
    ASSERT_TRUE(world.compute(world.start(letters("abcdefgh"), "", 7), 8, 0));
    EXPECT_EQ(world.start(letters("abcdefgh"), "", 7).n_computed, 0U);
    world.release(0);
    world.release(0);
    EXPECT_EQ(world.cache.pools()[0].n_used(), 0U);
}

TEST(BlockCache, GrowingIsAllOrNothing) {
    World world({.block_size = 4, .n_blocks = {8, 4}, .windows = {0, 100}});
    Running& sequence = world.start(std::vector<Token>(40, 1), "", 39);
    EXPECT_FALSE(world.cache.grow(sequence.blocks, 20));
    EXPECT_EQ(sequence.blocks.n_blocks(), 0U);
    EXPECT_TRUE(world.cache.grow(sequence.blocks, 16));
    EXPECT_EQ(world.cache.n_available(), 0U);
    world.cache.truncate(sequence.blocks, 0);
    EXPECT_EQ(world.cache.n_available(), 4U);
    world.check();
}

// One sequence's life, in which each allocation fails once.
TEST(BlockCache, HoldsTogetherWhenMemoryRunsOutAnywhere) {
    std::uint64_t n_failed = 0;
    for (int failing = 0;; ++failing) {
        World world({.block_size = 4, .n_blocks = {6, 8}, .windows = {0, 8}, .recompute_seconds = [](std::uint32_t position) {
                         return 1.0 + position;
                     }});
        for (const char* text : {"aaaabbbbcc", "aaaaccccd"}) {
            Running& sequence = world.start(letters(text), "", 8);
            ASSERT_TRUE(world.compute(sequence, static_cast<std::uint32_t>(sequence.tokens.size()) - sequence.n_computed, 0));
            world.release(0);
        }
        const std::vector<Token> tokens = letters("aaaabbbbccccddddee");
        BlockHashes hashes;
        const PrefixKey key = hashes.key(tokens, "", 4);
        SequenceBlocks blocks;
        std::vector<BlockCopy> copies;
        std::uint32_t n_computed = 0;
        int at = 0;  // which of its calls comes next
        const auto go_on = [&] {
            if (at == 0) {
                n_computed = blocks.n_blocks() > 0 ? n_computed : world.cache.attach(blocks, key.first(17), copies).n_tokens;
                ++at;
            }
            if (at == 1) {
                ASSERT_TRUE(world.cache.grow(blocks, 18));
                ++at;
            }
            if (at == 2) {
                world.cache.publish(blocks, key, 18);
                ++at;
            }
            if (at == 3) {
                world.cache.release(blocks, key, 18);
                ++at;
            }
        };
        const auto check = [&] {
            const SequenceBlocks* const held = &blocks;
            world.cache.check(blocks.tables().empty() ? std::span<const SequenceBlocks* const>() : std::span(&held, 1));
        };
        const bool done = tests::with_failing_allocation(failing, go_on);
        check();
        go_on();
        check();
        ASSERT_EQ(at, 4);
        EXPECT_EQ(world.find(tokens, ""), 18U);
        if (done) break;
        ++n_failed;
    }
    EXPECT_GT(n_failed, 15U);
}

struct Shape {
    std::vector<std::uint32_t> n_blocks, windows;
    std::uint64_t hash_mask;
};

class RandomWork : public testing::TestWithParam<Shape> {};

TEST_P(RandomWork, EverySequenceFindsItsOwnPast) {
    constexpr std::uint32_t kBlock = 4;
    const Shape& shape = GetParam();
    World world({.block_size = kBlock,
                 .n_blocks = shape.n_blocks,
                 .windows = shape.windows,
                 .recompute_seconds = [](std::uint32_t position) { return 1.0 + 0.01 * position; },
                 .hash_mask = shape.hash_mask});
    std::mt19937 random(7);
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    std::vector<std::vector<Token>> texts = {{1, 2, 3}};
    const auto n_rounds = static_cast<std::uint32_t>(rafter::tests::rounds(250'000));
    for (std::uint32_t round = 0; round < n_rounds; ++round) {
        const std::uint32_t dice = below(100);
        if (world.running.empty() || (dice < 12 && world.running.size() < 5)) {
            std::vector<Token> tokens = texts[below(static_cast<std::uint32_t>(texts.size()))];
            tokens.resize(below(static_cast<std::uint32_t>(tokens.size()) + 1));
            for (std::uint32_t i = 1 + below(9); i > 0; --i) tokens.push_back(static_cast<Token>(below(2)));
            if (tokens.size() > 40) tokens.resize(40);
            const auto n_wanted = static_cast<std::uint32_t>(tokens.size()) - below(2);
            world.start(std::move(tokens), below(8) == 0 ? "tenant" : "", n_wanted);
        } else if (dice < 24) {
            const std::uint32_t i = below(static_cast<std::uint32_t>(world.running.size()));
            (texts.size() < 20 ? texts.emplace_back() : texts[below(20)]) = world.running[i]->tokens;
            world.release(i);
        } else if (dice == 24) {
            world.cache.forget_unused();
        } else {
            Running& sequence = *world.running[below(static_cast<std::uint32_t>(world.running.size()))];
            while (sequence.tokens.size() == sequence.n_computed || below(3) == 0) sequence.tokens.push_back(static_cast<Token>(below(2)));
            const auto n_pending = static_cast<std::uint32_t>(sequence.tokens.size()) - sequence.n_computed;
            if (sequence.tokens.size() > 60 || !world.compute(sequence, 1 + below(n_pending), below(4) == 0 ? below(6) : 0)) {
                for (std::size_t i = 0; i < world.running.size(); ++i) {
                    if (world.running[i].get() == &sequence) world.release(i);
                }
            }
        }
        world.check();
        ASSERT_FALSE(HasFailure()) << "round " << round;
    }
    while (!world.running.empty()) world.release(0);
    world.cache.forget_unused();
    for (const BlockPool& pool : world.cache.pools()) EXPECT_EQ(pool.n_used(), 0U);
    const BlockCacheCounters& counters = world.cache.counters();
    EXPECT_EQ(counters.tokens_found, world.n_found);
    EXPECT_EQ(counters.tokens_asked, counters.tokens_found + counters.missed_new + counters.missed_evicted + counters.missed_window);
    EXPECT_GT(counters.tokens_found, counters.tokens_asked / 10);  // the test must meet what it tests
    EXPECT_GT(counters.blocks_evicted, n_rounds / 100);
    EXPECT_GT(counters.blocks_merged, n_rounds / 1000);
    EXPECT_GT(counters.blocks_copied, n_rounds / 1000);
}

INSTANTIATE_TEST_SUITE_P(Shapes, RandomWork,
                         testing::Values(Shape{{40}, {0}, ~0ULL}, Shape{{40, 24}, {0, 6}, ~0ULL}, Shape{{24}, {10}, ~0ULL},
                                         Shape{{30, 20, 20}, {0, 1, 9}, 0x3}));

}  // namespace
}  // namespace rafter::kv
