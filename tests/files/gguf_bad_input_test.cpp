// Every way in which a GGUF file can be wrong, each with the line that a user is told.
#include <gtest/gtest.h>

#include "tests/files/raw_gguf.h"
#include "tests/support/rounds.h"

namespace rafter::files {
namespace {

using ::std::uint32_t;
using ::std::uint64_t;
constexpr uint64_t kMinus1 = ~uint64_t{0};

RawFile with_entry(RawEntry entry) {
    RawFile file = good_file();
    file.entries = {std::move(entry)};
    return file;
}

RawFile with_tensor(RawTensor tensor) {
    RawFile file = good_file();
    file.entries.clear();
    file.tensors = {std::move(tensor)};
    return file;
}

TEST(GgufBadInput, TheGoodFileIsGood) { EXPECT_EQ(refusal(good_file()), ""); }

TEST(GgufBadInput, AnEmptyFile) {
    EXPECT_EQ(refusal(std::string()), "x.gguf: magic at byte 0: expected 4 bytes, found 0 before the file ends: is it cut off?");
}

TEST(GgufBadInput, AnotherMagic) {
    RawFile file = good_file();
    file.magic = "GG\n\xff";
    EXPECT_EQ(refusal(file), R"(x.gguf: magic at byte 0: expected "GGUF", found "GG\x0a\xff": this is not a GGUF file)");
}

TEST(GgufBadInput, VersionsThatAreOldUnknownOrOfAnotherByteOrder) {
    RawFile file = good_file();
    for (const uint32_t version : {0u, 1u, 4u, 0xffffffffu}) {
        file.version = version;
        EXPECT_EQ(refusal(file), fmt::format("x.gguf: version at byte 4: expected 2 or 3, found {}", version));
    }
    file.version = 0x03000000;
    EXPECT_EQ(refusal(file), "x.gguf: version at byte 4: expected 2 or 3, found 50331648: is this a big-endian file?");
}

TEST(GgufBadInput, MoreTensorsThanTheFileCouldHold) {
    RawFile file = good_file();
    const std::size_t n_left = file.bytes().size() - 16;
    for (const uint64_t count : {kMinus1, uint64_t{1} << 63, uint64_t{1} << 59, uint64_t{n_left / 33 + 1}}) {
        file.n_tensors = count;
        EXPECT_EQ(refusal(file),
                  fmt::format("x.gguf: number of tensors at byte 8: expected at most {}, which is what the {} bytes left could hold, "
                              "found {}",
                              n_left / 33, n_left, count));
    }
}

TEST(GgufBadInput, MoreMetadataThanTheFileCouldHold) {
    RawFile file = good_file();
    const std::size_t n_left = file.bytes().size() - 24;
    for (const uint64_t count : {kMinus1, uint64_t{1} << 63, uint64_t{1} << 60, uint64_t{n_left / 14 + 1}}) {
        file.n_entries = count;
        EXPECT_EQ(refusal(file),
                  fmt::format("x.gguf: number of metadata entries at byte 16: expected at most {}, which is what the {} bytes left "
                              "could hold, found {}",
                              n_left / 14, n_left, count));
    }
}

TEST(GgufBadInput, CountsThatAreOneTooLargeOrTooSmall) {
    RawFile file = good_file();
    file.n_tensors = 3;
    EXPECT_NE(refusal(file), "");
    file.n_tensors = 1;  // the second description is then the data
    EXPECT_EQ(refusal(file), "");
    file = good_file();
    file.n_entries = 18;
    EXPECT_NE(refusal(file), "");
    file.n_entries = 16;
    EXPECT_NE(refusal(file), "");
}

TEST(GgufBadInput, KeysThatAreEmptyTooLongOrNotText) {
    EXPECT_EQ(refusal(with_entry({"", 7, "\1"})), "x.gguf: metadata entry 1 of 1: key: expected a name, found an empty one");
    EXPECT_EQ(refusal(with_entry({"a\nb", 7, "\1"})),
              R"(x.gguf: metadata entry 1 of 1: key "a\x0ab": expected no control characters, found \x0a)");
    EXPECT_EQ(refusal(with_entry({std::string(65536, 'k'), 7, "\1"})),
              "x.gguf: metadata entry 1 of 1: key at byte 24: expected at most 65535 characters, found 65536");
    EXPECT_EQ(refusal(with_entry({std::string(65535, 'k'), 7, "\1"})), "");
}

TEST(GgufBadInput, AKeyOfLengthMinus1) {
    RawFile file = good_file();
    std::string bytes = file.bytes();
    bytes.replace(24, 8, raw(kMinus1));
    EXPECT_EQ(refusal(bytes),
              "x.gguf: metadata entry 1 of 17: key at byte 24: expected at most 65535 characters, found 18446744073709551615");
}

TEST(GgufBadInput, AKeyTwice) {
    RawFile file = good_file();
    file.entries.push_back({"a.bool", 7, "\1"});
    EXPECT_EQ(refusal(file), "x.gguf: metadata entry 18 of 18: \"a.bool\": expected each key once, found it again");
}

TEST(GgufBadInput, UnknownValueTypes) {
    EXPECT_EQ(refusal(with_entry({"k", 13, raw<uint64_t>(0)})),
              "x.gguf: metadata entry 1 of 1: \"k\": value type: expected 0 to 12, found 13");
    EXPECT_EQ(refusal(with_entry({"k", 0xffffffff, raw<uint64_t>(0)})),
              "x.gguf: metadata entry 1 of 1: \"k\": value type: expected 0 to 12, found 4294967295");
    EXPECT_EQ(refusal(with_entry({"k", 9, raw_array<uint64_t>(13, {1})})),
              "x.gguf: metadata entry 1 of 1: \"k\": array element type at byte 37: expected 0 to 12, found 13");
}

TEST(GgufBadInput, BoolsThatAreNeitherTrueNorFalse) {
    EXPECT_EQ(refusal(with_entry({"k", 7, "\2"})), "x.gguf: metadata entry 1 of 1: \"k\": bool at byte 37: expected 0 or 1, found 2");
    EXPECT_EQ(refusal(with_entry({"k", 9, raw_array<std::uint8_t>(7, {1, 255})})),
              "x.gguf: metadata entry 1 of 1: \"k\": bool at byte 50: expected 0 or 1, found 255");
}

TEST(GgufBadInput, StringsThatGoOnPastTheEndOfTheFile) {
    RawFile file = with_entry({"k", 8, raw<uint64_t>(1000) + "abc"});
    const std::size_t n_left = file.bytes().size() - 45;
    EXPECT_EQ(refusal(file),
              fmt::format("x.gguf: metadata entry 1 of 1: \"k\": string at byte 45: expected 1000 bytes, found {} before the file "
                          "ends: is it cut off?",
                          n_left));
    for (const uint64_t length : {kMinus1, uint64_t{1} << 63, (uint64_t{1} << 31) + 1}) {
        EXPECT_EQ(refusal(with_entry({"k", 8, raw(length) + "abc"})),
                  fmt::format("x.gguf: metadata entry 1 of 1: \"k\": string at byte 37: expected at most 1073741824 characters, found {}",
                              length));
        EXPECT_EQ(refusal(with_entry({"k", 9, raw<uint32_t>(8) + raw<uint64_t>(1) + raw(length)})),
                  fmt::format("x.gguf: metadata entry 1 of 1: \"k\": string at byte 49: expected at most 1073741824 characters, found {}",
                              length));
    }
}

// With every element type, as each has its own reading loop; the counts are such that count * size wraps to something small.
TEST(GgufBadInput, ArraysLongerThanTheFile) {
    for (const uint32_t type : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 10u, 11u, 12u}) {
        for (const uint64_t count :
             {kMinus1, (uint64_t{1} << 61) + 1, (uint64_t{1} << 62) + 1, (uint64_t{1} << 63) + 1, uint64_t{100000}}) {
            const std::string message = refusal(with_entry({"k", 9, raw(type) + raw(count) + raw<uint64_t>(0)}));
            EXPECT_TRUE(message.starts_with("x.gguf: metadata entry 1 of 1: \"k\": array length at byte 41: expected at most ")) << message;
            EXPECT_TRUE(message.ends_with(fmt::format(" bytes left could hold, found {}", count))) << message;
        }
    }
}

TEST(GgufBadInput, ArraysOfArrays) {
    const std::string inner = raw_array<uint32_t>(4, {1, 2});
    EXPECT_EQ(refusal(with_entry({"k", 9, raw<uint32_t>(9) + raw<uint64_t>(1) + inner})),
              "x.gguf: metadata entry 1 of 1: \"k\": array element type at byte 37: expected plain values, found arrays");
    // Nested so deep that a recursive reader would run out of stack.
    std::string nested;
    for (int i = 0; i < 100000; ++i) nested += raw<uint32_t>(9) + raw<uint64_t>(1);
    EXPECT_EQ(refusal(with_entry({"k", 9, nested})),
              "x.gguf: metadata entry 1 of 1: \"k\": array element type at byte 37: expected plain values, found arrays");
}

TEST(GgufBadInput, AlignmentsThatAreNoPowerOfTwoOrOutOfRange) {
    for (const uint32_t alignment : {0u, 1u, 4u, 13u, 48u, 1u << 25, 1u << 31, 0xffffffffu}) {
        EXPECT_EQ(refusal(with_entry({"general.alignment", 4, raw(alignment)})),
                  fmt::format("x.gguf: general.alignment: expected a power of two from 8 to 16777216, found {}", alignment));
    }
}

TEST(GgufBadInput, AlignmentsOfAnotherType) {
    const std::string expected = "x.gguf: metadata entry 1 of 1: general.alignment: expected value type 4 (uint32), found ";
    EXPECT_EQ(refusal(with_entry({"general.alignment", 10, raw<uint64_t>(32)})), expected + "10");
    EXPECT_EQ(refusal(with_entry({"general.alignment", 5, raw<std::int32_t>(32)})), expected + "5");
    EXPECT_EQ(refusal(with_entry({"general.alignment", 8, raw_string("32")})), expected + "8");
    EXPECT_EQ(refusal(with_entry({"general.alignment", 9, raw_array<uint32_t>(4, {32})})), expected + "9");
}

TEST(GgufBadInput, AHugeAlignmentPutsTheDataPastTheEnd) {
    RawFile file = good_file();
    file.entries = {{"general.alignment", 4, raw<uint32_t>(1 << 24)}};
    file.tensors = {{"t", {1}, 0, 0}};
    EXPECT_EQ(refusal(file),
              "x.gguf: tensor \"t\": expected 4 bytes at 0 of the tensor data, found only 0 bytes of data: is the file cut off?");
}

TEST(GgufBadInput, TensorNamesThatAreEmptyTooLongOrNotText) {
    EXPECT_EQ(refusal(with_tensor({"", {1}, 0, 0})), "x.gguf: tensor 1 of 1: name: expected a name, found an empty one");
    EXPECT_EQ(refusal(with_tensor({std::string(64, 'n'), {1}, 0, 0})), "");
    EXPECT_EQ(refusal(with_tensor({std::string(65, 'n'), {1}, 0, 0})),
              "x.gguf: tensor 1 of 1: name at byte 24: expected at most 64 characters, found 65");
    EXPECT_EQ(refusal(with_tensor({std::string("a\0b", 3), {1}, 0, 0})),
              R"(x.gguf: tensor 1 of 1: name "a\x00b": expected no control characters, found \x00)");
}

TEST(GgufBadInput, DimensionsTooFewOrTooMany) {
    EXPECT_EQ(refusal(with_tensor({"t", {}, 0, 0})),
              "x.gguf: tensor 1 of 1: \"t\": number of dimensions at byte 33: expected 1 to 4, found 0");
    EXPECT_EQ(refusal(with_tensor({"t", {1, 1, 1, 1}, 0, 0})), "");
    EXPECT_EQ(refusal(with_tensor({"t", {1, 1, 1, 1, 1}, 0, 0})),
              "x.gguf: tensor 1 of 1: \"t\": number of dimensions at byte 33: expected 1 to 4, found 5");
    EXPECT_EQ(refusal(with_tensor({"t", {1}, 0, 0, 0xffffffff})),
              "x.gguf: tensor 1 of 1: \"t\": number of dimensions at byte 33: expected 1 to 4, found 4294967295");
}

TEST(GgufBadInput, DimensionsThatAreZeroNegativeOrTooLarge) {
    EXPECT_EQ(refusal(with_tensor({"t", {4, 0}, 0, 0})), "x.gguf: tensor 1 of 1: \"t\": dimension 1: expected 1 to 2^42, found 0");
    EXPECT_EQ(refusal(with_tensor({"t", {kMinus1}, 0, 0})), "x.gguf: tensor 1 of 1: \"t\": dimension 0: expected 1 to 2^42, found -1");
    EXPECT_EQ(refusal(with_tensor({"t", {(uint64_t{1} << 42) + 1}, 0, 0})),
              "x.gguf: tensor 1 of 1: \"t\": dimension 0: expected 1 to 2^42, found 4398046511105");
}

TEST(GgufBadInput, SizesThatWrapAreRefused) {
    constexpr uint64_t k42 = uint64_t{1} << 42;
    EXPECT_EQ(refusal(with_tensor({"t", {k42, k42, k42, k42}, 0, 0})),
              "x.gguf: tensor 1 of 1: \"t\": shape [4398046511104, 4398046511104, 4398046511104, 4398046511104] of F32: expected a size "
              "below 2^64 "
              "bytes");
    EXPECT_EQ(refusal(with_tensor({"t", {uint64_t{1} << 31, uint64_t{1} << 31}, 0, 0})),  // 2^64 bytes: 0 if it wrapped
              "x.gguf: tensor 1 of 1: \"t\": shape [2147483648, 2147483648] of F32: expected a size below 2^64 bytes");
    EXPECT_EQ(refusal(with_tensor({"t", {uint64_t{1} << 31, (uint64_t{1} << 31) - 1}, 0, 0})),  // just below: larger than the file
              "x.gguf: tensor \"t\": expected 18446744065119617024 bytes at 0 of the tensor data, found only 68 bytes of data: is the file "
              "cut off?");
}

TEST(GgufBadInput, RowsThatAreNoWholeBlocks) {
    EXPECT_EQ(refusal(with_tensor({"t", {33, 32}, 2, 0})),
              "x.gguf: tensor 1 of 1: \"t\": rows of 33 elements: expected a multiple of 32, the block of Q4_0");
    EXPECT_EQ(refusal(with_tensor({"t", {128, 2}, 12, 0})),
              "x.gguf: tensor 1 of 1: \"t\": rows of 128 elements: expected a multiple of 256, the block of Q4_K");
}

TEST(GgufBadInput, TensorTypesAreNamedWhenTheyAreKnownButNotSupported) {
    const std::string start =
        "x.gguf: tensor 1 of 1: \"t\": type: expected one of F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, "
        "Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4, I32; found ";
    EXPECT_EQ(refusal(with_tensor({"t", {256}, 16, 0})), start + "IQ2_XXS (id 16)");
    EXPECT_EQ(refusal(with_tensor({"t", {256}, 34, 0})), start + "TQ1_0 (id 34)");
    EXPECT_EQ(refusal(with_tensor({"t", {256}, 41, 0})), start + "Q1_0 (id 41)");
    EXPECT_EQ(refusal(with_tensor({"t", {256}, 28, 0})), start + "F64 (id 28)");
    EXPECT_EQ(refusal(with_tensor({"t", {256}, 42, 0})), start + "an unknown one (id 42)");
    EXPECT_EQ(refusal(with_tensor({"t", {256}, 0xffffffff, 0})), start + "an unknown one (id 4294967295)");
}

TEST(GgufBadInput, OffsetsThatAreNotAligned) {
    EXPECT_EQ(refusal(with_tensor({"t", {1}, 0, 4})),
              "x.gguf: tensor 1 of 1: \"t\": offset: expected a multiple of the alignment 32, found 4");
}

TEST(GgufBadInput, DataPastTheEndOfTheFile) {
    EXPECT_EQ(refusal(with_tensor({"t", {18}, 0, 0})),
              "x.gguf: tensor \"t\": expected 72 bytes at 0 of the tensor data, found only 68 bytes of data: is the file cut off?");
    EXPECT_EQ(refusal(with_tensor({"t", {17}, 0, 0})), "");
    EXPECT_EQ(refusal(with_tensor({"t", {2}, 0, 64})),
              "x.gguf: tensor \"t\": expected 8 bytes at 64 of the tensor data, found only 68 bytes of data: is the file cut off?");
    EXPECT_EQ(refusal(with_tensor({"t", {8}, 0, kMinus1 - 31})),  // offset + size wraps to 0
              "x.gguf: tensor \"t\": expected 32 bytes at 18446744073709551584 of the tensor data, found only 68 bytes of data: is the "
              "file cut off?");
}

TEST(GgufBadInput, ATensorNameTwice) {
    RawFile file = good_file();
    file.tensors[1].name = "a.weight";
    EXPECT_EQ(refusal(file), "x.gguf: tensor \"a.weight\": expected each name once, found it again");
}

TEST(GgufBadInput, TensorsThatShareBytes) {
    RawFile file = good_file();
    file.tensors[1].offset = 0;
    EXPECT_EQ(refusal(file), "x.gguf: tensor \"b.weight\": expected an offset of 24 or more, where \"a.weight\" ends, found 0");
}

TEST(GgufBadInput, TensorsMayComeInAnyOrderWithGapsBetween) {
    RawFile file = good_file();
    file.tensors = {{"b", {3}, 0, 64}, {"a", {3}, 0, 0}};
    file.data.resize(128);
    EXPECT_EQ(refusal(file), "");
}

TEST(GgufBadInput, AFileCutOffAtAnyByteIsRefused) {
    for (const std::uint32_t version : {2u, 3u}) {
        RawFile file = good_file();
        file.version = version;
        const std::string bytes = file.bytes();
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            const std::string message = refusal(bytes.substr(0, size));
            ASSERT_TRUE(message.starts_with("x.gguf: ")) << size << " of " << bytes.size() << " bytes: " << message;
            // A count is compared with what is left, the rest with the end.
            const bool says_why = message.find("is it cut off?") != message.npos || message.find("is the file cut off?") != message.npos ||
                                  message.find("bytes left could hold") != message.npos;
            ASSERT_TRUE(says_why) << size << ": " << message;
        }
        ASSERT_EQ(refusal(bytes), "");
    }
}

// Nothing is expected but that parsing ends, and that what it hands out lies in the file: run it under the sanitizers.
TEST(GgufBadInput, AnyByteMayHaveAnyValue) {
    const std::string good = good_file().bytes();
    std::size_t n_accepted = 0;
    for (std::size_t i = 0; i < good.size(); ++i) {
        const int n_values = tests::rounds(256);  // spread over all, and others for the next byte
        for (int k = 0; k < n_values; ++k) {
            std::string bytes = good;
            bytes[i] = static_cast<char>((k * 256 / n_values + static_cast<int>(i)) % 256);
            const auto file = GgufFile::parse(as_bytes(bytes), "x.gguf");
            if (!file) continue;
            ++n_accepted;
            for (const NamedTensor& tensor : file->tensors()) {
                ASSERT_GE(tensor.bytes.data(), as_bytes(bytes).data());
                ASSERT_LE(tensor.bytes.data() + tensor.bytes.size(), as_bytes(bytes).data() + bytes.size());
            }
        }
    }
    EXPECT_GT(n_accepted, good.size());
    EXPECT_LT(n_accepted, good.size() * static_cast<std::size_t>(tests::rounds(256)));
}

TEST(GgufBadInput, APartOfASplitFileIsNotAWholeFile) {
    RawFile file = good_file();
    file.entries = {{"split.no", 2, raw<std::uint16_t>(1)}, {"split.count", 2, raw<std::uint16_t>(3)}};
    EXPECT_EQ(refusal(file), "x.gguf: expected a whole file, found part 2 of 3");
    file.entries[0].payload = raw<std::uint16_t>(3);
    EXPECT_EQ(refusal(file), "x.gguf: split.no: expected less than split.count 3, found 3");
    file.entries[0] = {"split.no", 8, raw_string("one")};
    EXPECT_EQ(refusal(file), "x.gguf: \"split.no\": expected a non-negative integer, found the string \"one\"");
    file.entries.erase(file.entries.begin());
    EXPECT_EQ(refusal(file), "x.gguf: \"split.no\": expected a non-negative integer, found no such key");
}

}  // namespace
}  // namespace rafter::files
