// The layout of weights in memory: rows in panels of 16, and within a panel the blocks of 16 rows interleaved, field by field and unit by
// unit, so that one vector load gives the same four bytes of all 16 rows. With fields of o bytes before it, a field made of units of u
// bytes is at byte 16 * o of the 16 interleaved blocks, unit i of row r at 16 * o + (16 * i + r) * u: the same bytes in another order, so
// the size is the source's and the source can be restored. Fields come in the order in which kernels read them: memory that is read from
// end to end is what processors fetch ahead by themselves.
//
// A format is described by its fields. One without a description is kept as whole blocks, side by side, and works through the generic
// kernels. Linkage is internal: kernels compiled for one instruction set include this.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/formats/all.h"

namespace rafter::backend::cpu {
namespace {

constexpr std::uint32_t kPanelRows = 16;

struct PackedField {
    std::uint16_t from;   // its first byte in the source's block
    std::uint16_t unit;   // bytes that stay together: 4 for payloads, 2 for 16-bit floats, 1 for small scales
    std::uint16_t count;  // units
    // Q5_0 and Q5_1 keep the fifth bit of element e in bit e of a word. Vectors want it beside the four others: element 4t + i in bit t of
    // byte i.
    bool fifth_bits = false;
};

struct PackedFields {
    const PackedField* begin_;
    std::size_t n;
    [[nodiscard]] constexpr const PackedField* begin() const { return begin_; }
    [[nodiscard]] constexpr const PackedField* end() const { return begin_ + n; }
};

template <std::size_t kFields>
constexpr PackedFields fields(const PackedField (&array)[kFields]) {
    return {array, kFields};
}

// A format's fields; none for one without a row.
template <typename Format>
constexpr PackedFields kFieldsOf = {nullptr, 0};

constexpr PackedField kFields32Bit[] = {{0, 4, 1}};
constexpr PackedField kFields16Bit[] = {{0, 2, 1}};
constexpr PackedField kFieldsQ4_0[] = {{0, 2, 1}, {2, 4, 4}};                              // d, qs; IQ4_NL too
constexpr PackedField kFieldsQ4_1[] = {{0, 2, 2}, {4, 4, 4}};                              // d m, qs
constexpr PackedField kFieldsQ5_0[] = {{0, 2, 1}, {2, 4, 1, true}, {6, 4, 4}};             // d, qh, qs
constexpr PackedField kFieldsQ5_1[] = {{0, 2, 2}, {4, 4, 1, true}, {8, 4, 4}};             // d m, qh, qs
constexpr PackedField kFieldsQ8_0[] = {{0, 2, 1}, {2, 4, 8}};                              // d, qs
constexpr PackedField kFieldsQ2_K[] = {{80, 2, 2}, {0, 1, 16}, {16, 4, 16}};               // d dmin, scales, qs
constexpr PackedField kFieldsQ3_K[] = {{108, 2, 1}, {96, 1, 12}, {0, 4, 8}, {32, 4, 16}};  // d, scales, hmask, qs
constexpr PackedField kFieldsQ4_K[] = {{0, 2, 2}, {4, 1, 12}, {16, 4, 32}};                // d dmin, scales, qs
constexpr PackedField kFieldsQ5_K[] = {{0, 2, 2}, {4, 1, 12}, {16, 4, 8}, {48, 4, 32}};    // d dmin, scales, qh, qs
constexpr PackedField kFieldsIQ4_XS[] = {{0, 2, 1}, {2, 1, 2}, {4, 1, 4}, {8, 4, 32}};     // d, scales_h, scales_l, qs
constexpr PackedField kFieldsMXFP4[] = {{0, 1, 1}, {1, 4, 4}};                             // e, qs
constexpr PackedField kFieldsQ6_K[] = {
    {208, 2, 1}, {192, 1, 16},               // d, scales
    {0, 4, 8},   {128, 4, 8},  {32, 4, 8},   // of the first 128: ql of steps 0 and 2, qh, ql of steps 1 and 3
    {64, 4, 8},  {160, 4, 8},  {96, 4, 8}};  // of the others

template <>
constexpr PackedFields kFieldsOf<tensor::F32> = fields(kFields32Bit);
template <>
constexpr PackedFields kFieldsOf<tensor::F16> = fields(kFields16Bit);
template <>
constexpr PackedFields kFieldsOf<tensor::BF16> = fields(kFields16Bit);
template <>
constexpr PackedFields kFieldsOf<tensor::Q4_0> = fields(kFieldsQ4_0);
template <>
constexpr PackedFields kFieldsOf<tensor::IQ4_NL> = fields(kFieldsQ4_0);
template <>
constexpr PackedFields kFieldsOf<tensor::Q4_1> = fields(kFieldsQ4_1);
template <>
constexpr PackedFields kFieldsOf<tensor::Q5_0> = fields(kFieldsQ5_0);
template <>
constexpr PackedFields kFieldsOf<tensor::Q5_1> = fields(kFieldsQ5_1);
template <>
constexpr PackedFields kFieldsOf<tensor::Q8_0> = fields(kFieldsQ8_0);
template <>
constexpr PackedFields kFieldsOf<tensor::Q2_K> = fields(kFieldsQ2_K);
template <>
constexpr PackedFields kFieldsOf<tensor::Q3_K> = fields(kFieldsQ3_K);
template <>
constexpr PackedFields kFieldsOf<tensor::Q4_K> = fields(kFieldsQ4_K);
template <>
constexpr PackedFields kFieldsOf<tensor::Q5_K> = fields(kFieldsQ5_K);
template <>
constexpr PackedFields kFieldsOf<tensor::Q6_K> = fields(kFieldsQ6_K);
template <>
constexpr PackedFields kFieldsOf<tensor::IQ4_XS> = fields(kFieldsIQ4_XS);
template <>
constexpr PackedFields kFieldsOf<tensor::MXFP4> = fields(kFieldsMXFP4);

template <typename... Formats>
constexpr PackedFields find_fields(tensor::DType dtype, tensor::FormatList<Formats...> /*list*/) {
    PackedFields found = {nullptr, 0};
    ((Formats::kDType == dtype ? found = kFieldsOf<Formats> : found), ...);
    return found;
}
// Empty for a format without a description.
constexpr PackedFields described_fields(tensor::DType dtype) { return find_fields(dtype, tensor::AllFormats()); }

// Where bit t of each byte value goes when bits 8b + j (of byte b) move to bit 8 * (j % 4) + 2b + j / 4; for b = 0.
struct FifthBitTables {
    std::uint32_t pack[256];
    std::uint32_t unpack[256];  // bit t of byte i goes to bit 4t + i; for i = 0
};
constexpr FifthBitTables fifth_bit_tables() {
    FifthBitTables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        for (std::uint32_t bit = 0; bit < 8; ++bit) {
            if ((byte >> bit & 1U) == 0) continue;
            tables.pack[byte] |= 1U << (8 * (bit % 4) + bit / 4);
            tables.unpack[byte] |= 1U << (4 * bit);
        }
    }
    return tables;
}
constexpr FifthBitTables kFifthBits = fifth_bit_tables();

[[maybe_unused]] std::uint32_t pack_fifth_bits(std::uint32_t word) {
    std::uint32_t packed = 0;
    for (int b = 0; b < 4; ++b) packed |= kFifthBits.pack[word >> (8 * b) & 255U] << (2 * b);
    return packed;
}
[[maybe_unused]] std::uint32_t unpack_fifth_bits(std::uint32_t packed) {
    std::uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word |= kFifthBits.unpack[packed >> (8 * i) & 255U] << i;
    return word;
}

// Gives back row `row`'s block of 16 interleaved ones.
[[maybe_unused]] void unpack_block(PackedFields packed_fields, std::size_t block_bytes, const std::byte* group, std::size_t row,
                                   void* block) {
    auto* const whole = static_cast<std::byte*>(block);
    if (packed_fields.n == 0) {
        __builtin_memcpy(whole, group + row * block_bytes, block_bytes);
        return;
    }
    for (const PackedField& field : packed_fields) {
        const std::size_t unit = field.unit;
        std::byte* out = whole + field.from;
        for (std::size_t i = 0; i < field.count; ++i, out += unit) {
            const std::byte* in = group + (kPanelRows * i + row) * unit;
            switch (unit) {  // constant sizes: each is one instruction
                case 1:
                    *out = *in;
                    break;
                case 2:
                    __builtin_memcpy(out, in, 2);
                    break;
                default:
                    __builtin_memcpy(out, in, 4);
                    break;
            }
        }
        if (field.fifth_bits) {
            std::uint32_t word = 0;
            __builtin_memcpy(&word, whole + field.from, 4);
            word = unpack_fifth_bits(word);
            __builtin_memcpy(whole + field.from, &word, 4);
        }
        group += kPanelRows * unit * field.count;
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
