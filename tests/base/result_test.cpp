#include "base/result.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include <memory>

namespace rafter {
namespace {

Result<int> half(int x) {
    if (x % 2 != 0) return bad_input("half: expected an even number, found {}", x);
    return x / 2;
}

Result<int> quarter(int x) {
    RAFTER_TRY(const int once, half(x));
    RAFTER_TRY(const int twice, half(once));
    return twice;
}

Result<void> must_be_even(int x) {
    RAFTER_TRY_VOID(half(x).has_value() ? Result<void>() : Result<void>(half(x).error()));
    return {};
}

TEST(Result, TryUnwrapsAValueAndPassesAnErrorOn) {
    EXPECT_EQ(quarter(8).value(), 2);
    ASSERT_FALSE(quarter(6));
    EXPECT_EQ(quarter(6).error().message, "half: expected an even number, found 3");
    EXPECT_EQ(quarter(6).error().within("a.gguf").message, "a.gguf: half: expected an even number, found 3");
    EXPECT_TRUE(must_be_even(2));
    EXPECT_FALSE(must_be_even(3));
}

TEST(Result, HoldsWhatCanOnlyBeMoved) {
    Result<std::unique_ptr<int>> made = std::make_unique<int>(7);
    const std::unique_ptr<int> owned = std::move(made).value();
    EXPECT_EQ(*owned, 7);
}

TEST(Result, AnExceptionIsOutOfMemoryOrOurOwnFaultAndNeverBadInput) {
    EXPECT_EQ(error_of(std::bad_alloc()).kind, ErrorKind::kOutOfMemory);
    const Error error = error_of(std::runtime_error("a message that is longer than a string's own buffer"));
    EXPECT_EQ(error.kind, ErrorKind::kInternal);
    EXPECT_EQ(error.message, "a message that is longer than a string's own buffer");
    static_assert(noexcept(error_of(std::bad_alloc())));
}

TEST(ResultDeathTest, ValueOfAnErrorIsABug) { EXPECT_DEATH((void)half(3).value(), "expected an even number, found 3"); }

}  // namespace
}  // namespace rafter
