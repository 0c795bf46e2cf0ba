// Which name of tokenizer.ggml.pre stands for the normaliser, the pre-tokenizer and the merging of a byte-level tokenizer.json.
#pragma once

#include <string>

#include "base/result.h"
#include "text/hf/tokenizer_json.h"

namespace rafter::text::hf {

// Fails, naming the step or the expressions, where no family of pre_tokenizer_families.h does the same.
[[nodiscard]] Result<std::string> gguf_pre_tokenizer(const TokenizerJson& json);

}  // namespace rafter::text::hf
