// A model as a flat list of operations on named values: the one list that is rewritten, priced, executed and timed. build() gives the
// canonical, unfused list of a config; rewrites (model/rewrites.h) turn it into what a backend declares it runs best, and change no bit of
// the result but for the rounding of quantised activations. Attention in three ops, which is there for comparison, is rounded otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "model/config.h"
#include "tensor/dtype.h"

namespace rafter::model {

using ValueId = std::uint32_t;   // index into Program::values
using WeightId = std::uint32_t;  // index into Program::weights

// What a value has a row for.
enum class RowKind {
    kTokens,   // each token of the step
    kHidden,   // each token whose last hidden state is wanted: those of kOutputs, then those without logits
    kOutputs,  // each token whose logits are wanted
    kSlots,    // each (token, chosen expert): row token * n_experts_used + rank
};

// The number format of a value's rows. kF32: floats. kQ8: 8-bit integers in blocks of 32 with a float scale (model/workspace.h). kQ16: the
// same with 15 bits, as two planes of 8-bit integers.
enum class Encoding { kF32, kQ8, kQ16 };

struct Value {
    std::string name;  // "blk.3.attn_q", for profiles and messages
    RowKind rows = RowKind::kTokens;
    std::uint32_t width = 0;  // elements a row; 0: as many as there are heads times positions seen (attention scores)
    Encoding encoding = Encoding::kF32;
};

enum class WeightKind {
    kMatrix,     // [n_rows, n_cols], multiplied: out[r] = sum over c of w[r][c] * in[c]
    kExperts,    // [n_experts, n_rows, n_cols], one matrix an expert
    kEmbedding,  // [n_rows, n_cols], looked up; may be the same tensor as the head's matrix
    kVector,     // [n_cols], held as float
    kVectors,    // [n_experts, n_cols], held as float: experts' biases
};

// A tensor that the program needs, with the shape that binding checks: rows [first_row, first_row + n_rows) of a tensor that has
// n_source_rows (a fused QKV tensor is three weights).
struct Weight {
    std::string tensor;  // its name in the file
    WeightKind kind = WeightKind::kMatrix;
    std::uint32_t n_experts = 1;
    std::uint32_t n_rows = 1;
    std::uint32_t n_cols = 0;
    std::uint32_t first_row = 0;
    std::uint32_t n_source_rows = 1;
    // That it is held in. Binding (model/model_file.h) sets both types to the file's; model/held_types.h may change this one.
    tensor::DType dtype = tensor::DType::kF32;
    tensor::DType source_dtype = tensor::DType::kF32;  // in the file
};

// Each kind is one computation: what a backend that knows another kind would compute wrongly is a kind of its own. A backend says which it
// runs (Backend::can_run); the others are there to be priced. Whoever tells kinds apart lists them all in a switch without a default, so
// that a new kind is a compiler warning in each place that must know it.
enum class OpKind {
    kEmbed,            // ()                 -> x       weight: table; the row of each token
    kEmbedPosition,    // ()                 -> x       weight: table; the row of each token's position
    kRmsNorm,          // x                  -> y       weight: gain[group]; of the whole row, or of each head when group < width
    kLayerNorm,        // x                  -> y       weight: gain[group]; the mean is subtracted first
    kLinear,           // x                  -> y...    weights: one matrix an output; fused: Q, K, V or gate, up in one go
    kLinearByHead,     // x                  -> y       weight: a matrix for each head, stacked, times that head's part of x
    kAddBias,          // x                  -> y       weight: bias
    kRope,             // x                  -> y
    kKvAppend,         // k, v               -> ()      rounds to the cache's type
    kLatentAppend,     // latent             -> ()      the same for the one latent vector that all heads share
    kAttention,        // q                  -> y       weight: sinks, if any; reads the cache, this step's keys included
    kLatentAttention,  // q                  -> y       the same with latents as keys, and their first part as values
    kAdd,              // a, b               -> a + b
    kGatedActivation,  // gate, up           -> act(gate) * up
    kActivation,       // x                  -> act(x)
    kSelectOutputs,    // x (tokens)         -> y (outputs)
    kSoftcap,          // x                  -> c * tanh(x / c)
    kRoute,            // router logits      -> routing: a token's k expert numbers (as floats), then their k weights
    kExpertLinear,     // x, routing         -> y... (slots)  weights: experts, one an output; x has token rows or slot rows
    kAddExpertBias,    // x (slots), routing -> y (slots)     weight: biases
    kCombineExperts,   // x (slots), routing -> y (tokens): weighted sum in rank order
    kAttentionScores,  // q                  -> scores: q · k for each head and position; reads the cache's keys
    kSoftmax,          // scores             -> probabilities
    kAttentionValues,  // probabilities      -> y; reads the cache's values
    kQuantize,         // x                  -> x in blocks (its value's Encoding)
    kObserve,          // x                  -> ()      adds the squares of x's rows, column by column, to sums that the device keeps;
                       // x, routing                    with routing, each slot's row to the sums of the expert that it goes to
    kFusedRows,        // parts run one after the other on each row, while it is in cache
};

struct EmbedOptions {
    float scale = 1.0F;
};
struct NormOptions {
    float epsilon = 1e-5F;
    std::uint32_t group = 0;  // elements normalised together
};
struct RopeOptions {
    std::uint32_t table = 0;  // index into ModelConfig::rope_tables
    std::uint32_t head_dim = 0;
};
struct CacheOptions {
    std::uint32_t layer = 0;
};
struct AttentionOptions {
    std::uint32_t layer = 0;
    std::uint32_t n_heads = 0;
    std::uint32_t n_kv_heads = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t window = 0;  // 0: all positions
    float scale = 1.0F;
    float softcap = 0.0F;  // 0: none
};
struct ActivationOptions {
    Activation activation = Activation::kSilu;
};
struct SoftcapOptions {
    float cap = 0.0F;
};
struct RouteOptions {
    std::uint32_t n_experts_used = 0;
    RouterScoring scoring = RouterScoring::kSoftmaxThenTopK;
    bool normalize_weights = true;
};
struct ObserveOptions {
    std::vector<std::string> tensors;  // of the matrices that multiply these inputs
    std::uint32_t n_matrices = 1;      // experts, or 1: each has sums of its own
    bool makes_values = false;         // of attention, or latents, with one of these matrices
    // Matrices [first_moments, first_moments + n_moments) have second moments too, the sums of x[i] * x[j]: they take width² / 2 numbers
    // each.
    std::uint32_t first_moments = 0;
    std::uint32_t n_moments = 0;
    // In second moments, inputs at a sequence's first position count as often as this. Of one matrix.
    std::uint32_t first_position_counts = 1;
};
using OpOptions = std::variant<std::monostate, EmbedOptions, NormOptions, RopeOptions, CacheOptions, AttentionOptions, ActivationOptions,
                               SoftcapOptions, RouteOptions, ObserveOptions>;

struct Op {
    OpKind kind = OpKind::kAdd;
    std::string name;  // "blk.3.attn_q"
    std::vector<ValueId> inputs;
    std::vector<ValueId> outputs;
    std::vector<WeightId> weights;
    OpOptions options;
    std::vector<Op> parts;  // of a fused op: its constituents in order, so its cost and its gain are known
};

// Layers that share block tables: all that see everything, or all with one window. A block of a group holds keys and values of all its
// layers.
struct CacheGroup {
    std::uint32_t window = 0;           // 0: every position is kept
    std::vector<std::uint32_t> layers;  // ascending
};

struct Program {
    ModelConfig config;
    std::vector<Value> values;
    std::vector<Weight> weights;
    std::vector<Op> ops;
    std::vector<CacheGroup> cache_groups;
    ValueId hidden = 0;  // [n_outputs + n_hidden, d_model], after the last norm
    ValueId logits = 0;  // [n_outputs, n_vocab]
};

// The canonical list: an op for each step of the papers, nothing fused, everything float.
[[nodiscard]] Program build(const ModelConfig& config);

[[nodiscard]] const char* to_string(OpKind kind);

// True for ops whose output row depends on the same row of their inputs and on nothing else of the step (kKvAppend writes its own
// position).
[[nodiscard]] bool is_row_local(OpKind kind);

}  // namespace rafter::model
