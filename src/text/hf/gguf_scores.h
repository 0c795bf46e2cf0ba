// Scores for GGUF's "llama" model, which merges whichever two neighbours make the token of the highest score.
#pragma once

#include <vector>

#include "base/result.h"
#include "text/hf/tokenizer_json.h"

namespace rafter::text::hf {

// [tokens]: minus the rank of the first merge that gives the token. Fails where scores cannot say what the merges do: where two tokens make
// a third without a merge, or where the merges that give a token do not follow one another.
[[nodiscard]] Result<std::vector<double>> gguf_scores(const TokenizerJson& json);

}  // namespace rafter::text::hf
