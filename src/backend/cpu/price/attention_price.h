// What an attention op should take: the items that attention_split.h says, each priced by the kernel's measured time for a piece of
// positions.
#pragma once

#include <string>

#include "hardware/profile.h"
#include "model/program.h"
#include "roofline/step.h"

namespace rafter::backend::cpu {

// What the threads do for one op, as the price sees it: exact as long as no sequence has more than 64 row tiles, an estimate from 64 of
// them beyond that. Where partial results have no room (AttentionScratch), there are fewer items.
struct AttentionWork {
    double n_items = 0.0;      // that threads take
    double n_calls = 0.0;      // of the kernel: a piece of an item
    double n_queries = 0.0;    // of all calls together
    double n_positions = 0.0;  // read by all calls together, in whole tiles
};
[[nodiscard]] AttentionWork count_attention(const model::AttentionOptions& options, const roofline::Step& step, unsigned n_threads);

// How much of the smaller of computing and reading a kernel can fail to hide: at worst one follows the other. What a reading shows beyond
// that is the machine's noise.
inline constexpr double kMaxVisible = 1.0;

struct AttentionPrice {
    double compute_seconds = 0.0;  // with keys and values near
    double hidden = 1.0;           // how much of the smaller of computing and reading the kernel hides
    bool complete = true;          // false where the profile has no reading of this type of cache
};
[[nodiscard]] AttentionPrice price_attention(const model::AttentionOptions& options, const roofline::Step& step,
                                             const hardware::Profile& profile, const std::string& key_type, const std::string& value_type);

// The three ops of unfused attention: the computing alone, with keys, values and scores near. The readings of the first and the last are
// hardware::AttentionReading's of kv_type "scores_f16" and "values_f16", of 64 elements a head and 256 positions; the second's is the row
// "softmax". Positions that the causal mask hides are not computed.
[[nodiscard]] AttentionPrice price_scores(const model::AttentionOptions& options, const roofline::Step& step,
                                          const hardware::Profile& profile, const std::string& key_type);
[[nodiscard]] AttentionPrice price_softmax(const model::AttentionOptions& options, const roofline::Step& step,
                                           const hardware::Profile& profile);
[[nodiscard]] AttentionPrice price_values(const model::AttentionOptions& options, const roofline::Step& step,
                                          const hardware::Profile& profile, const std::string& value_type);

// One call of the kernel, near: linear in queries, elements of a head and positions between the readings. 0 without any.
[[nodiscard]] double piece_seconds(const hardware::Profile& profile, const std::string& kv_type, double n_queries, double head_dim,
                                   double n_positions);

}  // namespace rafter::backend::cpu
