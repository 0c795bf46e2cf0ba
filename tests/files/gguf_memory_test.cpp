// What a hostile file can make the parser allocate: no more than a small multiple of its own size. Counts every allocation of this program.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/files/raw_gguf.h"

namespace {

std::atomic<std::size_t> live_bytes = 0;
std::atomic<std::size_t> peak_bytes = 0;

// Not inlined: the compiler would see malloc() where it looks for the pair of delete.
[[gnu::noinline]] void* allocate(std::size_t size) {
    void* const memory = std::malloc(size);
    if (memory == nullptr) std::abort();
    const std::size_t live = live_bytes += malloc_usable_size(memory);
    if (live > peak_bytes) peak_bytes = live;
    return memory;
}

[[gnu::noinline]] void release(void* memory) {
    if (memory != nullptr) live_bytes -= malloc_usable_size(memory);
    std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
// A sanitizer's own form without exceptions would not call the one above, and its memory would go to the operator delete below.
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
    try {
        return ::operator new(size);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }

namespace rafter::files {
namespace {

// Peak memory of parsing, as a multiple of the file's size.
double memory_ratio(const RawFile& file) {
    const std::string bytes = file.bytes();
    const std::size_t before = live_bytes;
    peak_bytes = before;
    (void)GgufFile::parse(as_bytes(bytes), "x.gguf");
    return static_cast<double>(peak_bytes - before) / static_cast<double>(bytes.size());
}

constexpr double kSmallMultiple = 24;

TEST(GgufMemory, CountsThatLieAllocateNothing) {
    RawFile file = good_file();
    for (const std::uint64_t count : {std::uint64_t{1} << 30, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
        file.n_tensors = count;
        EXPECT_LT(memory_ratio(file), kSmallMultiple);
        file.n_tensors.reset();
        file.n_entries = count;
        EXPECT_LT(memory_ratio(file), kSmallMultiple);
        file.n_entries.reset();
    }
}

TEST(GgufMemory, ArraysThatAreWidenedStaySmall) {
    RawFile file = good_file();
    file.entries = {{"bytes", 9, raw_array(0, std::vector<std::uint8_t>(1 << 20))}};
    EXPECT_LT(memory_ratio(file), kSmallMultiple);
    EXPECT_GT(memory_ratio(file), 4) << "uint8 are kept as uint64: is anything counted?";
    file.entries = {{"flags", 9, raw_array(7, std::vector<std::uint8_t>(1 << 20))}};
    EXPECT_LT(memory_ratio(file), kSmallMultiple);
    file.entries = {{"empty strings", 9, raw_strings(std::vector<std::string>(1 << 16))}};
    EXPECT_LT(memory_ratio(file), kSmallMultiple);
}

TEST(GgufMemory, VeryManySmallEntriesStaySmall) {
    RawFile file;
    // One more than a power of two: the worst for vectors that double.
    for (int i = 0; i < (1 << 16) + 1; ++i) file.entries.push_back({fmt::format("{:x}", i), 7, std::string("\1")});
    EXPECT_LT(memory_ratio(file), kSmallMultiple);
}

TEST(GgufMemory, VeryManySmallTensorsStaySmall) {
    RawFile file;
    file.entries = {{"general.alignment", 4, raw<std::uint32_t>(8)}};
    file.alignment = 8;
    for (std::uint64_t i = 0; i < 100000; ++i) file.tensors.push_back({fmt::format("{:x}", i), {1}, 0, i * 8});
    file.data = std::string(100000 * 8, '\0');
    EXPECT_EQ(refusal(file), "");
    EXPECT_LT(memory_ratio(file), kSmallMultiple);
}

}  // namespace
}  // namespace rafter::files
