// Fuzzes the GGUF reader: whatever the bytes, it must end, stay inside them, and hand out only what can be used without another check.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "files/gguf.h"
#include "tensor/formats/formats.h"

namespace {

using namespace rafter;

void look_up(const files::Metadata& metadata, const std::string& key) {
    RAFTER_CHECK(metadata.has(key));
    (void)metadata.get_uint(key);
    (void)metadata.get_float(key);
    (void)metadata.get_string(key);
    (void)metadata.find_bool(key);
    (void)metadata.find_strings(key);
    (void)metadata.find_ints(key);
    (void)metadata.find_floats(key);
    (void)metadata.find_bools(key);
}

// Decodes the first and the last block: reads both ends of the tensor's bytes.
void decode_ends(const files::NamedTensor& tensor) {
    const tensor::FormatInfo& format = tensor::format_of(tensor.dtype);
    RAFTER_CHECK(tensor.n_elements() > 0 && tensor.bytes.size() == format.row_bytes(tensor.n_elements()));
    std::vector<float> values(format.block_elements);
    format.decode(tensor.bytes.data(), values.data(), values.size());
    format.decode(tensor.bytes.data() + tensor.bytes.size() - format.block_bytes, values.data(), values.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto file = files::GgufFile::parse(std::as_bytes(std::span(data, size)), "fuzz");
    if (!file) {
        RAFTER_CHECK(!file.error().message.empty());
        return 0;
    }
    for (const auto& [key, value] : file->metadata().entries()) look_up(file->metadata(), key);
    for (const files::NamedTensor& tensor : file->tensors()) {
        RAFTER_CHECK(file->find_tensor(tensor.name) == &tensor);
        decode_ends(tensor);
    }
    return 0;
}
