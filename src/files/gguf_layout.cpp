// The layout is gguf_parser.cpp's, in the other direction.
#include "files/gguf_layout.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>
#include <type_traits>

#include "base/check.h"
#include "base/quote.h"
#include "files/byte_writer.h"
#include "tensor/formats/formats.h"

namespace rafter::files {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint64_t kMaxInt32 = std::numeric_limits<std::int32_t>::max();

template <typename Stored, typename Wide>
bool fits(Wide value) {
    if constexpr (std::is_floating_point_v<Wide>) {
        return std::is_floating_point_v<Stored>;
    } else if constexpr (std::is_floating_point_v<Stored>) {
        return false;
    } else {
        return std::in_range<Stored>(value);
    }
}

template <typename Stored, typename Wide>
bool append_as(Bytes& out, Wide value) {
    if (!fits<Stored>(value)) return false;
    append_number(out, static_cast<Stored>(value));
    return true;
}

// False where the type cannot hold the value.
template <typename Wide>
bool append_value(Bytes& out, Wide value, GgufType type) {
    if constexpr (std::is_same_v<Wide, std::string_view>) {
        append_string(out, value);
        return type == GgufType::kString;
    } else if constexpr (std::is_same_v<Wide, bool>) {
        append_number<std::uint8_t>(out, value ? 1 : 0);
        return type == GgufType::kBool;
    } else {
        switch (type) {
            case GgufType::kUint8:
                return append_as<std::uint8_t>(out, value);
            case GgufType::kInt8:
                return append_as<std::int8_t>(out, value);
            case GgufType::kUint16:
                return append_as<std::uint16_t>(out, value);
            case GgufType::kInt16:
                return append_as<std::int16_t>(out, value);
            case GgufType::kUint32:
                return append_as<std::uint32_t>(out, value);
            case GgufType::kInt32:
                return append_as<std::int32_t>(out, value);
            case GgufType::kUint64:
                return append_as<std::uint64_t>(out, value);
            case GgufType::kInt64:
                return append_as<std::int64_t>(out, value);
            case GgufType::kFloat32:
                return append_as<float>(out, value);
            case GgufType::kFloat64:
                return append_as<double>(out, value);
            case GgufType::kBool:
            case GgufType::kString:
            case GgufType::kArray:
                break;
        }
        return false;
    }
}

Result<void> append_entry(Bytes& out, const GgufEntry& entry) {
    append_string(out, entry.key);
    const auto type = static_cast<std::uint32_t>(entry.type);
    bool all_fit = true;
    if (const auto* array = std::get_if<MetadataArray>(&entry.value)) {
        append_number(out, static_cast<std::uint32_t>(GgufType::kArray));
        append_number(out, type);
        std::visit(
            [&](const auto& values) {
                append_number<std::uint64_t>(out, values.size());
                for (const auto value : values) all_fit = append_value(out, value, entry.type) && all_fit;
            },
            *array);
    } else {
        append_number(out, type);
        std::visit(
            [&](const auto& value) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, MetadataArray>) all_fit = append_value(out, value, entry.type);
            },
            entry.value);
    }
    if (!all_fit) return bad_input("{}: expected a value that GGUF's value type {} can hold, found another", quote(entry.key), type);
    return {};
}

GgufType usual_array_type(const MetadataArray& array) {
    if (const auto* numbers = std::get_if<std::vector<std::uint64_t>>(&array)) {
        const std::uint64_t most = numbers->empty() ? 0 : *std::ranges::max_element(*numbers);
        if (most <= kMaxInt32) return GgufType::kInt32;
        return std::in_range<std::uint32_t>(most) ? GgufType::kUint32 : GgufType::kUint64;
    }
    if (const auto* numbers = std::get_if<std::vector<std::int64_t>>(&array)) {
        const bool narrow = std::ranges::all_of(*numbers, [](std::int64_t n) { return std::in_range<std::int32_t>(n); });
        return narrow ? GgufType::kInt32 : GgufType::kInt64;
    }
    if (std::holds_alternative<std::vector<double>>(array)) return GgufType::kFloat32;
    return std::holds_alternative<std::vector<bool>>(array) ? GgufType::kBool : GgufType::kString;
}

std::uint64_t aligned(std::uint64_t n, std::uint64_t alignment) { return (n + alignment - 1) / alignment * alignment; }

std::uint64_t alignment_of(std::span<const GgufEntry> entries) {
    for (const GgufEntry& entry : entries) {
        if (entry.key != kAlignmentKey) continue;
        if (const auto* number = std::get_if<std::uint64_t>(&entry.value); number != nullptr && *number > 0) return *number;
    }
    return kDefaultAlignment;
}

Result<void> check_tensor(const GgufTensorShape& tensor) {
    if (tensor.name.empty() || tensor.name.size() > kMaxTensorNameBytes) {
        return bad_input("tensor {}: expected a name of 1 to {} bytes, found {}", quote(tensor.name), kMaxTensorNameBytes,
                         tensor.name.size());
    }
    if (tensor.shape.empty() || tensor.shape.size() > kMaxDimensions) {
        return bad_input("tensor {}: expected 1 to {} dimensions, found {}", quote(tensor.name), kMaxDimensions, tensor.shape.size());
    }
    const tensor::FormatInfo& format = tensor::format_of(tensor.dtype);
    RAFTER_CHECK(tensor.shape.back() % format.block_elements == 0, "{}: rows of {} as {}", tensor.name, tensor.shape.back(), format.name);
    return {};
}

}  // namespace

GgufType usual_type(const MetadataValue& value) {
    if (const auto* number = std::get_if<std::uint64_t>(&value)) {
        return std::in_range<std::uint32_t>(*number) ? GgufType::kUint32 : GgufType::kUint64;
    }
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
        if (*number >= 0) return std::in_range<std::uint32_t>(*number) ? GgufType::kUint32 : GgufType::kInt64;
        return std::in_range<std::int32_t>(*number) ? GgufType::kInt32 : GgufType::kInt64;
    }
    if (std::holds_alternative<double>(value)) return GgufType::kFloat32;
    if (std::holds_alternative<bool>(value)) return GgufType::kBool;
    if (std::holds_alternative<std::string_view>(value)) return GgufType::kString;
    return usual_array_type(std::get<MetadataArray>(value));
}

Result<GgufLayout> lay_out_gguf(std::span<const GgufEntry> entries, std::span<const GgufTensorShape> tensors) {
    const std::uint64_t alignment = alignment_of(entries);
    GgufLayout layout;
    Bytes& out = layout.header;
    append_bytes(out, kGgufMagic.data(), kGgufMagic.size());
    append_number(out, kGgufVersion);
    append_number<std::uint64_t>(out, tensors.size());
    append_number<std::uint64_t>(out, entries.size());
    std::set<std::string_view> keys;
    for (const GgufEntry& entry : entries) {
        if (entry.key.empty() || entry.key.size() > kMaxKeyBytes || !keys.insert(entry.key).second) {
            return bad_input("{}: expected keys of 1 to {} bytes, each once", quote(entry.key), kMaxKeyBytes);
        }
        RAFTER_TRY_VOID(append_entry(out, entry));
    }
    std::uint64_t offset = 0;
    for (const GgufTensorShape& tensor : tensors) {
        RAFTER_TRY_VOID(check_tensor(tensor));
        append_string(out, tensor.name);
        append_number(out, static_cast<std::uint32_t>(tensor.shape.size()));
        std::uint64_t n_rows = 1;
        for (std::size_t i = 0; i + 1 < tensor.shape.size(); ++i) n_rows *= tensor.shape[i];
        for (auto dimension = tensor.shape.rbegin(); dimension != tensor.shape.rend(); ++dimension) append_number(out, *dimension);
        const tensor::FormatInfo& format = tensor::format_of(tensor.dtype);
        append_number(out, format.gguf_type);
        append_number(out, offset);
        layout.offsets_bytes.push_back(offset);
        offset += aligned(n_rows * format.row_bytes(tensor.shape.back()), alignment);
    }
    out.resize(aligned(out.size(), alignment));
    for (std::uint64_t& place : layout.offsets_bytes) place += out.size();
    layout.size_bytes = out.size() + offset;
    return layout;
}

}  // namespace rafter::files
