// Reads safetensors files (https://huggingface.co/docs/safetensors): names, types and shapes of tensors, and where their data lie.
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
    std::uint64_t offset_bytes = 0;  // from the file's begin
};

// `bytes` is a whole file; `name` stands before messages.
[[nodiscard]] Result<std::vector<SafetensorsTensor>> parse_safetensors(std::span<const std::byte> bytes, std::string_view name);
// The files with a model's weights: those that model.safetensors.index.json names, each inside the folder (or inside the repository, where
// the folder is a snapshot of Hugging Face's cache); without an index all *.safetensors of the folder but adapters and consolidated ones.
[[nodiscard]] Result<std::vector<std::filesystem::path>> weight_files(const std::filesystem::path& folder);
// Every tensor that the index names is in the file that it says: `tensors` are those of the file. Nothing without an index.
[[nodiscard]] Result<void> check_index(const std::filesystem::path& folder, const std::filesystem::path& file,
                                       std::span<const SafetensorsTensor> tensors);
// All *.safetensors files of a folder, in order of their names.
[[nodiscard]] Result<std::vector<SafetensorsTensor>> read_safetensors_folder(const std::filesystem::path& folder);

}  // namespace rafter::files
