// What the inputs of a model's matrices are like on a text: the sums of squares, column by column, that tell a quantiser which weights
// matter. The model is one that observes (LoadModelOptions::observe_inputs); the text comes in windows, each a sequence of its own.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "files/imatrix_file.h"
#include "text/tokenizer.h"

namespace rafter::engine {

using text::TokenId;

class ImportanceCollector {
  public:
    // model: just loaded, with observe_inputs, and as many outputs as tokens a step. It outlives this, and nothing else runs it meanwhile.
    explicit ImportanceCollector(LoadedModel& model) : model_(model) {}

    // At most as many tokens as the model's context. Takes a forward pass over them.
    void add(std::span<const TokenId> window);

    // Of all windows so far, with an entry for each tensor of matrices; `datasets` is left to the caller. Fails on inputs that are NaN or
    // infinite, naming the tensor.
    [[nodiscard]] Result<files::ImportanceMatrix> result() const;

  private:
    [[nodiscard]] std::vector<std::vector<backend::BlockId>> block_tables(std::uint32_t n_positions) const;  // [n_cache_groups]

    LoadedModel& model_;
    std::uint32_t n_windows_ = 0;
    std::uint32_t window_tokens_ = 0;  // of the largest
};

}  // namespace rafter::engine
