// Where everything of a GGUF v3 file lies before any tensor's bytes are there: the header, and each tensor's place behind it. For files
// that are larger than memory; files/gguf_writer.h writes small ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "files/gguf_format.h"
#include "files/metadata.h"
#include "tensor/dtype.h"

namespace rafter::files {

// `type`: of the value, or of an array's elements.
struct GgufEntry {
    std::string key;
    MetadataValue value;
    GgufType type;
};

// The type that readers expect where the source says none: uint32 for what is not negative, int32 for what is, float32, in 64 bits what
// needs them. The elements of an array have one type: int32 where all fit it.
[[nodiscard]] GgufType usual_type(const MetadataValue& value);

struct GgufTensorShape {
    std::string name;
    tensor::DType dtype;
    std::vector<std::uint64_t> shape;  // outermost first
};

struct GgufLayout {
    std::vector<std::byte> header;             // padded to where the first tensor begins
    std::vector<std::uint64_t> offsets_bytes;  // [tensors], from the start of the file
    std::uint64_t size_bytes = 0;              // of the whole file; what no tensor covers is zeros
};
// Fails on a name, a key or a number of dimensions that the format cannot have, and on a value that its type cannot hold. Alignment is what
// general.alignment says.
[[nodiscard]] Result<GgufLayout> lay_out_gguf(std::span<const GgufEntry> entries, std::span<const GgufTensorShape> tensors);

}  // namespace rafter::files
