// What an attention op should take: the backend's split of queries into items of one KV head (backend/cpu/attention_step.h), each priced by
// the kernel's measured time for a piece of positions.
#pragma once

#include <string>

#include "hardware/profile.h"
#include "model/program.h"
#include "roofline/step.h"

namespace rafter::roofline {

struct AttentionPrice {
    double compute_seconds = 0.0;  // with keys and values near
    double hidden = 1.0;           // how much of the smaller of computing and reading the kernel hides
    bool complete = true;          // false where the profile has no reading of this type of cache
};
[[nodiscard]] AttentionPrice price_attention(const model::AttentionOptions& options, const Step& step, const hardware::Profile& profile,
                                             const std::string& key_type, const std::string& value_type);

// One call of the kernel, near: linear in queries, elements of a head and positions between the readings. 0 without any.
[[nodiscard]] double piece_seconds(const hardware::Profile& profile, const std::string& kv_type, double n_queries, double head_dim,
                                   double n_positions);

}  // namespace rafter::roofline
