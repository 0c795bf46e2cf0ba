// A program made ready for pricing: its ops with equal ones counted together, so that a step of a 400-layer model costs as many prices as a
// layer has ops, and layers beyond those listed are counted on. The rewritten list of a backend, or the one that a device is planned with.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/program.h"
#include "roofline/op_cost.h"

namespace rafter::roofline {

// Ops that differ in nothing but their layer.
struct CountedOp {
    model::Op op;      // the first of them
    std::string name;  // "attn_q+attn_k+attn_v", without its layer; a window or a type behind it where the name alone is not one's own
    double count = 0.0;
};

// Tensors of one shape, use and type; a tensor that is read as table and as head counts once.
struct CountedWeight {
    model::Weight weight;
    double count = 0.0;
    bool multiplied = false;   // not only looked up or added
    double stored_bits = 0.0;  // an element, of a checkpoint whose modules differ; 0: as the options or its type say
};

// Layers whose caches are alike: what a position takes in each, and how many positions it keeps.
struct CachedLayers {
    double count = 0.0;
    double window = 0.0;       // positions kept at most; 0: every one
    double key_width = 0.0;    // elements of a position
    double value_width = 0.0;  // 0: keys serve as values (MLA)
    double index_bytes = 0.0;  // an indexer's key, in its own type
    double n_kv_heads = 0.0;   // that key_width is made of; 0: a latent, which all heads share
};
// Constant states of layers that have one in place of a cache, of one sequence.
struct ConstantStates {
    double elements = 0.0;     // in 16 bits
    double elements_32 = 0.0;  // in float
};

// What a step of layers with a state costs beside their matrices: an op of this name reads and writes the state of each sequence once.
struct StateOp {
    std::string name;  // without its layer
    double bytes = 0.0;
    double flops_per_token = 0.0;
};
// What an indexer adds to the attention that it chooses positions for.
struct IndexCost {
    double bytes_per_position = 0.0;
    double flops_per_pair = 0.0;
};

struct PricedList {
    model::Program program;
    std::vector<CountedOp> ops;  // in the order of the first of each
    std::vector<CountedWeight> weights;
    double n_layers = 0.0;
    double n_expert_layers = 0.0;
    std::vector<CachedLayers> caches;
    ConstantStates states;
    std::vector<StateOp> state_ops;
    IndexCost index;
    double weight_scale = 1.0;  // of all weights, where a stated number of parameters is not what the dimensions give
    double kv_scale = 1.0;
    std::vector<double> stored_bits;      // by WeightId, as CountedWeight's; empty: of none
    double workspace_token_bytes = 0.0;   // a token's part of the workspace, activations in float
    double workspace_output_bytes = 0.0;  // and that of a row with logits
};

// How many layers the program stands for: pattern is the number of layers after which kinds repeat at its end.
struct LayerCount {
    double n_layers = 0.0;
    std::uint32_t pattern = 1;
};
// `listed` and `shorter` are the same model with and without its last pattern of layers; only `listed` is needed when it has all layers.
[[nodiscard]] PricedList make_list(model::Program listed, const model::Program* shorter, LayerCount layers);
[[nodiscard]] PricedList make_list(model::Program program, std::vector<double> stored_bits = {});

[[nodiscard]] double parameters(const PricedList& list);
// Of one token: every matrix that it passes, the head and the embedding's table included; and without what is only looked up, as most model
// cards count.
[[nodiscard]] double active_parameters(const PricedList& list);
[[nodiscard]] double active_without_embedding(const PricedList& list);
[[nodiscard]] double weight_flops_per_token(const PricedList& list);
[[nodiscard]] double weight_bytes(const PricedList& list, const CostOptions& options);
[[nodiscard]] double expert_weight_bytes(const PricedList& list, const CostOptions& options);  // of these, what experts hold
[[nodiscard]] double kv_bytes_per_token(const PricedList& list, KvElementBytes kv);
// The same of layers that keep every position: growth beyond all windows.
[[nodiscard]] double growing_kv_bytes_per_token(const PricedList& list, KvElementBytes kv);
[[nodiscard]] double state_bytes_per_sequence(const PricedList& list);
[[nodiscard]] double kv_bytes_per_sequence(const model::ModelConfig& config, KvElementBytes kv, double n_context);
// Of a sequence of n_context positions: layers with a window keep that many, and constant states come on top. copies: how often the
// devices together hold a layer of so many key and value heads.
[[nodiscard]] double kv_bytes_per_sequence(const PricedList& list, KvElementBytes kv, double n_context);
[[nodiscard]] double kv_bytes_per_sequence(const PricedList& list, KvElementBytes kv, double n_context,
                                           const std::function<double(double n_kv_heads)>& copies);

// Bits an element of a weight takes: what the options say of all, else as its checkpoint stores it.
[[nodiscard]] double weight_bits(const PricedList& list, model::WeightId weight, const CostOptions& options);
[[nodiscard]] double weight_bits(const CountedWeight& weight, const CostOptions& options);

// Cost of one such op with the list's scales; whose weights are experts'; what computes on whole matrices.
[[nodiscard]] OpCost cost_of(const PricedList& list, const CountedOp& op, const Step& step, const CostOptions& options);
[[nodiscard]] bool multiplies(const model::Op& op);
[[nodiscard]] bool attends(const model::Op& op);

}  // namespace rafter::roofline
