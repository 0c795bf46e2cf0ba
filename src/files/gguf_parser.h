// Parses one GGUF file's bytes, all of them untrusted, into metadata and tensors. gguf.cpp puts the parts of a split file together.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "files/gguf.h"

namespace rafter::files {

struct GgufPart {
    Metadata metadata;
    std::vector<NamedTensor> tensors;  // in file order; names are unique, bytes lie in the parsed bytes and do not overlap
};

// The result's views point into `bytes`. Allocates no more than a small multiple of bytes.size(), whatever they say; takes n log n time.
[[nodiscard]] Result<GgufPart> parse_gguf_part(std::span<const std::byte> bytes);

// An error if two tensors have one name.
[[nodiscard]] Result<void> check_unique_names(std::span<const NamedTensor> tensors);

}  // namespace rafter::files
