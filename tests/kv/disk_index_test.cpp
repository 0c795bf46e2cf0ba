// The index of a file against a map that says what each slot holds: whatever is found must be what was put there for these very tokens.
#include "kv/disk_index.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <map>
#include <memory>
#include <random>

#include "tests/support/rounds.h"

namespace rafter::kv {
namespace {

constexpr std::uint32_t kDiskBlock = 2;

struct Prefix {
    std::string salt;
    std::vector<Token> tokens;
    auto operator<=>(const Prefix&) const = default;
};

std::span<const Token> block_of(const std::vector<Token>& tokens, std::size_t i) {
    return std::span(tokens).subspan(i * kDiskBlock, kDiskBlock);
}

NodeId find(const DiskIndex& index, const Prefix& prefix) {
    NodeId node = kNoNode;
    for (std::size_t i = 0; i * kDiskBlock < prefix.tokens.size(); ++i) {
        node = index.find(node, block_of(prefix.tokens, i), prefix.salt);
        if (node == kNoNode) break;
    }
    return node;
}

// False where it got no slot.
bool put(DiskIndex& index, const Prefix& prefix) {
    NodeId node = kNoNode;
    for (std::size_t i = 0; i * kDiskBlock < prefix.tokens.size(); ++i) node = index.enter(node, block_of(prefix.tokens, i), prefix.salt);
    if (index.has_slot(node)) return true;
    if (index.take_slot(node)) return true;
    index.trim(node);
    return false;
}

bool holds(const DiskIndex& index, const Prefix& prefix) {
    const NodeId node = find(index, prefix);
    return node != kNoNode && index.has_slot(node);
}

DiskIndexOptions options_of(SlotId n_slots, std::uint64_t hash_mask = ~0ULL) {
    return {.block_size = kDiskBlock,
            .n_slots = n_slots,
            .recompute_seconds = [](std::uint32_t position) { return 1.0 + 0.01 * position; },
            .hash_mask = hash_mask};
}

TEST(DiskIndex, FindsABlockBelowOthersThatAreNotThere) {
    DiskIndex index(options_of(4));
    const Prefix deep{"", {1, 2, 3, 4, 5, 6}};
    EXPECT_TRUE(put(index, deep));
    EXPECT_TRUE(holds(index, deep));
    EXPECT_FALSE(holds(index, {"", {1, 2, 3, 4}}));
    EXPECT_EQ(find(index, {"other", {1, 2}}), kNoNode);
    EXPECT_EQ(find(index, {"", {1, 2, 5, 6}}), kNoNode);
    index.check();
    index.drop(find(index, deep));
    EXPECT_EQ(find(index, {"", {1, 2}}), kNoNode);  // nothing is left of what led there
    EXPECT_EQ(index.n_used(), 0U);
    index.check();
}

TEST(DiskIndex, ALeafMakesRoomAndTheLeastWorthGoesFirst) {
    DiskIndex index(options_of(3));
    EXPECT_TRUE(put(index, {"", {1, 2}}));
    EXPECT_TRUE(put(index, {"", {1, 2, 3, 4}}));
    EXPECT_TRUE(put(index, {"", {7, 8}}));
    EXPECT_TRUE(put(index, {"", {9, 9}}));  // {7, 8} is a block from the beginning, and not used since; {1, 2} has a child
    EXPECT_FALSE(holds(index, {"", {7, 8}}));
    EXPECT_TRUE(holds(index, {"", {1, 2, 3, 4}}));
    EXPECT_EQ(index.n_evicted(), 1U);
    index.check();
}

TEST(DiskIndex, AChainLongerThanTheFileKeepsItsBeginning) {
    DiskIndex index(options_of(2));
    const std::vector<Token> tokens{1, 2, 3, 4, 5, 6, 7, 8};
    const auto first = [&](std::ptrdiff_t n) { return Prefix{"", {tokens.begin(), tokens.begin() + n}}; };
    for (const std::ptrdiff_t n : {8, 6, 4, 2}) EXPECT_TRUE(put(index, first(n)));
    EXPECT_TRUE(holds(index, first(2)));
    EXPECT_TRUE(holds(index, first(4)));
    index.check();
    EXPECT_FALSE(put(index, first(6)) && holds(index, first(2)) && holds(index, first(4)));
    index.check();
    DiskIndex tiny(options_of(1));
    EXPECT_TRUE(put(tiny, first(2)));
    EXPECT_FALSE(put(tiny, first(4)));  // only the block before it could go
    tiny.check();
}

TEST(DiskIndex, TakesNoMemoryForSlotsThatNobodyUsed) {
    const auto peak_kb = [] {
        struct rusage usage {};
        EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
        return usage.ru_maxrss;
    };
    const long before = peak_kb();
    DiskIndex index(options_of(SlotId{1} << 28U));
    EXPECT_TRUE(put(index, {"", {1, 2}}));
    index.check();
    DiskIndex again(options_of(SlotId{1} << 28U));
    EXPECT_EQ(again.load({index.record(find(index, {"", {1, 2}}))}), 0U);
    EXPECT_TRUE(put(again, {"", {3, 4}}));
    EXPECT_EQ(again.n_used(), 2U);
    again.check();
    EXPECT_LT(peak_kb() - before, 100'000);
}

TEST(DiskIndex, NumbersOfDroppedRecordsAreNeverGivenAgain) {
    DiskIndex first(options_of(4));
    const Prefix deep{"", {1, 2, 3, 4}};
    put(first, deep);
    const DiskRecord orphan = first.record(find(first, deep));
    DiskIndex second(options_of(4));
    EXPECT_EQ(second.load({orphan}), 1U);  // its parent is in no record
    EXPECT_EQ(second.n_used(), 0U);
    put(second, {"", {9, 9}});
    const DiskRecord other = second.record(find(second, {"", {9, 9}}));
    EXPECT_GT(other.id, orphan.id);
    EXPECT_GT(other.id, orphan.parent);
}

TEST(DiskIndex, RecordsThatContradictEachOtherAreDropped) {
    DiskIndex index(options_of(8));
    for (const Prefix& prefix : {Prefix{"", {1, 2}}, Prefix{"", {1, 2, 3, 4}}, Prefix{"x", {1, 2}}}) put(index, prefix);
    const DiskRecord root = index.record(find(index, {"", {1, 2}}));
    const DiskRecord child = index.record(find(index, {"", {1, 2, 3, 4}}));
    const DiskRecord salted = index.record(find(index, {"x", {1, 2}}));
    const auto n_kept = [&](std::vector<DiskRecord> records) {
        DiskIndex loaded(options_of(8));
        const std::size_t n = records.size();
        const std::uint32_t n_dropped = loaded.load(std::move(records));
        loaded.check();
        EXPECT_EQ(loaded.n_used() + n_dropped, n);
        return loaded.n_used();
    };
    const auto with = [](DiskRecord record, auto change) {
        change(record);
        return record;
    };
    EXPECT_EQ(n_kept({child, salted, root}), 3U);
    EXPECT_EQ(n_kept({root, with(child, [](auto& r) { r.slot = 8; })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [&](auto& r) { r.slot = root.slot; })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [&](auto& r) { r.id = root.id; })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [&](auto& r) { r.parent = r.id; })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [](auto& r) { r.parent = ~0ULL; })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [](auto& r) { r.parent = 0; })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [](auto& r) { r.depth = 2; })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [](auto& r) { r.depth = ~0U; })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [](auto& r) { ++r.hash; })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [](auto& r) { ++r.tokens[0]; })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [](auto& r) { r.tokens.pop_back(); })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [](auto& r) { r.clock = __builtin_nan(""); })}), 1U);
    EXPECT_EQ(n_kept({root, with(child, [](auto& r) { r.id = ~0ULL; })}), 1U);
    EXPECT_EQ(n_kept({with(root, [](auto& r) { r.salt = "y"; }), child}), 0U);
    EXPECT_EQ(n_kept({root, with(root, [](auto& r) { r.id += 100, r.slot = 7; })}), 1U);  // the same tokens twice
}

class DiskWork : public testing::TestWithParam<std::uint64_t> {};

TEST_P(DiskWork, EverySlotIsFoundByItsOwnTokensOnlyAndAgainAfterARestart) {
    std::mt19937 random(3);
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    constexpr SlotId kSlots = 24;
    auto index = std::make_unique<DiskIndex>(options_of(kSlots, GetParam()));
    std::map<SlotId, std::pair<Prefix, DiskRecord>> file;  // what was written there last
    std::uint64_t n_found = 0, n_restarts = 0, n_lost = 0;
    const auto random_prefix = [&] {
        Prefix prefix{below(6) == 0 ? "tenant" : "", {}};
        for (std::uint32_t i = kDiskBlock * (1 + below(6)); i > 0; --i) prefix.tokens.push_back(static_cast<Token>(below(2)));
        return prefix;
    };
    for (int round = 0; round < rafter::tests::rounds(60'000); ++round) {
        const Prefix prefix = random_prefix();
        const NodeId node = find(*index, prefix);
        const bool there = node != kNoNode && index->has_slot(node);
        if (there) {
            ++n_found;
            ASSERT_EQ(file.at(index->record(node).slot).first, prefix);
        }
        const std::uint32_t dice = below(100);
        if (dice < 60 && !there) {
            if (put(*index, prefix)) {
                const DiskRecord record = index->record(find(*index, prefix));
                file.insert_or_assign(record.slot, std::pair(prefix, record));
            }
        } else if (dice < 80 && there) {
            index->use(node);
        } else if (dice < 85 && there) {
            index->drop(node);
        } else if (dice == 99) {
            // A new process finds all but those whose parents were never written.
            std::vector<DiskRecord> records;
            for (const auto& [slot, held] : file) records.push_back(held.second);
            std::shuffle(records.begin(), records.end(), random);
            auto next = std::make_unique<DiskIndex>(options_of(kSlots, GetParam()));
            n_lost += next->load(records);
            ++n_restarts;
            for (const auto& [slot, held] : file) {
                const NodeId again = find(*next, held.first);
                if (again == kNoNode || !next->has_slot(again)) continue;
                ASSERT_EQ(file.at(next->record(again).slot).first, held.first);
            }
            index = std::move(next);
        }
        if (round % 16 == 0) index->check();
    }
    index->check();
    EXPECT_GT(n_found, 1000U);
    EXPECT_GT(n_restarts, 10U);
    EXPECT_GT(n_lost, 10U);
    EXPECT_GT(index->n_used(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Masks, DiskWork, testing::Values(~0ULL, 0x3ULL));

}  // namespace
}  // namespace rafter::kv
