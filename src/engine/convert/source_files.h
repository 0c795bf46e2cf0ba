// The files that a source lies in: what an output must not overwrite, and what must not have changed when a run is continued.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace rafter::engine {

// Of a GGUF file: it and its siblings, where it is a part. Of a folder: what a checkpoint is read from.
[[nodiscard]] std::vector<std::filesystem::path> source_files(const std::filesystem::path& source);

// Changes when a file gets another name, size or time of modification, or was touched at all since.
[[nodiscard]] std::uint64_t files_identity(const std::vector<std::filesystem::path>& files);

// Whether a path leads to one of the files, by whatever links.
[[nodiscard]] bool is_one_of(const std::filesystem::path& path, const std::vector<std::filesystem::path>& files);

}  // namespace rafter::engine
