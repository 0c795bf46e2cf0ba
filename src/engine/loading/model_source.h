// The one place that tells a GGUF file from a checkpoint folder.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "files/tensor_source.h"

namespace rafter::engine {

// path: a GGUF file, any part of a split one, or a Hugging Face folder with config.json and safetensors files.
[[nodiscard]] Result<std::unique_ptr<files::TensorSource>> open_source(const std::filesystem::path& path);

}  // namespace rafter::engine
