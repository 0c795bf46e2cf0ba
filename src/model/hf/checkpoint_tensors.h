// Which of a checkpoint's tensors make up each tensor of the GGUF file.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/safetensors.h"
#include "model/hf/checkpoint_config.h"
#include "model/hf/checkpoint_rows.h"

namespace rafter::model::hf {

struct StoredTensor {
    files::SafetensorsTensor tensor;
    std::span<const std::byte> data;
    mutable bool used = false;
};
// Null when missing. Marks the tensor as used.
using FindStored = std::function<const StoredTensor*(const std::string& name)>;

struct TranslatedTensor {
    std::string name;  // "blk.0.attn_q.weight"
    std::vector<std::uint64_t> shape;
    RowRecipe recipe;
};
[[nodiscard]] Result<std::vector<TranslatedTensor>> translate_tensors(const CheckpointConfig& config, const FindStored& find);
// One tensor as it is; nothing where its type is not one of ours.
[[nodiscard]] std::optional<TranslatedTensor> untranslated(const StoredTensor& stored);

}  // namespace rafter::model::hf
