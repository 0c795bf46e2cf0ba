// What a model is, in numbers: read from a file's metadata by one file per architecture (model/arch/), and all that program.h's builder
// needs. Families differ in these fields only; there is one builder and no per-family forward pass.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rafter::model {

// Which two elements of a head RoPE turns together: a property of how the source stores its weights (GGUF permutes llama's rows).
enum class RopePairing { kInterleaved, kHalves };  // (2i, 2i+1) or (i, i + n_dims/2)

// One table of rotation speeds, fixed at load: angle = position * inverse_frequency[i]; sine and cosine are both multiplied by magnitude.
struct RopeTable {
    std::vector<float> inverse_frequency;  // [n_dims / 2], radians a position
    float magnitude = 1.0F;                // YaRN and LongRoPE scale attention through it
    RopePairing pairing = RopePairing::kHalves;
};

enum class Activation { kSilu, kGeluTanh, kSwigluClamped };  // the last is gpt-oss's: clamped at 7, (up + 1) * gate * sigmoid(1.702 * gate)

enum class RouterScoring {
    kSoftmaxThenTopK,  // probabilities over all experts, then the best k of them
    kTopKThenSoftmax,  // softmax over the chosen experts' logits only
};

struct MoeConfig {
    std::uint32_t n_experts = 0;  // 0: no layer has any
    std::uint32_t n_experts_used = 0;
    std::uint32_t d_ff_expert = 0;
    RouterScoring scoring = RouterScoring::kSoftmaxThenTopK;
    bool normalize_weights = true;  // the chosen experts' weights sum to 1
    std::uint32_t d_ff_shared = 0;  // of the experts that every token passes, together; 0: none
};

// Latent attention (DeepSeek-V2, https://arxiv.org/abs/2405.04434): the cache keeps one latent vector a token and a rotated key that all
// heads share; keys and values of a head are made of the latent, or the query is brought into its space instead.
struct MlaConfig {
    std::uint32_t kv_lora_rank = 0;  // width of the latent; 0: ordinary attention
    std::uint32_t rope_head_dim = 0;
    std::uint32_t nope_head_dim = 0;  // of a head's query and key, what is not rotated
    std::uint32_t value_head_dim = 0;
    std::uint32_t q_lora_rank = 0;  // 0: queries come of the residual in one step
};

struct LayerConfig {
    std::uint32_t window = 0;      // 0: sees all positions; w: the last w, its own included
    std::uint32_t rope_table = 0;  // index into ModelConfig::rope_tables
    bool moe = false;
};

// Which optional tensors the architecture has; the builder emits an op for each.
struct LayerTensors {
    bool qkv_bias = false;
    bool output_bias = false;
    bool qk_norm = false;               // RMSNorm of each query and key head
    bool post_norms = false;            // RMSNorm after attention and after the FFN, before the residual is added
    bool sinks = false;                 // one learned logit a head that takes softmax mass and gives nothing
    bool fused_qkv = false;             // one tensor attn_qkv holds the rows of Q, K and V
    bool fused_gate_up = false;         // one tensor ffn_up holds the rows of gate, then up
    bool expert_bias = false;           // the router and the experts' three matrices have biases
    bool ffn_bias = false;              // of the dense feed-forward
    bool norm_bias = false;             // norms are LayerNorms: a bias comes after the gain
    bool no_ffn_norm = false;           // attention and feed-forward read the same norm and run side by side (GPT-J, PaLM)
    std::string ffn_norm = "ffn_norm";  // gpt-oss calls it post_attention_norm
};

struct ModelConfig {
    std::string architecture;  // "llama", as the file says
    std::string name;          // for people
    std::uint32_t n_layers = 0;
    std::uint32_t d_model = 0;
    std::uint32_t d_ff = 0;
    std::uint32_t n_heads = 0;
    std::uint32_t n_kv_heads = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t n_vocab = 0;
    std::uint32_t n_context = 0;  // that it was trained for
    float norm_epsilon = 1e-5F;
    float embedding_scale = 1.0F;
    float attention_scale = 0.0F;    // of q·k
    float attention_softcap = 0.0F;  // 0: none; c: c * tanh(x / c)
    float logit_softcap = 0.0F;
    Activation activation = Activation::kSilu;
    bool tied_embeddings = false;   // the output head is token_embd
    bool gated_ffn = true;          // gate and up, then down; otherwise up and down only
    std::uint32_t n_positions = 0;  // rows of a table of learned positions, which then replace RoPE; 0: none
    MoeConfig moe;
    MlaConfig mla;
    LayerTensors tensors;
    std::vector<LayerConfig> layers;  // [n_layers]
    std::vector<RopeTable> rope_tables;
};

}  // namespace rafter::model
