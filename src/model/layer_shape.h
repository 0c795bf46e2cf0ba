// A layer of a described model: its parts with their own widths, so that layers of one model may differ in kind, heads and widths. Enough
// to count and price it; the engine need not be able to run it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rafter::model {

// A matrix [n_rows, n_cols] that every token is multiplied with, beside those of attention and feed-forward.
struct MatrixShape {
    std::string name;  // as its family's checkpoint has it, without the layer: "mamba.in_proj"
    std::uint32_t n_rows = 0;
    std::uint32_t n_cols = 0;
};

enum class QkNorm {
    kNone,
    kHead,        // one gain [head_dim] for all query heads, one for all key heads
    kRow,         // a gain for the whole row of queries, and of keys
    kHeadBiased,  // one gain and one bias [head_dim] each
};

struct AttentionShape {
    std::uint32_t n_heads = 0;
    std::uint32_t n_kv_heads = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t value_dim = 0;  // of a value head; 0: head_dim
    std::uint32_t n_in = 0;       // columns of Q, K and V; 0: d_model
    std::uint32_t window = 0;     // 0: sees every position; w: the last w, or the w of its chunk
    bool qkv_bias = false;
    bool output_bias = false;
    bool output_gate = false;      // a second matrix as wide as the queries gates the output
    bool sinks = false;            // one learned logit a head
    bool no_rope = false;          // positions enter through the embedding, ALiBi or not at all
    bool shares_cache = false;     // reads an earlier layer's keys and values and has none of its own
    bool keys_are_values = false;  // one matrix makes both; the cache keeps both
    bool crosses = false;          // keys and values of another part (an image), which no token adds to
    QkNorm qk_norm = QkNorm::kNone;
};

// Latent attention (MlaConfig) with the indexer of DeepSeek V3.2: a small attention that chooses the positions that the large one reads.
struct LatentShape {
    std::uint32_t n_heads = 0;
    std::uint32_t kv_lora_rank = 0;
    std::uint32_t q_lora_rank = 0;  // 0: queries come of the residual in one step
    std::uint32_t rope_head_dim = 0;
    std::uint32_t nope_head_dim = 0;
    std::uint32_t value_head_dim = 0;
    std::uint32_t n_index_heads = 0;  // 0: no indexer
    std::uint32_t index_head_dim = 0;
    std::uint32_t n_selected = 0;  // positions that attention then reads, at most
    bool shares_index = false;     // uses the choice of an earlier layer's indexer
    bool output_gate = false;
};

// A layer with a state of constant size a sequence in place of a growing cache: linear attention, a state space, a short convolution.
struct StateShape {
    std::string name;                   // "mamba2"
    std::vector<MatrixShape> matrices;  // in order; the last one gives d_model
    std::uint32_t width = 0;            // elements a token that come out of the recurrence
    double n_vector = 0.0;              // parameters that are no matrices: convolution, decay, biases, norms
    double state_elements = 0.0;        // of one sequence
    double conv_elements = 0.0;         // inputs that a convolution keeps, of one sequence
    double flops_per_token = 0.0;       // of the recurrence itself
    std::uint32_t state_bits = 0;       // of an element of the state, where the config says; 0: as the cache
};

struct DenseShape {
    std::uint32_t d_ff = 0;
    bool gated = true;
    bool bias = false;
    std::uint32_t n_norm = 0;  // elements of a norm inside
};

struct ExpertsShape {
    std::uint32_t n_experts = 0;
    std::uint32_t n_used = 0;
    std::uint32_t d_ff = 0;
    std::uint32_t d_ff_shared = 0;  // of the experts that every token passes, together; 0: none
    std::uint32_t d_latent = 0;     // width that experts read and give; 0: d_model
    bool gated = true;
    bool bias = false;         // of experts and router
    bool router_bias = false;  // a correction a expert, for balance
    bool shared_gate = false;  // one more row, that weighs the shared expert
    bool router = true;
};

// Which norms a layer has beside those inside attention and state.
enum class NormPlaces {
    kBefore,          // before the mixer and before the feed-forward part
    kBeforeAndAfter,  // both
    kAfter,           // only after each
    kOnce,            // one for both, which run side by side (GPT-J, Cohere, PaLM)
    kTwiceParallel,   // one each, and they run side by side
    kNone,
};

struct LayerShape {
    std::optional<AttentionShape> attention;
    std::optional<LatentShape> latent;
    std::optional<StateShape> state;  // beside attention: both read the same input and are added (Falcon-H1)
    std::optional<DenseShape> dense;
    std::optional<ExpertsShape> experts;  // beside dense: both are added
    NormPlaces norms = NormPlaces::kBefore;
    bool norm_gain = true;
    bool norm_bias = false;
    std::vector<MatrixShape> extra;  // more that every token passes
    double n_vector = 0.0;           // more parameters that are no matrices
    std::uint32_t shared_block = 0;  // its weights are those of all layers with this number; 0: its own
};

// What a model has outside its layers.
struct OuterShape {
    std::uint32_t d_embedding = 0;         // where the table is narrower than d_model; 0: d_model
    std::vector<MatrixShape> tables;       // looked up beside the embedding, a row a token
    std::vector<MatrixShape> projections;  // multiplied once a step
    double n_vector = 0.0;                 // norms and biases beside the last norm
    bool last_norm = true;
    bool norm_without_gain = false;
    bool head_bias = false;
};

}  // namespace rafter::model
