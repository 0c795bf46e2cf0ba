// GGUF is: magic, version, two counts; metadata entries; tensor descriptions; padding; tensor data. It is read in this order, each step
// checked before the next relies on it.
#include "files/gguf_parser.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "base/quote.h"
#include "files/byte_reader.h"
#include "files/gguf_format.h"
#include "tensor/formats/formats.h"

namespace rafter::files {
namespace {

// The smallest that can be: a key of one character with a value of one byte; a tensor of one dimension with a name of one character.
constexpr std::size_t kMinEntryBytes = 8 + 1 + 4 + 1;
constexpr std::size_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
// A string is a view of the file, so this protects nobody's memory here, but lengths fit an int everywhere else.
constexpr std::uint64_t kMaxStringBytes = std::uint64_t{1} << 30;

// Tensor types of the format's that this program does not read, with ids that stand for something.
std::string_view known_gguf_type(std::uint32_t id) {
    constexpr std::pair<std::uint32_t, std::string_view> kNames[] = {
        {4, "Q4_2"},        {5, "Q4_3"},        {9, "Q8_1"},      {15, "Q8_K"},     {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
        {19, "IQ1_S"},      {21, "IQ3_S"},      {22, "IQ2_S"},    {24, "I8"},       {25, "I16"},     {27, "I64"},    {28, "F64"},
        {29, "IQ1_M"},      {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {36, "IQ4_NL_4_4"},
        {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {40, "NVFP4"},    {41, "Q1_0"},
    };
    for (const auto& [known, name] : kNames) {
        if (known == id) return name;
    }
    return {};
}

// A name is for people to read and for other programs to compare as a C string.
Result<void> check_name(std::string_view name, std::string_view what) {
    if (name.empty()) return bad_input("{}: expected a name, found an empty one", what);
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            return bad_input("{} {}: expected no control characters, found \\x{:02x}", what, quote(name), byte);
    }
    return {};
}

Result<bool> read_bool(ByteReader& reader) {
    const std::size_t begin = reader.offset();
    RAFTER_TRY(const auto byte, reader.read<std::uint8_t>("bool"));
    if (byte > 1) return bad_input("bool at byte {}: expected 0 or 1, found {}", begin, byte);
    return byte == 1;
}

// Wide is what the program sees instead of Stored: int64, uint64 or double.
template <typename Stored, typename Wide>
Result<MetadataValue> read_number(ByteReader& reader) {
    RAFTER_TRY(const auto number, reader.read<Stored>("number"));
    return MetadataValue(static_cast<Wide>(number));
}

template <typename Stored, typename Wide>
Result<MetadataValue> read_numbers(ByteReader& reader) {
    RAFTER_TRY(const auto count, reader.read_count(sizeof(Stored), "array length"));
    std::vector<Wide> values;
    values.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        RAFTER_TRY(const auto number, reader.read<Stored>("number"));
        values.push_back(static_cast<Wide>(number));
    }
    return MetadataValue(MetadataArray(std::move(values)));
}

Result<MetadataValue> read_bools(ByteReader& reader) {
    RAFTER_TRY(const auto count, reader.read_count(1, "array length"));
    std::vector<bool> values;
    values.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        RAFTER_TRY(const bool value, read_bool(reader));
        values.push_back(value);
    }
    return MetadataValue(MetadataArray(std::move(values)));
}

Result<MetadataValue> read_strings(ByteReader& reader) {
    RAFTER_TRY(const auto count, reader.read_count(sizeof(std::uint64_t), "array length"));
    std::vector<std::string_view> values;
    values.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        RAFTER_TRY(const auto value, reader.read_string(kMaxStringBytes, "string"));
        values.push_back(value);
    }
    return MetadataValue(MetadataArray(std::move(values)));
}

Result<MetadataValue> read_array(ByteReader& reader, GgufType& element_type) {
    const std::size_t begin = reader.offset();
    RAFTER_TRY(const auto type, reader.read<std::uint32_t>("array element type"));
    element_type = static_cast<GgufType>(type);
    switch (static_cast<GgufType>(type)) {
        case GgufType::kUint8:
            return read_numbers<std::uint8_t, std::uint64_t>(reader);
        case GgufType::kInt8:
            return read_numbers<std::int8_t, std::int64_t>(reader);
        case GgufType::kUint16:
            return read_numbers<std::uint16_t, std::uint64_t>(reader);
        case GgufType::kInt16:
            return read_numbers<std::int16_t, std::int64_t>(reader);
        case GgufType::kUint32:
            return read_numbers<std::uint32_t, std::uint64_t>(reader);
        case GgufType::kInt32:
            return read_numbers<std::int32_t, std::int64_t>(reader);
        case GgufType::kFloat32:
            return read_numbers<float, double>(reader);
        case GgufType::kBool:
            return read_bools(reader);
        case GgufType::kString:
            return read_strings(reader);
        case GgufType::kArray:
            return bad_input("array element type at byte {}: expected plain values, found arrays", begin);
        case GgufType::kUint64:
            return read_numbers<std::uint64_t, std::uint64_t>(reader);
        case GgufType::kInt64:
            return read_numbers<std::int64_t, std::int64_t>(reader);
        case GgufType::kFloat64:
            return read_numbers<double, double>(reader);
    }
    return bad_input("array element type at byte {}: expected 0 to 12, found {}", begin, type);
}

// type: the value's; afterwards, of an array, that of its elements.
Result<MetadataValue> read_value(ByteReader& reader, GgufType& type) {
    switch (type) {
        case GgufType::kUint8:
            return read_number<std::uint8_t, std::uint64_t>(reader);
        case GgufType::kInt8:
            return read_number<std::int8_t, std::int64_t>(reader);
        case GgufType::kUint16:
            return read_number<std::uint16_t, std::uint64_t>(reader);
        case GgufType::kInt16:
            return read_number<std::int16_t, std::int64_t>(reader);
        case GgufType::kUint32:
            return read_number<std::uint32_t, std::uint64_t>(reader);
        case GgufType::kInt32:
            return read_number<std::int32_t, std::int64_t>(reader);
        case GgufType::kFloat32:
            return read_number<float, double>(reader);
        case GgufType::kBool: {
            RAFTER_TRY(const bool value, read_bool(reader));
            return MetadataValue(value);
        }
        case GgufType::kString: {
            RAFTER_TRY(const auto value, reader.read_string(kMaxStringBytes, "string"));
            return MetadataValue(value);
        }
        case GgufType::kArray:
            return read_array(reader, type);
        case GgufType::kUint64:
            return read_number<std::uint64_t, std::uint64_t>(reader);
        case GgufType::kInt64:
            return read_number<std::int64_t, std::int64_t>(reader);
        case GgufType::kFloat64:
            return read_number<double, double>(reader);
    }
    return bad_input("value type: expected 0 to 12, found {}", static_cast<std::uint32_t>(type));
}

struct Header {
    std::size_t n_tensors;
    std::size_t n_entries;
};

Result<Header> read_header(ByteReader& reader) {
    RAFTER_TRY(const auto magic, reader.read_bytes(kGgufMagic.size(), "magic"));
    const std::string_view found(reinterpret_cast<const char*>(magic.data()), magic.size());
    if (found != kGgufMagic) return bad_input("magic at byte 0: expected \"GGUF\", found {}: this is not a GGUF file", quote(found));
    RAFTER_TRY(const auto version, reader.read<std::uint32_t>("version"));
    if (version != 2 && version != 3) {
        const bool swapped = version != 0 && (version & 0xffff) == 0;
        return bad_input("version at byte 4: expected 2 or 3, found {}{}", version, swapped ? ": is this a big-endian file?" : "");
    }
    Header header{};
    RAFTER_TRY(header.n_tensors, reader.read_count(kMinTensorBytes, "number of tensors"));
    RAFTER_TRY(header.n_entries, reader.read_count(kMinEntryBytes, "number of metadata entries"));
    return header;
}

Result<void> read_entry(ByteReader& reader, Metadata& metadata) {
    RAFTER_TRY(const auto key, reader.read_string(kMaxKeyBytes, "key"));
    RAFTER_TRY_VOID(check_name(key, "key"));
    RAFTER_TRY(const auto type, reader.read<std::uint32_t>("value type"));
    // The one key that matters here, where its exact type is still known.
    constexpr auto kUint32 = static_cast<std::uint32_t>(GgufType::kUint32);
    if (key == kAlignmentKey && type != kUint32) return bad_input("{}: expected value type {} (uint32), found {}", key, kUint32, type);
    auto stored_type = static_cast<GgufType>(type);
    auto value = read_value(reader, stored_type);
    if (!value) return value.error().within(quote(key));
    if (!metadata.add(std::string(key), std::move(value).value(), stored_type))
        return bad_input("{}: expected each key once, found it again", quote(key));
    return {};
}

// A tensor as described, and not yet found in the data.
struct Description {
    NamedTensor tensor;
    std::uint64_t offset;  // from the start of the data
    std::uint64_t size_bytes;
};

// Dimensions innermost first in the file; returns them outermost first.
Result<std::vector<std::uint64_t>> read_shape(ByteReader& reader) {
    const std::size_t begin = reader.offset();
    RAFTER_TRY(const auto n_dimensions, reader.read<std::uint32_t>("number of dimensions"));
    if (n_dimensions == 0 || n_dimensions > kMaxDimensions) {
        return bad_input("number of dimensions at byte {}: expected 1 to {}, found {}", begin, kMaxDimensions, n_dimensions);
    }
    std::vector<std::uint64_t> shape(n_dimensions);
    for (std::size_t i = 0; i < n_dimensions; ++i) {
        RAFTER_TRY(const auto dimension, reader.read<std::uint64_t>("dimension"));
        if (dimension == 0 || dimension > kMaxDimension) {
            return bad_input("dimension {}: expected 1 to 2^42, found {}", i, static_cast<std::int64_t>(dimension));
        }
        shape[n_dimensions - 1 - i] = dimension;
    }
    return shape;
}

Result<tensor::DType> read_dtype(ByteReader& reader) {
    RAFTER_TRY(const auto id, reader.read<std::uint32_t>("type"));
    if (const auto dtype = tensor::dtype_from_gguf(id)) return *dtype;
    std::string expected;
    for (const tensor::FormatInfo& format : tensor::formats()) expected += fmt::format("{}{}", expected.empty() ? "" : ", ", format.name);
    const std::string_view name = known_gguf_type(id);
    return bad_input("type: expected one of {}; found {} (id {})", expected, name.empty() ? "an unknown one" : name, id);
}

Result<std::uint64_t> data_size(const NamedTensor& tensor) {
    const tensor::FormatInfo& format = tensor::format_of(tensor.dtype);
    const std::uint64_t n_columns = tensor.shape.back();
    if (n_columns % format.block_elements != 0) {
        return bad_input("rows of {} elements: expected a multiple of {}, the block of {}", n_columns, format.block_elements, format.name);
    }
    std::uint64_t size_bytes = n_columns / format.block_elements * format.block_bytes;  // at most 2^42 * 4
    for (std::size_t i = 0; i + 1 < tensor.shape.size(); ++i) {
        if (__builtin_mul_overflow(size_bytes, tensor.shape[i], &size_bytes)) {
            return bad_input("shape [{}] of {}: expected a size below 2^64 bytes", fmt::join(tensor.shape, ", "), format.name);
        }
    }
    return size_bytes;
}

// What follows the name in a tensor's description.
Result<void> read_description(ByteReader& reader, std::uint64_t alignment, Description& out) {
    RAFTER_TRY(out.tensor.shape, read_shape(reader));
    RAFTER_TRY(out.tensor.dtype, read_dtype(reader));
    RAFTER_TRY(out.size_bytes, data_size(out.tensor));
    RAFTER_TRY(out.offset, reader.read<std::uint64_t>("offset"));
    if (out.offset % alignment != 0) return bad_input("offset: expected a multiple of the alignment {}, found {}", alignment, out.offset);
    return {};
}

Result<std::vector<Description>> read_descriptions(ByteReader& reader, std::size_t n_tensors, std::uint64_t alignment) {
    std::vector<Description> descriptions;
    descriptions.reserve(n_tensors);
    for (std::size_t i = 0; i < n_tensors; ++i) {
        const std::string place = fmt::format("tensor {} of {}", i + 1, n_tensors);
        auto name = reader.read_string(kMaxTensorNameBytes, "name");
        if (!name) return name.error().within(place);
        if (auto checked = check_name(*name, "name"); !checked) return checked.error().within(place);
        Description& description = descriptions.emplace_back();
        description.tensor.name = *name;
        if (auto read = read_description(reader, alignment, description); !read) return read.error().within(quote(*name)).within(place);
    }
    return descriptions;
}

Result<std::uint64_t> alignment_of(const Metadata& metadata) {
    RAFTER_TRY(const auto found, metadata.find_uint(kAlignmentKey));
    const std::uint64_t alignment = found.value_or(kDefaultAlignment);
    if (!std::has_single_bit(alignment) || alignment < 8 || alignment > kMaxAlignment) {
        return bad_input("{}: expected a power of two from 8 to {}, found {}", kAlignmentKey, kMaxAlignment, alignment);
    }
    return alignment;
}

// Gives every tensor its bytes of the data. Tensors that overlap are refused: a small file of many would otherwise unpack to any size.
Result<void> place_tensors(std::vector<Description>& descriptions, std::span<const std::byte> data) {
    std::vector<Description*> by_offset;
    by_offset.reserve(descriptions.size());
    for (Description& description : descriptions) {
        auto& [tensor, offset, size_bytes] = description;
        if (offset > data.size() || size_bytes > data.size() - offset) {
            return bad_input("tensor {}: expected {} bytes at {} of the tensor data, found only {} bytes of data: is the file cut off?",
                             quote(tensor.name), size_bytes, offset, data.size());
        }
        tensor.bytes = data.subspan(offset, size_bytes);
        by_offset.push_back(&description);
    }
    std::sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < by_offset.size(); ++i) {
        const Description& before = *by_offset[i - 1];
        if (by_offset[i]->offset < before.offset + before.size_bytes) {
            return bad_input("tensor {}: expected an offset of {} or more, where {} ends, found {}", quote(by_offset[i]->tensor.name),
                             before.offset + before.size_bytes, quote(before.tensor.name), by_offset[i]->offset);
        }
    }
    return {};
}

}  // namespace

Result<void> check_unique_names(std::span<const NamedTensor> tensors) {
    std::vector<std::string_view> names;
    names.reserve(tensors.size());
    for (const NamedTensor& tensor : tensors) names.push_back(tensor.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) return bad_input("tensor {}: expected each name once, found it again", quote(*twice));
    return {};
}

Result<GgufPart> parse_gguf_part(std::span<const std::byte> bytes) {
    ByteReader reader(bytes);
    RAFTER_TRY(const Header header, read_header(reader));
    GgufPart part;
    for (std::size_t i = 0; i < header.n_entries; ++i) {
        if (auto read = read_entry(reader, part.metadata); !read) {
            return read.error().within(fmt::format("metadata entry {} of {}", i + 1, header.n_entries));
        }
    }
    RAFTER_TRY(const auto alignment, alignment_of(part.metadata));
    RAFTER_TRY(auto descriptions, read_descriptions(reader, header.n_tensors, alignment));
    // A file of metadata only may end without padding. offset() is at most the size of what is in memory: adding 2^24 cannot wrap.
    const std::size_t data_begin = std::min<std::size_t>((reader.offset() + alignment - 1) / alignment * alignment, bytes.size());
    RAFTER_TRY_VOID(place_tensors(descriptions, bytes.subspan(data_begin)));
    part.tensors.reserve(descriptions.size());
    for (Description& description : descriptions) part.tensors.push_back(std::move(description.tensor));
    RAFTER_TRY_VOID(check_unique_names(part.tensors));
    return part;
}

}  // namespace rafter::files
