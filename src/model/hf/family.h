// What is known of a family of Hugging Face's models (a model_type): one row each in families.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/described.h"
#include "model/hf/keys.h"

namespace rafter::model::hf {

// What a family's layers have that no key says, or that holds when the key is missing.
struct Traits {
    NormPlaces norms = NormPlaces::kBefore;
    bool norm_bias = false;
    bool norm_gain = true;
    QkNorm qk_norm = QkNorm::kNone;
    bool gated = true;
    bool qkv_bias = false;
    bool output_bias = false;
    bool output_bias_follows = true;  // attention_bias speaks of the output matrix too
    bool ffn_bias = false;
    bool output_gate = false;
    bool no_rope = false;
    bool sinks = false;
    bool tied = false;
    bool head_bias = false;
};

struct Family;
// A model while it is read: what all its layers start from.
struct Reading {
    Keys& keys;
    const Family& family;
    DescribedModel& m;
    AttentionShape attention;
    std::optional<LatentShape> latent;
    DenseShape dense;
    std::optional<ExpertsShape> experts;
    std::uint32_t window = 0;
    std::vector<std::string> kinds = {};  // of each layer: "full_attention", "mamba", ...
    std::vector<bool> is_moe = {};
    std::optional<StateShape> linear = {};  // of layers of kind "linear_attention", "mamba", ...
};
// Changes what was read in the common way, before layers are laid out from `kinds`; or lays out `m.shapes` itself.
using Reader = void (*)(Reading&);

struct Family {
    const char* type;      // model_type
    const char* defaults;  // JSON of the keys that its files leave out when they equal the class's own
    Traits traits;
    Reader read = nullptr;
    const char* unseen = nullptr;  // what the reader cannot see yet; said first
};

// Null when unknown.
[[nodiscard]] const Family* find_family(std::string_view type);
[[nodiscard]] std::vector<std::string> known_types();
// Nothing, or why models of this type are no decoders that can be planned: "an encoder".
[[nodiscard]] const char* refusal_of(std::string_view type);
// An older or outer name of a known type.
[[nodiscard]] std::string_view resolved_type(std::string_view type);

}  // namespace rafter::model::hf
