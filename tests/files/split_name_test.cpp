// Names of a split model's parts.
#include "files/split_name.h"

#include <gtest/gtest.h>

namespace rafter::files {
namespace {

TEST(SplitName, IsReadAsItIsWritten) {
    for (const unsigned n_parts : {1U, 3U, 99999U}) {
        for (const char* extension : {"", ".gguf"}) {
            const auto read = parse_split_name("a/b-of-c" + split_suffix(n_parts, n_parts) + extension);
            ASSERT_TRUE(read);
            EXPECT_EQ(read->model, "a/b-of-c");
            EXPECT_EQ(read->number, n_parts);
            EXPECT_EQ(read->n_parts, n_parts);
        }
    }
    EXPECT_EQ(split_suffix(2, 3), "-00002-of-00003");
    EXPECT_EQ(parse_split_name("-00001-of-00002.gguf")->model, "");
}

TEST(SplitName, OfOtherFilesIsNothing) {
    for (const char* name :
         {"", "model.gguf", "model-1-of-3.gguf", "model-00001-of-0003.gguf", "model_00001-of-00003", "model-0000a-of-00003",
          "model-00001-in-00003", "00001-of-00003", "model-+0001-of-00003", "model-00001-of-00003.bin"}) {
        EXPECT_FALSE(parse_split_name(name)) << name;
    }
}

}  // namespace
}  // namespace rafter::files
