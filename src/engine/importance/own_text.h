// Text that a model writes itself, where nobody has a text to calibrate with: many short documents, drawn at temperature 1 from the whole
// vocabulary, so that what the model would say is in it as often as the model says it. Never a text to judge the model by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "engine/loading/loaded_model.h"

namespace rafter::engine {

struct OwnTextOptions {
    std::size_t n_tokens = 0;                            // at least
    std::uint32_t context = 512;                         // no document has more tokens
    std::uint32_t n_together = 16;                       // documents that are written at once
    std::uint64_t seed = 0;                              // same seed, same text
    std::function<bool(std::size_t n_written)> written;  // called after each step; false: stop. May be empty
};
// The documents one after the other, each from its BOS token (where the model expects one) to its end token. They begin with BOS alone,
// with a few words, or with a question in the model's chat template, in turn. engine: idle, of the opened model. None: stopped.
[[nodiscard]] Result<std::optional<std::vector<TokenId>>> write_own_text(Engine& engine, const OpenedModel& opened,
                                                                         const OwnTextOptions& options);

}  // namespace rafter::engine
