// A model's metadata and tensors, named and ordered as in a GGUF file, wherever they lie: in a GGUF file (files/gguf.h), or in a checkpoint
// folder that is translated to one while it is read (model/hf/checkpoint.h). All that loads, shows or converts a model reads it through
// this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/metadata.h"
#include "tensor/dtype.h"

namespace rafter::files {

// `shape` is in row-major order, outermost first: a weight of n_out rows of n_in elements is [n_out, n_in] (GGUF stores it the other way
// round). A row is the innermost dimension; n_rows() flattens the others. `bytes` lie in the mapping and live as long as the source; they
// are empty where rows have to be made (TensorSource::rows).
struct NamedTensor {
    std::string name;
    tensor::DType dtype = tensor::DType::kF32;
    std::vector<std::uint64_t> shape;
    std::span<const std::byte> bytes;

    [[nodiscard]] std::uint64_t n_elements() const;
    [[nodiscard]] std::uint64_t n_rows() const;      // 1 for a vector
    [[nodiscard]] std::uint64_t row_bytes() const;   // in its dtype
    [[nodiscard]] std::uint64_t size_bytes() const;  // n_rows() * row_bytes()
};

// Everything that a source hands out has been checked: bytes are of the type and the shape that the tensor says. Safe to read from several
// threads.
class TensorSource {
  public:
    virtual ~TensorSource() = default;

    [[nodiscard]] virtual const Metadata& metadata() const = 0;
    [[nodiscard]] virtual std::span<const NamedTensor> tensors() const = 0;
    [[nodiscard]] virtual const NamedTensor* find_tensor(std::string_view name) const = 0;  // null when missing
    [[nodiscard]] virtual const std::string& name() const = 0;                              // path of the first file, for messages
    [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;                             // of all files

    // Rows [first, first + n) of a tensor of this source, in its type: a view into the mapping where they lie there so, else made in
    // `scratch`, which has room for them (n * row_bytes()).
    [[nodiscard]] virtual std::span<const std::byte> rows(const NamedTensor& tensor, std::uint64_t first, std::uint64_t n,
                                                          std::span<std::byte> scratch) const = 0;
    // Tells the kernel to start reading the tensor's pages from the disk.
    virtual void will_need(const NamedTensor& tensor) const = 0;
    // Tells the kernel that pages of the tensor's rows [first, first + n) will not be read again (after repacking).
    virtual void release(const NamedTensor& tensor, std::uint64_t first, std::uint64_t n) const = 0;
};

}  // namespace rafter::files
