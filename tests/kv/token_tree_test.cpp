// The tree against a list of prefixes that is searched from end to end, and under a memory that fails at any allocation.
#include "kv/token_tree.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/kv/failing_memory.h"
#include "tests/support/rounds.h"

namespace rafter::kv {
namespace {

constexpr std::uint32_t kBlock = 3;

struct Known {
    NodeId parent = kNoNode;
    std::vector<Token> tokens;
    std::string salt;
    std::uint64_t added = 0;  // when
    auto operator<=>(const Known&) const = default;
};

class TreeWork : public testing::TestWithParam<std::uint64_t> {};

TEST_P(TreeWork, FindsWhatWasAddedAndNothingElse) {
    std::mt19937 random(4);
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    TokenTree tree({.block_size = kBlock, .n_expected = 1, .hash_mask = GetParam()});
    std::map<NodeId, Known> known;
    std::uint64_t n_found = 0, n_partly = 0, now = 0;
    const auto some = [&] { return std::next(known.begin(), below(static_cast<std::uint32_t>(known.size())))->first; };
    for (int round = 0; round < rafter::tests::rounds(30'000); ++round) {
        NodeId parent = known.empty() || below(4) == 0 ? kNoNode : some();
        if (parent != kNoNode && !tree.is_full(parent)) parent = kNoNode;
        std::vector<Token> tokens(1 + below(kBlock + 1));
        if (tokens.size() > kBlock) tokens.resize(kBlock);
        for (Token& token : tokens) token = static_cast<Token>(below(3));
        const std::string salt = parent == kNoNode && below(3) == 0 ? "tenant" : "";
        const std::uint64_t hash = tree.hash_of(parent, tokens, salt);
        NodeId expected = kNoNode;
        for (const auto& [node, what] : known) {
            if (what.parent == parent && what.salt == salt && what.tokens == tokens && tokens.size() == kBlock) expected = node;
        }
        ASSERT_EQ(tree.find(parent, hash, tokens, salt), expected);
        ASSERT_TRUE(expected == kNoNode || tree.may_hold(hash));
        n_found += expected != kNoNode;
        // The tail: the longest, and of those the newest.
        std::pair<std::uint32_t, std::uint64_t> best{0, 0};
        NodeId longest = kNoNode;
        std::size_t n_children = 0;
        for (const auto& [node, what] : known) {
            if (what.parent != parent) continue;
            ++n_children;
            if (what.salt != salt || node % 5 == 0) continue;
            const auto n = static_cast<std::uint32_t>(std::ranges::mismatch(what.tokens, tokens).in1 - what.tokens.begin());
            if (n > 0 && std::pair(n, what.added) > best) best = {n, what.added}, longest = node;
        }
        if (n_children <= 64) {
            const TokenTree::Tail tail = tree.find_tail(parent, tokens, salt, [](NodeId node) { return node % 5 != 0; });
            ASSERT_EQ(tail.n_tokens, best.first);
            ASSERT_EQ(tail.node, longest);
            n_partly += tail.n_tokens > 0 && tail.n_tokens < tokens.size();
        }
        if (known.size() < 150 && expected == kNoNode) {
            const NodeId next = tree.next();
            ASSERT_EQ(tree.add(parent, hash, tokens, salt), next);
            ASSERT_TRUE(known.emplace(next, Known{parent, tokens, salt, ++now}).second);
            ASSERT_EQ(tree.salt(next), salt);
            ASSERT_EQ(tree.depth(next), parent == kNoNode ? 0 : tree.depth(parent) + 1);
        } else if (const NodeId leaf = some(); tree.is_leaf(leaf)) {
            tree.remove(leaf);
            known.erase(leaf);
            ASSERT_FALSE(tree.contains(leaf));
            ASSERT_EQ(tree.next(), leaf);
        }
        ASSERT_EQ(tree.n_nodes(), known.size());
        if (round % 64 == 0) tree.check();
    }
    tree.check();
    EXPECT_GT(n_found, static_cast<std::uint64_t>(rafter::tests::rounds(1000)));
    EXPECT_GT(n_partly, static_cast<std::uint64_t>(rafter::tests::rounds(1000)));
}

INSTANTIATE_TEST_SUITE_P(Masks, TreeWork, testing::Values(~0ULL, 0x3ULL));

TEST(TokenTree, ManyNodesAreFoundInBucketsThatGrow) {
    TokenTree tree({.block_size = 1, .n_expected = 1});
    constexpr Token kNodes = 5000;
    for (Token token = 0; token < kNodes; ++token) tree.add(kNoNode, tree.hash_of(kNoNode, {&token, 1}, ""), {&token, 1}, "");
    for (Token token = 0; token < kNodes; ++token) {
        EXPECT_EQ(tree.find(kNoNode, tree.hash_of(kNoNode, {&token, 1}, ""), {&token, 1}, ""), static_cast<NodeId>(token));
    }
    tree.check();
}

TEST(TokenTree, WhatCannotBeAddedLeavesTheTreeAsItWas) {
    const std::vector<Token> tokens{1, 2};
    const std::string salt(100, 's');
    std::uint64_t n_failed = 0;
    for (const NodeId n_before : {0U, 1U, 64U, 128U, 200U}) {
        TokenTree tree({.block_size = 2, .n_expected = 1});
        NodeId last = kNoNode;
        for (NodeId i = 0; i < n_before; ++i) last = tree.add(last, tree.hash_of(last, tokens, ""), tokens, "");
        const std::uint64_t hash = tree.hash_of(kNoNode, tokens, salt);
        for (int n = 0;; ++n) {
            const bool done = tests::with_failing_allocation(n, [&] { tree.add(kNoNode, hash, tokens, salt); });
            tree.check();
            ASSERT_EQ(tree.n_nodes(), n_before + done);
            ASSERT_EQ(tree.find(kNoNode, hash, tokens, salt) != kNoNode, done);
            if (done) break;
            ++n_failed;
        }
    }
    EXPECT_GT(n_failed, 10U);
}

TEST(TokenTreeDeathTest, ANodeWithChildrenIsNotRemoved) {
    TokenTree tree({.block_size = 1});
    const Token token = 1;
    const NodeId root = tree.add(kNoNode, tree.hash_of(kNoNode, {&token, 1}, ""), {&token, 1}, "");
    tree.add(root, tree.hash_of(root, {&token, 1}, ""), {&token, 1}, "");
    EXPECT_DEATH(tree.remove(root), "still in use");
}

}  // namespace
}  // namespace rafter::kv
