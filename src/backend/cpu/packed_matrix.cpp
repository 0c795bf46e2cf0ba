// Interleaving rows into panels, and getting rows back.
#include "backend/cpu/packed_matrix.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "backend/cpu/packed_layout.h"
#include "base/check.h"
#include "tensor/formats/formats.h"

namespace rafter::backend::cpu {
namespace {

template <std::size_t kUnit>
void scatter_units(const std::byte* in, std::size_t count, std::byte* out) {
    for (std::size_t i = 0; i < count; ++i) std::memcpy(out + kPanelRows * i * kUnit, in + i * kUnit, kUnit);
}

// Puts one row's block in its place among the 16.
void pack_block(PackedFields fields, std::size_t block_bytes, const std::byte* block, std::size_t row, std::byte* group) {
    if (fields.n == 0) {
        std::memcpy(group + row * block_bytes, block, block_bytes);
        return;
    }
    for (const PackedField& field : fields) {
        std::byte* out = group + row * field.unit;
        const std::byte* const in = block + field.from;
        if (field.fifth_bits) {
            std::uint32_t word = 0;
            std::memcpy(&word, in, sizeof word);
            word = pack_fifth_bits(word);
            std::memcpy(out, &word, sizeof word);
        } else if (field.unit == 4) {
            scatter_units<4>(in, field.count, out);
        } else if (field.unit == 2) {
            scatter_units<2>(in, field.count, out);
        } else {
            scatter_units<1>(in, field.count, out);
        }
        group += kPanelRows * std::size_t{field.unit} * field.count;
    }
}

constexpr std::size_t kVectorBytes = 16;  // which every x86-64 shuffles

// Packed weights are next read when all of them are packed, so they go to memory without a line being read for them first: half of the time
// of packing, where the kernel has not just cleared the page, and a twentieth where it has. out: 16-byte aligned. wait_for_stores() before
// another thread reads them.
template <typename Vector>
void store_past_caches(std::byte* out, const Vector& value) {
#if defined(__SSE2__)
    _mm_stream_si128(reinterpret_cast<__m128i*>(out), std::bit_cast<__m128i>(value));
#else
    std::memcpy(out, &value, kVectorBytes);
#endif
}
void wait_for_stores() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

template <typename Element>
struct Lanes {
    static constexpr std::size_t kCount = kVectorBytes / sizeof(Element);
    using Vector [[gnu::vector_size(kVectorBytes)]] = Element;

    // The first, or the last, halves of two vectors, element by element in turn.
    template <std::size_t... I>
    static Vector interleaved(Vector a, Vector b, std::size_t half, std::index_sequence<I...>) {
        return half == 0 ? __builtin_shufflevector(a, b, (I / 2 + I % 2 * kCount)...)
                         : __builtin_shufflevector(a, b, (kCount / 2 + I / 2 + I % 2 * kCount)...);
    }
    struct Square {
        Vector rows[kCount];
    };
    // Interleaving the halves of the list log2(kCount) times exchanges rows and columns.
    static void transpose(Square& square) {
        constexpr auto kAll = std::make_index_sequence<kCount>();
        for (std::size_t round = 1; round < kCount; round *= 2) {
            const Square from = square;
            for (std::size_t i = 0; i < kCount / 2; ++i) {
                square.rows[2 * i] = interleaved(from.rows[i], from.rows[i + kCount / 2], 0, kAll);
                square.rows[2 * i + 1] = interleaved(from.rows[i], from.rows[i + kCount / 2], 1, kAll);
            }
        }
    }
};

enum class Stores { kThroughCaches, kPastCaches };

// n_cols columns of 16 rows, row_bytes from one to the next, as [n_cols][16], in squares of elements. n_cols: a multiple of a vector's.
template <typename Element, Stores kStores>
void pack_squares(const std::byte* rows, std::size_t row_bytes, std::size_t n_cols, std::byte* out) {
    using L = Lanes<Element>;
    for (std::size_t k = 0; k < n_cols; k += L::kCount) {
        typename L::Square squares[kPanelRows / L::kCount];
        for (std::size_t r = 0; r < kPanelRows; ++r) {
            std::memcpy(&squares[r / L::kCount].rows[r % L::kCount], rows + r * row_bytes + k * sizeof(Element), kVectorBytes);
        }
        for (typename L::Square& square : squares) L::transpose(square);
        for (std::size_t i = 0; i < L::kCount; ++i) {
            for (const typename L::Square& square : squares) {
                if constexpr (kStores == Stores::kPastCaches) {
                    store_past_caches(out, square.rows[i]);
                } else {
                    std::memcpy(out, &square.rows[i], kVectorBytes);
                }
                out += kVectorBytes;
            }
        }
    }
}

// The same for n rows, one by one.
template <std::size_t kUnit>
void pack_units(const std::byte* rows, std::size_t row_bytes, std::uint32_t n, std::size_t n_units, std::byte* out) {
    for (std::uint32_t r = 0; r < n; ++r) {
        for (std::size_t i = 0; i < n_units; ++i) {
            std::memcpy(out + (kPanelRows * i + r) * kUnit, rows + r * row_bytes + i * kUnit, kUnit);
        }
    }
}

// Rows of plain elements (F32, F16, BF16): n rows of n_cols into [n_cols][16]. Whole panels go in squares of elements, which is as fast as
// memory is; what is left goes one by one.
template <typename Element>
void pack_elements(const std::byte* rows, std::size_t row_bytes, std::uint32_t n, std::size_t n_cols, std::byte* panel) {
    const std::size_t n_square_cols = n == kPanelRows ? n_cols / Lanes<Element>::kCount * Lanes<Element>::kCount : 0;
    pack_squares<Element, Stores::kPastCaches>(rows, row_bytes, n_square_cols, panel);
    pack_units<sizeof(Element)>(rows + n_square_cols * sizeof(Element), row_bytes, n, n_cols - n_square_cols,
                                panel + kPanelRows * n_square_cols * sizeof(Element));
}

// Up to 16 bytes of each of 16 rows as [n][16]; the square reads all 16.
void pack_bytes(const std::byte* rows, std::size_t row_bytes, std::size_t n, std::byte* out) {
    using L = Lanes<std::uint8_t>;
    L::Square square;
    for (std::size_t r = 0; r < kPanelRows; ++r) std::memcpy(&square.rows[r], rows + r * row_bytes, kVectorBytes);
    L::transpose(square);
    for (std::size_t i = 0; i < n; ++i) std::memcpy(out + i * kVectorBytes, &square.rows[i], kVectorBytes);
}

// One field of a block of each of 16 rows. n_readable: bytes from the field's first to the block's end.
void pack_field(const PackedField& field, const std::byte* rows, std::size_t row_bytes, std::size_t n_readable, std::byte* out) {
    constexpr std::size_t kMinSquareBytes = 5;  // fewer are faster one by one
    if (field.fifth_bits) {
        for (std::uint32_t r = 0; r < kPanelRows; ++r) {
            std::uint32_t word = 0;
            std::memcpy(&word, rows + r * row_bytes, sizeof word);
            word = pack_fifth_bits(word);
            std::memcpy(out + r * sizeof word, &word, sizeof word);
        }
    } else if (field.unit == 4 && field.count % Lanes<std::uint32_t>::kCount == 0) {
        pack_squares<std::uint32_t, Stores::kThroughCaches>(rows, row_bytes, field.count, out);
    } else if (field.unit == 4) {
        pack_units<4>(rows, row_bytes, kPanelRows, field.count, out);
    } else if (field.unit == 2) {
        pack_units<2>(rows, row_bytes, kPanelRows, field.count, out);
    } else if (field.count >= kMinSquareBytes && field.count <= kVectorBytes && n_readable >= kVectorBytes) {
        pack_bytes(rows, row_bytes, field.count, out);
    } else {
        pack_units<1>(rows, row_bytes, kPanelRows, field.count, out);
    }
}

void check_fields(const tensor::FormatInfo& format, PackedFields fields) {
    std::size_t bytes = 0;
    for (const PackedField& field : fields) bytes += std::size_t{field.unit} * field.count;
    RAFTER_CHECK(fields.n == 0 || bytes == format.block_bytes, "{}: fields of {} bytes, block of {}", format.name, bytes,
                 format.block_bytes);
}

}  // namespace

PackedMatrix packed_matrix(tensor::DType dtype, std::uint32_t n_rows, std::uint32_t n_cols, const std::byte* data) {
    const tensor::FormatInfo& format = tensor::format_of(dtype);
    RAFTER_CHECK(n_rows > 0 && n_cols > 0 && n_cols % format.block_elements == 0, "{} [{}, {}]", format.name, n_rows, n_cols);
    return {.dtype = dtype,
            .n_rows = n_rows,
            .n_cols = n_cols,
            .n_panels = (n_rows + kPanelRows - 1) / kPanelRows,
            .panel_bytes = kPanelRows * format.row_bytes(n_cols),
            .data = data};
}

std::size_t packed_bytes(tensor::DType dtype, std::uint32_t n_rows, std::uint32_t n_cols) {
    const PackedMatrix matrix = packed_matrix(dtype, n_rows, n_cols, nullptr);
    return matrix.n_panels * matrix.panel_bytes;
}

void pack_panels(const PackedMatrix& matrix, const std::byte* rows, std::uint32_t first, std::uint32_t last, std::byte* data) {
    const tensor::FormatInfo& format = tensor::format_of(matrix.dtype);
    const PackedFields fields = described_fields(matrix.dtype);
    check_fields(format, fields);
    const std::size_t row_bytes = format.row_bytes(matrix.n_cols);
    const std::size_t block_bytes = format.block_bytes;
    for (std::uint32_t panel = first; panel < last; ++panel) {
        const std::uint32_t first_row = panel * kPanelRows;
        const std::uint32_t n = std::min(kPanelRows, matrix.n_rows - first_row);
        std::byte* group = data + panel * matrix.panel_bytes;
        if (n < kPanelRows) std::memset(group, 0, matrix.panel_bytes);
        if (format.block_elements == 1) {
            const auto pack = block_bytes == sizeof(float) ? pack_elements<float> : pack_elements<std::uint16_t>;
            pack(rows + first_row * row_bytes, row_bytes, n, matrix.n_cols, group);
            continue;
        }
        // Block by block, not row by row: the 16 interleaved blocks stay in L1 while the rows fill them.
        for (std::size_t offset = 0; offset < row_bytes; offset += block_bytes, group += kPanelRows * block_bytes) {
            if (n == kPanelRows && fields.n > 0) {
                const std::byte* const blocks = rows + first_row * row_bytes + offset;
                std::byte* out = group;
                for (const PackedField& field : fields) {
                    pack_field(field, blocks + field.from, row_bytes, block_bytes - field.from, out);
                    out += kPanelRows * std::size_t{field.unit} * field.count;
                }
                continue;
            }
            for (std::uint32_t r = 0; r < n; ++r) pack_block(fields, block_bytes, rows + (first_row + r) * row_bytes + offset, r, group);
        }
    }
    wait_for_stores();
}

void unpack_row(const PackedMatrix& matrix, std::uint32_t row, std::byte* blocks) {
    const tensor::FormatInfo& format = tensor::format_of(matrix.dtype);
    const PackedFields fields = described_fields(matrix.dtype);
    const std::byte* group = matrix.data + row / kPanelRows * matrix.panel_bytes;
    const std::byte* end = group + matrix.panel_bytes;
    for (; group < end; group += kPanelRows * format.block_bytes, blocks += format.block_bytes) {
        unpack_block(fields, format.block_bytes, group, row % kPanelRows, blocks);
    }
}

void decode_row(const PackedMatrix& matrix, std::uint32_t row, float* values) {
    const tensor::FormatInfo& format = tensor::format_of(matrix.dtype);
    const PackedFields fields = described_fields(matrix.dtype);
    const std::byte* group = matrix.data + row / kPanelRows * matrix.panel_bytes;
    std::byte blocks[1024];
    const std::size_t most = sizeof blocks / format.block_bytes;
    std::size_t n_left = matrix.n_cols / format.block_elements;
    while (n_left > 0) {
        const std::size_t n = std::min(n_left, most);
        for (std::size_t b = 0; b < n; ++b, group += kPanelRows * format.block_bytes) {
            unpack_block(fields, format.block_bytes, group, row % kPanelRows, blocks + b * format.block_bytes);
        }
        format.decode(blocks, values, n * format.block_elements);
        values += n * format.block_elements;
        n_left -= n;
    }
}

}  // namespace rafter::backend::cpu
