// Reads the headers of safetensors files (https://huggingface.co/docs/safetensors): names, types, shapes and sizes of tensors, no data.
// Headers are untrusted: sizes are checked against the file and against each other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rafter::files {

struct SafetensorsTensor {
    std::string name;
    std::string dtype;  // "BF16", as the file says
    std::vector<std::uint64_t> shape;
    std::uint64_t size_bytes = 0;
};

// `bytes` is a whole file; `name` stands before messages.
[[nodiscard]] Result<std::vector<SafetensorsTensor>> parse_safetensors(std::span<const std::byte> bytes, std::string_view name);
// All *.safetensors files of a folder, in order of their names.
[[nodiscard]] Result<std::vector<SafetensorsTensor>> read_safetensors_folder(const std::filesystem::path& folder);

}  // namespace rafter::files
