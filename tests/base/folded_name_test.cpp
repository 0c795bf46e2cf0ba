#include "base/folded_name.h"

#include <gtest/gtest.h>

namespace rafter {
namespace {

TEST(FoldedName, IsTheSameHoweverItIsSpelt) {
    EXPECT_EQ(folded_name("Llama-3.1 8B"), "llama318b");
    EXPECT_EQ(folded_name("llama_3.1_8b"), folded_name("LLAMA 3.1 8B"));
    EXPECT_EQ(folded_name(""), "");
    EXPECT_EQ(folded_name("-é\xff\n"), "");
}

}  // namespace
}  // namespace rafter
