// The queue's promises, by hand and at random: everybody's share, who is first, nobody is lost.
#include "server/admission/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/support/rounds.h"

namespace rafter::server {
namespace {

constexpr double kQuantum = 0.1;

QueuedArrival arrival_of(std::uint64_t id, std::string key, double seconds, double arrived = 0.0, int priority = 0, std::size_t n = 1) {
    QueuedArrival arrival{.id = id, .key = std::move(key), .priority = priority, .arrived = arrived, .seconds = seconds, .sequences = {}};
    arrival.sequences.resize(n);
    return arrival;
}

std::vector<std::uint64_t> order_of(const FairQueue& queue) {
    std::vector<std::uint64_t> ids;
    for (const FairQueue::Waiting& one : queue.in_order()) ids.push_back(one.arrival->id);
    return ids;
}
std::vector<std::uint64_t> given_by(FairQueue& queue) {
    std::vector<std::uint64_t> ids;
    while (const auto given = queue.next()) ids.push_back(given->id);
    return ids;
}

TEST(FairQueue, AloneAKeyIsServedInOrderOfArrival) {
    FairQueue queue(kQuantum);
    for (std::uint64_t id = 1; id <= 5; ++id) queue.add(arrival_of(id, "a", 1.0, static_cast<double>(id)));
    EXPECT_EQ(order_of(queue), (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
    EXPECT_EQ(given_by(queue), (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.n_sequences(), 0U);
    EXPECT_EQ(queue.seconds(), 0.0);
}

TEST(FairQueue, AKeyThatComesLaterIsNotBehindAllOfAnother) {
    FairQueue queue(kQuantum);
    for (std::uint64_t id = 1; id <= 100; ++id) queue.add(arrival_of(id, "flood", 0.1, 0.0));
    queue.add(arrival_of(200, "other", 0.1, 5.0));
    const std::vector<std::uint64_t> given = given_by(queue);
    EXPECT_LE(std::ranges::find(given, 200U) - given.begin(), 2);
}

TEST(FairQueue, HigherPrioritiesComeFirstWithinAKeyAndNobodyStarves) {
    FairQueue queue(kQuantum);
    queue.add(arrival_of(1, "a", 0.1, 0.0, 0));
    queue.add(arrival_of(2, "a", 0.1, 1.0, 2));
    queue.add(arrival_of(3, "a", 0.1, 2.0, 2));
    queue.add(arrival_of(4, "a", 0.1, 3.0, 1));
    queue.add(arrival_of(5, "a", 0.1, 100.0, 2));  // 60 seconds ahead of its time, 100 after the first
    EXPECT_EQ(given_by(queue), (std::vector<std::uint64_t>{2, 3, 4, 1, 5}));
}

TEST(FairQueue, TheSequencesOfAnArrivalGoOneAfterAnother) {
    FairQueue queue(kQuantum);
    queue.add(arrival_of(1, "a", 1.0, 0.0, 0, 3));
    queue.add(arrival_of(2, "a", 0.1, 1.0));
    std::vector<std::size_t> indices;
    while (const auto one = queue.next()) {
        if (one->id == 1) indices.push_back(one->index);
    }
    EXPECT_EQ(indices, (std::vector<std::size_t>{0, 1, 2}));
}

TEST(FairQueue, AnArrivalOfManySequencesDelaysOtherKeysAsManyArrivalsWould) {
    FairQueue queue(kQuantum);
    queue.add(arrival_of(1, "heavy", 128.0, 0.0, 0, 128));
    for (std::uint64_t id = 2; id < 12; ++id) queue.add(arrival_of(id, "light", 1.0, 1.0));
    std::size_t n_heavy = 0;
    for (std::size_t n_light = 0; n_light < 10;) {
        const auto one = queue.next();
        ASSERT_TRUE(one.has_value());
        ++(one->id == 1 ? n_heavy : n_light);
    }
    EXPECT_LE(n_heavy, 11U);
}

TEST(FairQueue, WhatIsLeftOfAnArrivalCanBeRemoved) {
    FairQueue queue(kQuantum);
    queue.add(arrival_of(1, "a", 1.0, 0.0, 0, 3));
    queue.add(arrival_of(2, "a", 1.0, 1.0, 0, 2));
    EXPECT_EQ(queue.next()->index, 0U);
    const auto rest = queue.remove(1);
    ASSERT_TRUE(rest.has_value());
    EXPECT_EQ(rest->n_given, 1U);
    EXPECT_EQ(queue.n_sequences(), 2U);
    EXPECT_FALSE(queue.remove(1).has_value());
    EXPECT_EQ(given_by(queue), (std::vector<std::uint64_t>{2, 2}));
}

TEST(FairQueue, EachKeyGetsItsShareWheneverItHasSomethingWaiting) {
    std::mt19937 random(5);
    std::uniform_real_distribution<double> seconds(0.01, 2.0);
    for (int round = 0; round < rafter::tests::rounds(200); ++round) {
        FairQueue queue(kQuantum);
        const std::size_t n_keys = 2 + random() % 4;
        std::uint64_t id = 0;
        std::map<std::string, double> given;
        std::map<std::uint64_t, std::pair<std::string, double>> waiting;
        double largest = 0.0;
        const auto add = [&](std::size_t key) {
            const double each = seconds(random) * (key == 0 ? 3.0 : 1.0);
            largest = std::max(largest, each);
            waiting[++id] = {std::to_string(key), each};
            queue.add(arrival_of(id, std::to_string(key), each, static_cast<double>(id)));
        };
        for (std::size_t key = 0; key < n_keys; ++key) {
            for (int i = 0; i < 60; ++i) add(key);
        }
        // All of them have something waiting all the time.
        std::map<std::string, double> at_start;
        for (int i = 0; i < 40; ++i) {
            if (i == 10) at_start = given;  // any interval
            const auto one = queue.next();
            ASSERT_TRUE(one.has_value());
            given[waiting.at(one->id).first] += waiting.at(one->id).second;
            if (i < 10) continue;
            for (std::size_t a = 0; a < n_keys; ++a) {
                for (std::size_t b = 0; b < n_keys; ++b) {
                    const std::string x = std::to_string(a), y = std::to_string(b);
                    EXPECT_LE(given[x] - at_start[x] - (given[y] - at_start[y]), kQuantum + 2 * largest + 1e-9);
                }
            }
        }
    }
}

TEST(FairQueue, SaysBeforehandInWhichOrderItGivesAndLosesNobody) {
    std::mt19937 random(6);
    std::uint64_t id = 0;
    FairQueue queue(kQuantum);
    std::map<std::uint64_t, std::size_t> waiting;  // sequences
    for (int i = 0; i < rafter::tests::rounds(20'000); ++i) {
        const std::uint32_t what = random() % 10;
        if (what < 5) {
            const std::size_t n = 1 + random() % 3;
            waiting[++id] = n;
            queue.add(
                arrival_of(id, std::string(1, static_cast<char>('a' + random() % 5)), 0.001 * (1 + random() % 3000), i, random() % 3, n));
        } else if (what < 9) {
            const auto expected = order_of(queue);
            const auto given = queue.next();
            ASSERT_EQ(given.has_value(), !waiting.empty());  // it keeps nobody back
            if (!given) continue;
            ASSERT_EQ(given->id, expected.front());
            if (--waiting.at(given->id) == 0) waiting.erase(given->id);
        } else if (id > 0) {
            const std::uint64_t which = 1 + random() % id;
            const auto removed = queue.remove(which);
            ASSERT_EQ(removed.has_value(), waiting.contains(which));
            waiting.erase(which);
        }
        std::size_t n = 0;
        for (const auto& [each, left] : waiting) n += left;
        ASSERT_EQ(queue.n_sequences(), n);
        if (i % 100 != 0) continue;
        std::vector<std::uint64_t> expected = order_of(queue);
        ASSERT_EQ(expected.size(), n);
        if (i % 1000 != 0) continue;
        std::vector<std::uint64_t> given = given_by(queue);
        ASSERT_EQ(given, expected);
        waiting.clear();
    }
}

}  // namespace
}  // namespace rafter::server
