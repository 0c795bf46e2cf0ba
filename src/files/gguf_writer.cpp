// See gguf_writer.h. The layout is gguf_parser.cpp's, in the other direction.
#include "files/gguf_writer.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/os_file.h"
#include "files/byte_writer.h"
#include "files/gguf_format.h"
#include "tensor/formats/formats.h"

namespace rafter::files {
namespace {

using Bytes = std::vector<std::byte>;

template <typename Number>
Bytes number_payload(Number number) {
    Bytes payload;
    append_number(payload, number);
    return payload;
}

Bytes array_payload(GgufType element_type, std::size_t count) {
    Bytes payload;
    append_number(payload, static_cast<std::uint32_t>(element_type));
    append_number<std::uint64_t>(payload, count);
    return payload;
}

template <typename Number>
Bytes numbers_payload(GgufType element_type, std::span<const Number> values) {
    Bytes payload = array_payload(element_type, values.size());
    append_bytes(payload, values.data(), values.size_bytes());
    return payload;
}

void pad(Bytes& out) { out.resize((out.size() + kDefaultAlignment - 1) / kDefaultAlignment * kDefaultAlignment); }

std::uint64_t n_elements(std::span<const std::uint64_t> shape) {
    return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
}

}  // namespace

void GgufWriter::add_entry(std::string_view key, GgufType type, Bytes payload) {
    RAFTER_CHECK(key != kAlignmentKey, "the writer aligns to {}", kDefaultAlignment);
    for (const Entry& entry : entries_) RAFTER_CHECK(entry.key != key, "key {} added twice", key);
    entries_.push_back({std::string(key), type, std::move(payload)});
}

void GgufWriter::add_uint32(std::string_view key, std::uint32_t value) { add_entry(key, GgufType::kUint32, number_payload(value)); }
void GgufWriter::add_uint64(std::string_view key, std::uint64_t value) { add_entry(key, GgufType::kUint64, number_payload(value)); }
void GgufWriter::add_int32(std::string_view key, std::int32_t value) { add_entry(key, GgufType::kInt32, number_payload(value)); }
void GgufWriter::add_float32(std::string_view key, float value) { add_entry(key, GgufType::kFloat32, number_payload(value)); }
void GgufWriter::add_bool(std::string_view key, bool value) {
    add_entry(key, GgufType::kBool, number_payload<std::uint8_t>(value ? 1 : 0));
}

void GgufWriter::add_string(std::string_view key, std::string_view value) {
    Bytes payload;
    append_string(payload, value);
    add_entry(key, GgufType::kString, std::move(payload));
}

void GgufWriter::add_strings(std::string_view key, std::span<const std::string> values) {
    Bytes payload = array_payload(GgufType::kString, values.size());
    for (const std::string& value : values) append_string(payload, value);
    add_entry(key, GgufType::kArray, std::move(payload));
}

void GgufWriter::add_int32s(std::string_view key, std::span<const std::int32_t> values) {
    add_entry(key, GgufType::kArray, numbers_payload(GgufType::kInt32, values));
}

void GgufWriter::add_float32s(std::string_view key, std::span<const float> values) {
    add_entry(key, GgufType::kArray, numbers_payload(GgufType::kFloat32, values));
}

void GgufWriter::add_bools(std::string_view key, std::span<const bool> values) {
    Bytes payload = array_payload(GgufType::kBool, values.size());
    for (const bool value : values) append_number<std::uint8_t>(payload, value ? 1 : 0);
    add_entry(key, GgufType::kArray, std::move(payload));
}

void GgufWriter::add_tensor(std::string_view name, tensor::DType dtype, std::span<const std::uint64_t> shape,
                            std::span<const std::byte> bytes) {
    const tensor::FormatInfo& format = tensor::format_of(dtype);
    RAFTER_CHECK(!shape.empty() && shape.size() <= kMaxDimensions && shape.back() % format.block_elements == 0, "{}: shape [{}] of {}",
                 name, fmt::join(shape, ", "), format.name);
    RAFTER_CHECK(bytes.size() == format.row_bytes(n_elements(shape)), "{}: shape [{}] of {} in {} bytes", name, fmt::join(shape, ", "),
                 format.name, bytes.size());
    tensors_.push_back({std::string(name), dtype, {shape.begin(), shape.end()}, {bytes.begin(), bytes.end()}});
}

void GgufWriter::add_tensor_f32(std::string_view name, tensor::DType dtype, std::span<const std::uint64_t> shape,
                                std::span<const float> values) {
    const tensor::FormatInfo& format = tensor::format_of(dtype);
    RAFTER_CHECK(format.encode != nullptr && n_elements(shape) == values.size(), "{}: {} values for shape [{}] of {}", name, values.size(),
                 fmt::join(shape, ", "), format.name);
    Bytes bytes(format.row_bytes(values.size()));
    format.encode(values.data(), bytes.data(), values.size());
    add_tensor(name, dtype, shape, bytes);
}

Bytes GgufWriter::to_bytes() const {
    Bytes out;
    append_bytes(out, kGgufMagic.data(), kGgufMagic.size());
    append_number(out, kGgufVersion);
    append_number<std::uint64_t>(out, tensors_.size());
    append_number<std::uint64_t>(out, entries_.size());
    for (const Entry& entry : entries_) {
        append_string(out, entry.key);
        append_number(out, static_cast<std::uint32_t>(entry.type));
        append_bytes(out, entry.payload.data(), entry.payload.size());
    }
    std::uint64_t offset = 0;
    for (const Tensor& tensor : tensors_) {
        append_string(out, tensor.name);
        append_number(out, static_cast<std::uint32_t>(tensor.shape.size()));
        for (auto dimension = tensor.shape.rbegin(); dimension != tensor.shape.rend(); ++dimension) append_number(out, *dimension);
        append_number(out, tensor::format_of(tensor.dtype).gguf_type);
        append_number(out, offset);
        offset += (tensor.bytes.size() + kDefaultAlignment - 1) / kDefaultAlignment * kDefaultAlignment;
    }
    for (const Tensor& tensor : tensors_) {
        pad(out);
        append_bytes(out, tensor.bytes.data(), tensor.bytes.size());
    }
    pad(out);
    return out;
}

Result<void> GgufWriter::write(const std::filesystem::path& path) const {
    RAFTER_TRY(AtomicFile file, AtomicFile::create(path));
    RAFTER_TRY_VOID(file.write(to_bytes()));
    return file.commit();
}

}  // namespace rafter::files
