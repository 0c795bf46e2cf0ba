// The table of the formats: what each is called, how large its blocks are, and how to decode and encode a row of it.
// A format's own file (q4_k.h, ...) has the block struct and the formulas; this list is what everybody else asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tensor/dtype.h"

namespace rafter::tensor {

struct FormatInfo {
    DType dtype;
    std::string_view name;         // "Q4_K", as GGUF tools print it
    std::uint32_t gguf_type;       // the id in a GGUF file
    std::uint32_t block_elements;  // weights in a block: 1, 32 or 256
    std::uint32_t block_bytes;

    // Decodes / encodes n elements, a multiple of block_elements, at `blocks` (no alignment needed). encode is a reference: right, not
    // fast; null where only decoding makes sense.
    void (*decode)(const void* blocks, float* values, std::size_t n);
    void (*encode)(const float* values, void* blocks, std::size_t n);

    [[nodiscard]] constexpr std::size_t row_bytes(std::size_t n_elements) const { return n_elements / block_elements * block_bytes; }
    [[nodiscard]] constexpr double bits_per_element() const { return 8.0 * block_bytes / block_elements; }
};

[[nodiscard]] std::span<const FormatInfo> formats();
[[nodiscard]] const FormatInfo& format_of(DType dtype);
[[nodiscard]] std::optional<DType> dtype_from_gguf(std::uint32_t gguf_type);
[[nodiscard]] std::optional<DType> dtype_from_name(std::string_view name);  // any case: "q4_k"

}  // namespace rafter::tensor
