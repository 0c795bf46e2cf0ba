// Writes GGUF v3 files: metadata and tensors, as tests, tools and quantisers need them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/gguf_format.h"
#include "tensor/dtype.h"

namespace rafter::files {

// Keys and tensor names must be new, shapes must fit their bytes: anything else is a bug in the caller. All is held in memory until
// written.
class GgufWriter {
  public:
    void add_uint32(std::string_view key, std::uint32_t value);
    void add_uint64(std::string_view key, std::uint64_t value);
    void add_int32(std::string_view key, std::int32_t value);
    void add_float32(std::string_view key, float value);
    void add_bool(std::string_view key, bool value);
    void add_string(std::string_view key, std::string_view value);
    void add_strings(std::string_view key, std::span<const std::string> values);
    void add_int32s(std::string_view key, std::span<const std::int32_t> values);
    void add_float32s(std::string_view key, std::span<const float> values);
    void add_bools(std::string_view key, std::span<const bool> values);
    // shape outermost first, as in NamedTensor; bytes in the format of dtype, copied.
    void add_tensor(std::string_view name, tensor::DType dtype, std::span<const std::uint64_t> shape, std::span<const std::byte> bytes);
    // Encodes values into dtype first.
    void add_tensor_f32(std::string_view name, tensor::DType dtype, std::span<const std::uint64_t> shape, std::span<const float> values);

    [[nodiscard]] std::vector<std::byte> to_bytes() const;
    // Written beside and renamed, so that a full disk leaves no half file behind.
    [[nodiscard]] Result<void> write(const std::filesystem::path& path) const;

  private:
    struct Entry {
        std::string key;
        GgufType type;
        std::vector<std::byte> payload;
    };
    struct Tensor {
        std::string name;
        tensor::DType dtype;
        std::vector<std::uint64_t> shape;
        std::vector<std::byte> bytes;
    };
    void add_entry(std::string_view key, GgufType type, std::vector<std::byte> payload);

    std::vector<Entry> entries_;
    std::vector<Tensor> tensors_;
};

}  // namespace rafter::files
