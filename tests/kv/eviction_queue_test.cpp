// The eviction queue against an ordered set.
#include "kv/eviction_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <utility>

namespace rafter::kv {
namespace {

TEST(EvictionQueue, OfEqualPrioritiesTheLowestNodeGoesFirst) {
    EvictionQueue queue;
    for (const NodeId node : {7U, 3U, 5U}) queue.add({.priority = 1.0, .node = node});
    for (const NodeId node : {3U, 5U, 7U}) {
        EXPECT_EQ(queue.front().node, node);
        queue.remove(node);
    }
    EXPECT_TRUE(queue.empty());
}

TEST(EvictionQueue, RemovingWhatIsNotThereChangesNothing) {
    EvictionQueue queue;
    queue.remove(3);
    queue.add({.priority = 2.0, .node = 1});
    queue.remove(0);
    queue.remove(1000);
    EXPECT_EQ(queue.size(), 1U);
    EXPECT_EQ(queue.priority(1), 2.0);
    EXPECT_EQ(queue.priority(0), std::nullopt);
    EXPECT_EQ(queue.priority(1000), std::nullopt);
}

TEST(EvictionQueueDeathTest, AddingANodeTwiceIsABug) {
    EvictionQueue queue;
    queue.add({.priority = 2.0, .node = 1});
    EXPECT_DEATH(queue.add({.priority = 3.0, .node = 1}), "node 1 is in the queue already");
}

TEST(EvictionQueue, AgreesWithAnOrderedSetOverRandomOperations) {
    EvictionQueue queue;
    std::set<std::pair<double, NodeId>> expected;
    std::map<NodeId, double> priorities;
    std::mt19937 random(1);
    for (int i = 0; i < 50'000; ++i) {
        const auto node = static_cast<NodeId>(random() % 200);
        if (priorities.contains(node)) {
            expected.erase({priorities[node], node});
            priorities.erase(node);
            queue.remove(node);
        } else if (i % 3 == 0 && !queue.empty()) {
            const NodeId first = queue.front().node;
            expected.erase(expected.begin());
            priorities.erase(first);
            queue.remove(first);
        } else {
            const double priority = static_cast<double>(random() % 50);  // many are equal
            expected.emplace(priority, node);
            priorities[node] = priority;
            queue.add({.priority = priority, .node = node});
        }
        ASSERT_EQ(queue.size(), expected.size());
        if (expected.empty()) continue;
        ASSERT_EQ(queue.front().priority, expected.begin()->first);
        ASSERT_EQ(queue.front().node, expected.begin()->second);
        const auto found = priorities.find(node);
        ASSERT_EQ(queue.priority(node), found == priorities.end() ? std::nullopt : std::optional(found->second));
    }
}

}  // namespace
}  // namespace rafter::kv
