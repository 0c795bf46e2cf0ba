// Copies metadata key by key, tensors row by row.
#include "tests/support/retyped_gguf.h"

#include "base/check.h"
#include "files/gguf_writer.h"
#include "tensor/formats/formats.h"

namespace rafter::model {
namespace {

struct AddValue {
    files::GgufWriter& writer;
    const std::string& key;

    void operator()(std::int64_t value) const { writer.add_int32(key, static_cast<std::int32_t>(value)); }
    void operator()(std::uint64_t value) const { writer.add_uint64(key, value); }
    void operator()(double value) const { writer.add_float32(key, static_cast<float>(value)); }
    void operator()(bool value) const { writer.add_bool(key, value); }
    void operator()(std::string_view value) const { writer.add_string(key, value); }
    void operator()(const files::MetadataArray& array) const { std::visit(*this, array); }
    void operator()(const std::vector<std::int64_t>& values) const {
        writer.add_int32s(key, std::vector<std::int32_t>(values.begin(), values.end()));
    }
    void operator()(const std::vector<std::string_view>& values) const {
        writer.add_strings(key, std::vector<std::string>(values.begin(), values.end()));
    }
    template <typename T>
    void operator()(const std::vector<T>& /*values*/) const {
        RAFTER_CHECK(false, "{}: tiny models have arrays of integers and strings only", key);
    }
};

}  // namespace

std::vector<std::byte> retyped_gguf(const files::GgufFile& file, const std::function<tensor::DType(const files::NamedTensor&)>& type_of) {
    files::GgufWriter writer;
    for (const auto& [key, value] : file.metadata().entries()) std::visit(AddValue{.writer = writer, .key = key}, value);
    for (const files::NamedTensor& tensor : file.tensors()) {
        const tensor::DType type = type_of(tensor);
        if (type == tensor.dtype) {
            writer.add_tensor(tensor.name, type, tensor.shape, tensor.bytes);
            continue;
        }
        std::vector<float> values(tensor.n_elements());
        tensor::format_of(tensor.dtype).decode(tensor.bytes.data(), values.data(), values.size());
        writer.add_tensor_f32(tensor.name, type, tensor.shape, values);
    }
    return writer.to_bytes();
}

}  // namespace rafter::model
