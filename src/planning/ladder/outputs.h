// What a loaded model says of a text: its logits, to be compared bit by bit or as distributions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/loading/loaded_model.h"
#include "planning/ladder/ladder.h"

namespace rafter::planning {

using text::TokenId;

struct TextLogits {
    std::uint32_t n_vocab = 0;
    std::vector<float> rows;  // [n_tokens, n_vocab]: after each token of the text

    [[nodiscard]] std::size_t n_tokens() const { return n_vocab > 0 ? rows.size() / n_vocab : 0; }
    [[nodiscard]] std::span<const float> row(std::size_t token) const { return std::span(rows).subspan(token * n_vocab, n_vocab); }
};

// How the text is computed. All ways must give the same bits.
struct OutputWay {
    std::uint32_t chunk = 64;       // tokens a step; 1: as decoding does
    std::uint32_t n_sequences = 1;  // that are computed together: the first has the text, each other one the text turned by its number
    bool scattered_blocks = false;  // the cache's blocks in an order of no pattern
    bool from_scratch = false;      // no cache: each row computes all tokens before it again; the last n_rows rows alone
    std::uint32_t n_rows = 0;
};
// Of the first sequence. The model must have room: a context of the text, and outputs for a chunk of it.
[[nodiscard]] TextLogits logits_of_text(engine::LoadedModel& model, std::span<const TokenId> text, const OutputWay& way = {});

// rows: the last ones of `reference`.
[[nodiscard]] OutputCheck same_bits(const TextLogits& rows, const TextLogits& reference, std::string against);
// KL(reference || logits) of each token's distribution.
[[nodiscard]] OutputCheck divergence(const TextLogits& logits, const TextLogits& reference, std::string against);

}  // namespace rafter::planning
