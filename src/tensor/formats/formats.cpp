// The table of formats, a row for each of all.h, and the loops over rows of blocks that a format itself need not write.
#include "tensor/formats/formats.h"

#include <array>
#include <cstring>

#include "base/check.h"
#include "tensor/formats/all.h"

namespace rafter::tensor {
namespace {

template <typename Format>
void decode_row(const void* blocks, float* values, std::size_t n) {
    RAFTER_CHECK(n % Format::kBlockElements == 0, "{} elements of {}", n, Format::kName);
    const auto* bytes = static_cast<const char*>(blocks);
    for (std::size_t i = 0; i < n; i += Format::kBlockElements, bytes += sizeof(typename Format::Block)) {
        typename Format::Block block;
        std::memcpy(&block, bytes, sizeof block);  // blocks may lie anywhere
        Format::decode(block, values + i);
    }
}

template <typename Format>
void encode_row(const float* values, void* blocks, std::size_t n) {
    RAFTER_CHECK(n % Format::kBlockElements == 0, "{} elements of {}", n, Format::kName);
    auto* bytes = static_cast<char*>(blocks);
    for (std::size_t i = 0; i < n; i += Format::kBlockElements, bytes += sizeof(typename Format::Block)) {
        typename Format::Block block;
        Format::encode(values + i, block);
        std::memcpy(bytes, &block, sizeof block);
    }
}

template <typename Format>
constexpr FormatInfo row() {
    FormatInfo info{.dtype = Format::kDType,
                    .name = Format::kName,
                    .gguf_type = Format::kGgufType,
                    .block_elements = Format::kBlockElements,
                    .block_bytes = sizeof(typename Format::Block),
                    .decode = decode_row<Format>,
                    .encode = nullptr};
    if constexpr (requires(const float* values, typename Format::Block& block) { Format::encode(values, block); }) {
        info.encode = encode_row<Format>;
    }
    return info;
}

template <typename... Formats>
constexpr std::array<FormatInfo, sizeof...(Formats)> table(FormatList<Formats...> /*list*/) {
    return {row<Formats>()...};
}

constexpr std::array kFormats = table(AllFormats());

constexpr bool in_order_of_dtype() {
    for (std::size_t i = 0; i < std::size(kFormats); ++i) {
        if (kFormats[i].dtype != static_cast<DType>(i)) return false;
    }
    return true;
}
static_assert(in_order_of_dtype(), "format_of() uses a DType as its index");

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_in_any_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

}  // namespace

std::span<const FormatInfo> formats() { return kFormats; }

const FormatInfo& format_of(DType dtype) {
    const auto index = static_cast<std::size_t>(dtype);
    RAFTER_CHECK(index < std::size(kFormats), "DType {}", index);
    return kFormats[index];
}

std::optional<DType> dtype_from_gguf(std::uint32_t gguf_type) {
    for (const FormatInfo& format : kFormats) {
        if (format.gguf_type == gguf_type) return format.dtype;
    }
    return std::nullopt;
}

std::optional<DType> dtype_from_name(std::string_view name) {
    for (const FormatInfo& format : kFormats) {
        if (equal_in_any_case(format.name, name)) return format.dtype;
    }
    return std::nullopt;
}

}  // namespace rafter::tensor
