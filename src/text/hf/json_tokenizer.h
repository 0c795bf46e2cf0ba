// A Tokenizer that does what a tokenizer.json says.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "files/metadata.h"
#include "text/tokenizer.h"

namespace rafter::text::hf {

// How a checkpoint folder's metadata hold its tokenizer: the whole files.
inline constexpr std::string_view kTokenizerKey = "tokenizer.huggingface.json";          // tokenizer.json
inline constexpr std::string_view kTokenizerConfigKey = "tokenizer.huggingface.config";  // tokenizer_config.json; may be missing
inline constexpr std::string_view kEosIdsKey = "tokenizer.huggingface.eos_ids";          // of generation_config.json; may be missing

// Of the keys above, and of tokenizer.ggml.bos_token_id and .eos_token_id where tokenizer_config.json names no such tokens. A text in which
// a regular expression takes too many steps (pattern.h) is cut no further from there on: its tokens are valid, but longer words than in
// training.
[[nodiscard]] Result<std::unique_ptr<Tokenizer>> load_json_tokenizer(const files::Metadata& metadata);

}  // namespace rafter::text::hf
