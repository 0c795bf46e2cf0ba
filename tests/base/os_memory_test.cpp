// Memory and CPUs as the operating system gives them.
#include "base/os_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "base/os_cpu.h"

namespace rafter {
namespace {

TEST(PageBuffer, IsAlignedZeroedAndWritable) {
    for (const std::size_t size : {std::size_t{1}, PageBuffer::kAlignment - 1, PageBuffer::kAlignment, PageBuffer::kAlignment + 1}) {
        auto buffer = PageBuffer::allocate(size, "test");
        ASSERT_TRUE(buffer);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % PageBuffer::kAlignment, 0U);
        EXPECT_EQ(buffer->size_bytes(), size);
        EXPECT_TRUE(std::all_of(buffer->data(), buffer->data() + size, [](std::byte b) { return b == std::byte{0}; }));
        std::fill_n(buffer->data(), size, std::byte{7});
    }
}

TEST(PageBuffer, OfNoBytesIsEmpty) {
    auto buffer = PageBuffer::allocate(0, "test");
    ASSERT_TRUE(buffer);
    EXPECT_EQ(buffer->data(), nullptr);
}

TEST(PageBuffer, MovesItsMemoryAlong) {
    auto first = PageBuffer::allocate(100, "first");
    auto second = PageBuffer::allocate(200, "second");
    ASSERT_TRUE(first && second);
    std::byte* const data = first->data();
    PageBuffer moved = std::move(*first);
    EXPECT_EQ(moved.data(), data);
    EXPECT_EQ(first->data(), nullptr);
    *second = std::move(moved);
    EXPECT_EQ(second->data(), data);
    EXPECT_EQ(second->size_bytes(), 100U);
}

TEST(PageBuffer, TooMuchIsAnErrorThatNamesIt) {
    for (const std::size_t size : {std::size_t{1} << 60U, std::numeric_limits<std::size_t>::max()}) {
        const auto buffer = PageBuffer::allocate(size, "weights");
        ASSERT_FALSE(buffer);
        EXPECT_EQ(buffer.error().kind, ErrorKind::kOutOfMemory);
        EXPECT_NE(buffer.error().message.find("weights: "), std::string::npos);
        EXPECT_NE(buffer.error().message.find("EiB"), std::string::npos) << buffer.error().message;
    }
}

TEST(MemoryState, IsThatOfAMachine) {
    const MemoryState state = read_memory_state();
    EXPECT_GT(state.total_bytes, std::uint64_t{64} << 20U);
    EXPECT_GT(state.available_bytes, 0U);
    EXPECT_LE(state.available_bytes, state.total_bytes);
}

TEST(FormatBytes, SaysItInTheLargestUnit) {
    EXPECT_EQ(format_bytes(0), "0 B");
    EXPECT_EQ(format_bytes(1023), "1023 B");
    EXPECT_EQ(format_bytes(1024), "1.0 KiB");
    EXPECT_EQ(format_bytes(std::uint64_t{5} << 30U), "5.0 GiB");
}

TEST(UsableCpus, AreBoundedByTheQuotaAndNeverNone) {
    EXPECT_EQ(usable_cpus(8, std::nullopt), 8U);
    EXPECT_EQ(usable_cpus(8, 2.0), 2U);
    EXPECT_EQ(usable_cpus(8, 2.9), 2U);
    EXPECT_EQ(usable_cpus(8, 0.5), 1U);
    EXPECT_EQ(usable_cpus(8, 64.0), 8U);
}

TEST(UsableCpus, AreOfTheCpusetOfTheThread) {
    const std::vector<unsigned> cpus = allowed_cpus();
    ASSERT_FALSE(cpus.empty());
    EXPECT_TRUE(std::is_sorted(cpus.begin(), cpus.end()));
    EXPECT_LE(usable_cpus(), cpus.size());
    std::thread([&] {
        if (!pin_this_thread(cpus.back())) return;
        EXPECT_EQ(allowed_cpus(), std::vector<unsigned>{cpus.back()});
        EXPECT_EQ(usable_cpus(), 1U);
    }).join();
    EXPECT_EQ(allowed_cpus(), cpus);
}

}  // namespace
}  // namespace rafter
