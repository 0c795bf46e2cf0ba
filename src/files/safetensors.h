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
struct WeightFile {
    std::filesystem::path path;
    std::vector<std::string> tensors;  // that the index says are in it; none without an index
};
// The files with a model's weights, in order of their names: those that model.safetensors.index.json names, each inside the folder (or
// inside the repository, where the folder is a snapshot of Hugging Face's cache); without an index all *.safetensors of the folder but
// adapters and consolidated ones, which may be none.
[[nodiscard]] Result<std::vector<WeightFile>> weight_files(const std::filesystem::path& folder);
// parse_safetensors() of such a file, whose bytes these are. Fails where a tensor that the index names is not there.
[[nodiscard]] Result<std::vector<SafetensorsTensor>> parse_weight_file(const WeightFile& file, std::span<const std::byte> bytes);
// The tensors of all weight_files().
[[nodiscard]] Result<std::vector<SafetensorsTensor>> read_safetensors_folder(const std::filesystem::path& folder);

}  // namespace rafter::files
