// The rungs in words.
#include "planning/ladder/rungs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace rafter::planning {
namespace {

constexpr std::array kRungs = {
    RungWords{.id = "naive",
              .name = "Naive",
              .options = "",
              .why = "Float32 weights, nothing fused, nothing kept: each new token computes the whole text again, so most of the "
                     "arithmetic is repeated."},
    RungWords{.id = "kv_cache",
              .name = "KV cache",
              .options = "",
              .why = "The keys and values of earlier tokens do not change, so they are kept: a new token then needs one pass over the "
                     "weights for one row, and decoding is bound by reading them."},
    RungWords{.id = "fused",
              .name = "Fused operations",
              .options = "",
              .why = "Small operations run on a row while it is in the nearest cache, and matrices with the same input run as one: fewer "
                     "trips to memory, fewer waits of all threads for each other."},
    RungWords{.id = "flash_decode",
              .name = "Flash attention, decode",
              .options = "",
              .why = "Scores never leave the nearest cache. A decode step has one row of them, so reading the cache of keys and values "
                     "hides most of the saving.",
              .on_path = false},
    RungWords{.id = "flash_prompt",
              .name = "Flash attention, prompt",
              .options = "",
              .why = "A prompt has a row of scores for each of its tokens: written, read, written and read again unless attention is "
                     "fused.",
              .on_path = false},
    RungWords{.id = "weights_16",
              .name = "16-bit weights",
              .options = "--weights F16",
              .why = "Each decoded token reads the weights once: half of the bytes take half of the time, as far as reading them is what "
                     "takes it."},
    RungWords{.id = "weights_8",
              .name = "8-bit weights",
              .options = "--weights Q8_0",
              .why = "Half of the bytes again, and arithmetic on bytes, which many processors do several times as fast."},
    RungWords{.id = "weights_4",
              .name = "4-bit weights",
              .options = "--weights IQ4_NL",
              .why = "Half of the bytes again. So few bits cost quality, which is measured beside the speed."},
    RungWords{.id = "kv_8",
              .name = "8-bit KV cache",
              .options = "--kv-type q8",
              .why = "A token reads the keys and values of all tokens before it: at long context these bytes count beside the weights, or "
                     "more than they do.",
              .on_path = false},
    RungWords{.id = "batch",
              .name = "Batch of {}",
              .options = "--batch {}",
              .why = "A weight that was read serves every sequence of the batch: the bytes stay, the tokens multiply."},
    RungWords{.id = "paged",
              .name = "Paged cache, batch of {}",
              .options = "--batch {}",
              .why = "Reserving a whole context for each sequence wastes most of the memory. Blocks are taken as tokens come, so more "
                     "sequences fit into the same memory, and the batch grows."},
    RungWords{.id = "prefix_cache",
              .name = "Prefix cache",
              .options = "",
              .why = "Prompts that begin alike (a system prompt, a document, a conversation) share the keys and values of their beginning: "
                     "computed once, read by all.",
              .on_path = false},
    RungWords{.id = "speculation",
              .name = "Speculation",
              .options = "--speculate ngram",
              .why = "At batch 1 the arithmetic idles while weights are read. Draft tokens are checked in the same pass, and those that "
                     "are right cost almost nothing.",
              .on_path = false},
    RungWords{.id = "all",
              .name = "All together",
              .options = "--kv-type q8 --batch {} --speculate ngram",
              .why = "4-bit weights, 8-bit paged cache, shared prefixes, a batch, and draft tokens where they pay: each saves what the "
                     "others leave."},
};

std::string filled_in(std::string_view text, std::uint32_t n) {
    std::string filled(text);
    if (const std::size_t at = filled.find("{}"); at != std::string::npos) filled.replace(at, 2, fmt::format("{}", n));
    return filled;
}

}  // namespace

std::span<const RungWords> rung_table() { return kRungs; }

LadderRung make_rung(std::string_view id, std::string load, std::uint32_t n) {
    const auto* const words = std::ranges::find(kRungs, id, &RungWords::id);
    RAFTER_CHECK(words != kRungs.end(), "{}", id);
    const bool counted = words->name.find("{}") != std::string_view::npos;
    LadderRung rung;
    rung.id = counted ? fmt::format("{}_{}", id, n) : std::string(id);
    rung.name = filled_in(words->name, n);
    rung.options = filled_in(words->options, n);
    rung.load = std::move(load);
    rung.why = words->why;
    rung.on_path = words->on_path;
    return rung;
}

}  // namespace rafter::planning
