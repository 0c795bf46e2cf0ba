// Tiny seeded random GGUF models of every architecture, small enough to run in any test and odd enough to catch mistakes: short windows,
// grouped heads, few experts, a byte-level vocabulary with a chat template.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace rafter::model {

struct TinyModel {
    // A row of tiny_models(): "llama", "llama3-rope", "mixtral", "qwen2", "qwen2-yarn", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3",
    // "gpt-oss".
    std::string name = "llama";
    tensor::DType matrices = tensor::DType::kF32;  // of the layers' matrices; formats of 256-element blocks get wider layers
    std::uint64_t seed = 1;
    bool chat_template = true;
    std::string template_source = {};  // empty: messages between <|im_start|> and <|im_end|>
};

[[nodiscard]] std::vector<std::string> tiny_models();
// The file's bytes. Aborts on an unknown name.
[[nodiscard]] std::vector<std::byte> tiny_gguf(const TinyModel& options);

}  // namespace rafter::model
