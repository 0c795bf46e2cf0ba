// The tokens that tokenizer_config.json gives a role.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rafter::text::hf {

struct TokenizerConfig {
    std::map<std::string, std::string> tokens;  // "bos_token": "<s>", and so on for eos, unk, pad, sep and mask
    std::optional<bool> add_bos, add_eos;
};
// The text of a tokenizer_config.json; an empty one gives nothing.
[[nodiscard]] Result<TokenizerConfig> read_tokenizer_config(std::string_view text);

}  // namespace rafter::text::hf
