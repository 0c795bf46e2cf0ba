// A Hugging Face folder (config.json, *.safetensors, tokenizer.json, ...) read as the GGUF file that it would convert to: GGUF's names,
// metadata keys, orders of rows and types.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "files/tensor_source.h"

namespace rafter::model {

// Refuses by name what would be computed wrongly: unknown model types, unsupported settings, other quantisation methods. The tokenizer's
// files are in the metadata as they are: tokenizer.huggingface.json, tokenizer.huggingface.config. Tensors that the family does not have
// keep their own names.
[[nodiscard]] Result<std::unique_ptr<files::TensorSource>> open_checkpoint(const std::filesystem::path& folder);

}  // namespace rafter::model
