// Scores for GGUF's "llama" model, which merges whichever two neighbours make the token of the highest score.
#pragma once

#include <vector>

#include "base/result.h"
#include "text/hf/tokenizer_json.h"

namespace rafter::text::hf {

// [tokens]: minus the rank of the merge that makes the token. Fails, naming a text, where scores cannot say what the merges do. `json` is a
// BPE model with byte_fallback whose normaliser replaces spaces by U+2581 and whose texts are not cut before merging.
[[nodiscard]] Result<std::vector<double>> gguf_scores(const TokenizerJson& json);

}  // namespace rafter::text::hf
