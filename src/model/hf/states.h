// Layers with a state of constant size a sequence, from their dimensions: matrices, what is kept, and the recurrence's arithmetic.
#pragma once

#include "model/layer_shape.h"

namespace rafter::model::hf {

// Gated delta net (https://arxiv.org/abs/2412.06464) of Qwen3-Next: a matrix [key_dim, value_dim] a value head.
struct DeltaNetDims {
    std::uint32_t d_model, n_key_heads, n_value_heads, key_dim, value_dim, conv_kernel;
};
[[nodiscard]] StateShape gated_delta_net(const DeltaNetDims& d);

// Kimi's delta attention (https://arxiv.org/abs/2510.26692): the decay has a value a channel, through matrices of low rank.
struct KimiDeltaDims {
    std::uint32_t d_model, n_heads, head_dim, conv_kernel;
};
[[nodiscard]] StateShape kimi_delta_attention(const KimiDeltaDims& d);

// Mamba-1 (https://arxiv.org/abs/2312.00752).
struct MambaDims {
    std::uint32_t d_model, d_inner, d_state, dt_rank, conv_kernel;
    bool conv_bias = true;
    bool bias = false;         // of the matrices
    bool inner_norms = false;  // Jamba's, of dt, B and C
};
[[nodiscard]] StateShape mamba1(const MambaDims& d);

// Mamba-2 (https://arxiv.org/abs/2405.21060).
struct Mamba2Dims {
    std::uint32_t d_model, n_heads, head_dim, n_groups, d_state, conv_kernel;
    bool conv_bias = true;
    bool bias = false;
    bool norm = true;  // gated norm before the last matrix
};
[[nodiscard]] StateShape mamba2(const Mamba2Dims& d);

// The gated short convolution of LFM2.
struct ShortConvDims {
    std::uint32_t d_model, kernel;
    bool bias = false;
};
[[nodiscard]] StateShape short_convolution(const ShortConvDims& d);

// Linear attention with a fixed decay (Lightning Attention of MiniMax-01): a matrix [head_dim, head_dim] a head.
struct LightningDims {
    std::uint32_t d_model, n_heads, head_dim;
};
[[nodiscard]] StateShape lightning_attention(const LightningDims& d);

// The RG-LRU block of Griffin (https://arxiv.org/abs/2402.19427): one value a channel.
struct GriffinDims {
    std::uint32_t d_model, width, n_heads, conv_kernel;
};
[[nodiscard]] StateShape rg_lru(const GriffinDims& d);

// RWKV-4's time mixing (https://arxiv.org/abs/2305.13048).
struct RwkvDims {
    std::uint32_t d_model, width;
};
[[nodiscard]] StateShape rwkv4(const RwkvDims& d);

}  // namespace rafter::model::hf
