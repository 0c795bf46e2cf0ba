// Fuzzes the reader of safetensors headers: whatever the bytes, it must end, and the data of every tensor must lie in the file, one after
// the other.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "files/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto tensors = rafter::files::parse_safetensors(bytes, "fuzz");
    if (!tensors) {
        RAFTER_CHECK(!tensors.error().message.empty());
        return 0;
    }
    std::uint64_t n_data_bytes = 0;
    for (const rafter::files::SafetensorsTensor& tensor : *tensors) {
        RAFTER_CHECK(tensor.offset_bytes >= 8 && tensor.offset_bytes <= size && tensor.size_bytes <= size - tensor.offset_bytes);
        n_data_bytes += tensor.size_bytes;
    }
    RAFTER_CHECK(n_data_bytes <= size - 8);
    return 0;
}
