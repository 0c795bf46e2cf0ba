// The interleaved layout of weights: nothing is lost, nothing is added.
#include "backend/cpu/packed_matrix.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/packed_layout.h"
#include "tensor/formats/formats.h"
#include "tests/backend/weights_for_tests.h"

namespace rafter::backend::cpu {
namespace {

using tensor::DType;

class EveryFormat : public testing::TestWithParam<DType> {
  protected:
    const tensor::FormatInfo& format_ = tensor::format_of(GetParam());
    std::mt19937 random_{7};
    [[nodiscard]] std::uint32_t n_cols(std::uint32_t n_blocks) const { return n_blocks * format_.block_elements; }
};

TEST_P(EveryFormat, GivesEveryRowBackByteForByte) {
    for (const std::uint32_t n_rows : {1U, 15U, 16U, 17U, 50U}) {
        const std::uint32_t k = n_cols(3);
        const std::vector<std::byte> source = tests::random_blocks(GetParam(), n_rows, k, random_);
        std::vector<std::byte> packed(packed_bytes(GetParam(), n_rows, k));
        const PackedMatrix matrix = packed_matrix(GetParam(), n_rows, k, packed.data());
        pack_panels(matrix, source.data(), 0, matrix.n_panels, packed.data());
        const std::size_t row_bytes = format_.row_bytes(k);
        for (std::uint32_t row = 0; row < n_rows; ++row) {
            std::vector<std::byte> found(row_bytes);
            unpack_row(matrix, row, found.data());
            ASSERT_EQ(std::memcmp(found.data(), source.data() + row * row_bytes, row_bytes), 0) << "row " << row << " of " << n_rows;
        }
    }
}

TEST_P(EveryFormat, DecodesARowAsTheFormatDoes) {
    const std::uint32_t k = n_cols(5000 / format_.block_elements);  // more than decode_row takes at a time
    const std::vector<std::byte> source = tests::random_blocks(GetParam(), 18, k, random_);
    std::vector<std::byte> packed(packed_bytes(GetParam(), 18, k));
    const PackedMatrix matrix = packed_matrix(GetParam(), 18, k, packed.data());
    pack_panels(matrix, source.data(), 0, matrix.n_panels, packed.data());
    for (std::uint32_t row = 0; row < 18; ++row) {
        std::vector<float> expected(k);
        std::vector<float> found(k);
        format_.decode(source.data() + row * format_.row_bytes(k), expected.data(), k);
        decode_row(matrix, row, found.data());
        ASSERT_EQ(found, expected) << "row " << row;
    }
}

TEST_P(EveryFormat, TakesTheSourcesBytesAndPanelsCanBePackedByDifferentThreads) {
    const std::uint32_t k = n_cols(2);
    EXPECT_EQ(packed_bytes(GetParam(), 48, k), 48 * format_.row_bytes(k));
    EXPECT_EQ(packed_bytes(GetParam(), 33, k), 48 * format_.row_bytes(k));
    const std::vector<std::byte> source = tests::random_blocks(GetParam(), 33, k, random_);
    std::vector<std::byte> whole(packed_bytes(GetParam(), 33, k));
    std::vector<std::byte> pieces(whole.size(), std::byte{0xee});
    const PackedMatrix matrix = packed_matrix(GetParam(), 33, k, whole.data());
    pack_panels(matrix, source.data(), 0, 3, whole.data());
    for (const std::uint32_t panel : {2U, 0U, 1U}) pack_panels(matrix, source.data(), panel, panel + 1, pieces.data());
    EXPECT_EQ(whole, pieces);
}

TEST_P(EveryFormat, HasADescriptionOfItsFieldsThatCoversTheBlock) {
    std::size_t bytes = 0;
    std::vector<int> covered(format_.block_bytes, 0);
    for (const PackedField& field : described_fields(GetParam())) {
        bytes += std::size_t{field.unit} * field.count;
        ASSERT_LE(field.from + std::size_t{field.unit} * field.count, format_.block_bytes);
        for (std::size_t i = 0; i < std::size_t{field.unit} * field.count; ++i) ++covered[field.from + i];
    }
    EXPECT_EQ(bytes, format_.block_bytes);
    EXPECT_EQ(covered, std::vector<int>(format_.block_bytes, 1)) << "each byte in one field";
}

INSTANTIATE_TEST_SUITE_P(PackedMatrix, EveryFormat, testing::ValuesIn(tests::matrix_formats()),
                         [](const auto& tested) { return std::string(tensor::format_of(tested.param).name); });

TEST(PackedMatrix, PutsTheSameFourBytesOfSixteenRowsSideBySide) {
    std::vector<std::byte> source(16 * 18);
    for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(i % 18 < 2 ? i / 18 : i % 18 + 16 * (i / 18));
    std::vector<std::byte> packed(source.size());
    const PackedMatrix matrix = packed_matrix(DType::kQ4_0, 16, 32, packed.data());
    pack_panels(matrix, source.data(), 0, 1, packed.data());
    for (std::size_t row = 0; row < 16; ++row) {
        EXPECT_EQ(std::memcmp(&packed[2 * row], &source[18 * row], 2), 0);
        for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(std::memcmp(&packed[32 + 64 * i + 4 * row], &source[18 * row + 2 + 4 * i], 4), 0);
    }
}

TEST(PackedMatrix, PutsTheFifthBitOfAnElementWhereItsVectorHasIt) {
    for (int element = 0; element < 32; ++element) {
        const std::uint32_t packed = pack_fifth_bits(1U << element);
        EXPECT_EQ(packed, 1U << (8 * (element % 4) + element / 4)) << element;
        EXPECT_EQ(unpack_fifth_bits(packed), 1U << element);
    }
    EXPECT_EQ(unpack_fifth_bits(pack_fifth_bits(0xdeadbeefU)), 0xdeadbeefU);
}

// A format that nobody described: whole blocks side by side.
TEST(PackedMatrix, KeepsBlocksWholeWithoutADescription) {
    std::byte group[16 * 5];
    for (std::size_t i = 0; i < sizeof group; ++i) group[i] = static_cast<std::byte>(i);
    std::byte block[5];
    unpack_block({nullptr, 0}, sizeof block, group, 3, block);
    EXPECT_EQ(std::memcmp(block, group + 15, sizeof block), 0);
}

}  // namespace
}  // namespace rafter::backend::cpu
