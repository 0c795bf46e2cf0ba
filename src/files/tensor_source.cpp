// Sizes of a tensor, from its shape and type.
#include "files/tensor_source.h"

#include "tensor/formats/formats.h"

namespace rafter::files {

std::uint64_t NamedTensor::n_elements() const {
    std::uint64_t product = 1;  // the bytes fit in memory, so this cannot wrap
    for (const std::uint64_t dimension : shape) product *= dimension;
    return product;
}

std::uint64_t NamedTensor::n_rows() const {
    std::uint64_t product = 1;
    for (std::size_t i = 0; i + 1 < shape.size(); ++i) product *= shape[i];
    return product;
}

std::uint64_t NamedTensor::row_bytes() const { return tensor::format_of(dtype).row_bytes(shape.empty() ? 1 : shape.back()); }

std::uint64_t NamedTensor::size_bytes() const { return n_rows() * row_bytes(); }

}  // namespace rafter::files
