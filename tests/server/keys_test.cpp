#include "server/keys.h"

#include <gtest/gtest.h>

namespace rafter::server {
namespace {

std::string error_of_keys(std::string_view text) {
    const Result<KeyRing> ring = KeyRing::parse(text, "keys.txt");
    return ring ? "" : ring.error().message;
}

TEST(KeyRing, KnowsKeysWithAndWithoutNames) {
    const Result<KeyRing> ring =
        KeyRing::parse("# a comment\n\nsk-0123456789abcdef\r\nalice sk-alice-0123456789\nbob\tsk-bob-0123456789 cache=team\n", "keys.txt");
    ASSERT_TRUE(ring) << ring.error().message;
    EXPECT_EQ(ring->size(), 3U);
    ASSERT_NE(ring->find("sk-0123456789abcdef"), nullptr);
    EXPECT_EQ(ring->find("sk-0123456789abcdef")->name, "key-3");
    ASSERT_NE(ring->find("sk-alice-0123456789"), nullptr);
    EXPECT_EQ(ring->find("sk-alice-0123456789")->name, "alice");
    ASSERT_NE(ring->find("sk-bob-0123456789"), nullptr);
    EXPECT_EQ(ring->find("sk-bob-0123456789")->name, "bob");
}

TEST(KeyRing, KnowsNothingElse) {
    const Result<KeyRing> ring = KeyRing::parse("alice sk-alice-0123456789", "keys.txt");
    ASSERT_TRUE(ring);
    for (const std::string_view key :
         {"", "alice", "sk-alice-012345678", "sk-alice-01234567890", "SK-ALICE-0123456789", "sk-alice-0123456789 "}) {
        EXPECT_EQ(ring->find(key), nullptr) << key;
    }
}

TEST(KeyRing, KeysShareACacheOnlyWhenToldTo) {
    const Result<KeyRing> ring = KeyRing::parse(
        "a 0123456789abcdef-a\nb 0123456789abcdef-b\nc 0123456789abcdef-c cache=a\nd 0123456789abcdef-d cache=a\n", "keys.txt");
    ASSERT_TRUE(ring);
    const auto salt = [&](const char* name) { return ring->find(std::string("0123456789abcdef-") + name)->cache_salt; };
    EXPECT_NE(salt("a"), salt("b"));
    EXPECT_NE(salt("a"), salt("c"));  // a group is not a key of the same name
    EXPECT_EQ(salt("c"), salt("d"));
    EXPECT_FALSE(salt("a").empty());
}

TEST(KeyRing, SaysWhichLineIsWrongAndNeverAKey) {
    EXPECT_EQ(error_of_keys(""), "keys.txt: expected at least one key");
    EXPECT_EQ(error_of_keys("# only\n"), "keys.txt: expected at least one key");
    EXPECT_EQ(error_of_keys("\nalice secret"), "keys.txt:2: a key of 6 characters, expected at least 16");
    const std::string a = "alice sk-0123456789abcdef\n";
    EXPECT_EQ(error_of_keys(a + "alice sk-0123456789abcdeg"), "keys.txt:2: the name alice stands twice");
    EXPECT_EQ(error_of_keys(a + "bob sk-0123456789abcdef"), "keys.txt:2: the key of alice stands again");
    EXPECT_EQ(error_of_keys("alice sk-0123456789abcdef team"), "keys.txt:1: expected \"KEY\", \"NAME KEY\" or \"NAME KEY cache=GROUP\"");
    EXPECT_EQ(error_of_keys("alice sk-0123456789abcdef cache="), "keys.txt:1: expected \"KEY\", \"NAME KEY\" or \"NAME KEY cache=GROUP\"");
    EXPECT_NE(error_of_keys("alice sk-0123456789abcdef\x01"), "");
    EXPECT_NE(error_of_keys("\xC3\xA4 sk-0123456789abcdef"), "");
}

}  // namespace
}  // namespace rafter::server
