// Whether a model fits, and how many sequences with it: capacity = (memory - weights - workspace) / bytes of the cache. Paged, a sequence
// wastes only the rest of its last block (PagedAttention, https://arxiv.org/abs/2309.06180); contiguous, all that it may yet grow to.
#pragma once

#include <string>
#include <vector>

#include "roofline/step_price.h"

namespace rafter::roofline {

struct MemoryQuestion {
    double n_sequences = 1.0;
    double n_context = 0.0;      // positions a sequence has
    double n_max_context = 0.0;  // that a contiguous cache reserves for it
    double block_size = 16.0;
    double chunk_tokens = 0.0;             // of a prefill step, at most
    double memory_fraction = 1.0;          // of the devices' memory that may be used
    bool with_remedies = true;             // fills MemoryFit::remedies
    bool follows_engine = false;           // the part is the engine's own, whatever memory_fraction says
    std::optional<double> step_tokens;     // of the engine's largest step; unset: its default
    std::optional<double> max_sequences;   // that it samples together; unset: its default
    std::optional<double> reserved_bytes;  // of a device, in place of what the engine is taken to need besides weights and cache
};

struct CacheFit {
    double bytes_per_sequence = 0.0;  // reserved
    double max_sequences = 0.0;
    double waste_fraction = 0.0;  // of what is reserved
};

struct MemoryFit {
    // Over all devices; what several hold counts as often as it is held.
    double capacity_bytes = 0.0;  // that may be used
    double weights_bytes = 0.0;
    double kv_bytes = 0.0;         // of the sequences asked about, paged
    double workspace_bytes = 0.0;  // what the engine takes besides
    double free_bytes = 0.0;       // what is left; negative: the shortfall
    double pool_bytes = 0.0;       // left for the cache, free or not
    double max_tokens = 0.0;       // positions in sequences of n_context; the last one need not be whole
    double kv_copies = 1.0;        // bytes that hold the cache over bytes of the cache
    bool fits = false;
    CacheFit paged;
    CacheFit contiguous;
    std::vector<std::string> remedies;  // what would make it fit, as options and a word on them; empty when it does
};

[[nodiscard]] MemoryFit fit_memory(const PricedList& list, const Setup& setup, const MemoryQuestion& question);

}  // namespace rafter::roofline
