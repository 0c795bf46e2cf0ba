// A model known by its dimensions alone, without weights: from the catalog, a Hugging Face config.json or a JSON file of plain dimensions.
// Enough to build its program and price it; not to run it (rope tables are empty).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/layer_shape.h"
#include "model/quantization.h"

namespace rafter::model {

// Deeper models are listed up to here; the rest is counted as repetitions of the pattern. No published model comes near.
inline constexpr std::uint32_t kMaxListedLayers = 256;
// Models of shapes are listed whole.
inline constexpr std::uint32_t kMaxShapedLayers = 1024;

struct DescribedModel {
    std::string name;
    std::string source;                        // where the dimensions come from
    ModelConfig config;                        // of the listed layers: config.n_layers of them
    double n_layers = 0.0;                     // in all
    std::uint32_t layer_pattern = 1;           // layers after which kinds repeat
    double weight_bits = 16.0;                 // as published
    std::optional<double> expert_bits;         // of experts' matrices, where they differ
    std::string weight_type = "bf16";          // what these bits are
    std::string activation_type;               // that its matrices are meant to meet: "fp8", "int8", "fp4"; empty: of weight_type
    std::optional<double> parameters;          // that the source states where dimensions do not give them: all weights are scaled to it
    std::optional<double> kv_bytes_per_token;  // stated by the source in the same way
    std::vector<LayerShape> shapes;            // [config.n_layers]; empty: config.layers says all
    OuterShape outer;
    std::optional<Quantization> quantization;  // of a checkpoint whose modules have types of their own; else weight_bits holds for all
    std::vector<std::string> assumed;          // what makes the whole answer doubtful; said first
    std::vector<std::string> notes;            // what had to be assumed
    struct UnknownKey {
        std::string key;
        std::vector<std::string> known;
    };
    std::vector<UnknownKey> unknown_keys;  // of its file, ignored
};

// Lays out the layers: listed_layers() of n_layers, all with window where (i + 1) % full_every != 0, dense ones first.
struct LayerPlan {
    double n_layers = 0.0;
    std::uint32_t window = 0;
    std::uint32_t full_every = 0;  // each so many-th layer sees everything; 0: every layer has the window; 1: none has
    std::uint32_t n_dense = 0;     // of a mixture of experts, the first layers without any
};
void lay_out(const LayerPlan& plan, DescribedModel& model);

// Widths multiply into 32 bits.
[[nodiscard]] bool widths_fit(const ModelConfig& config);

}  // namespace rafter::model
