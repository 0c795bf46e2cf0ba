// Each as in the code that Hugging Face runs; a convolution of kernel k keeps its last k - 1 inputs.
#include "model/hf/states.h"

namespace rafter::model::hf {
namespace {

double kept_inputs(double channels, std::uint32_t kernel) { return kernel > 1 ? channels * (kernel - 1) : 0.0; }

}  // namespace

StateShape gated_delta_net(const DeltaNetDims& d) {
    const std::uint32_t keys = d.n_key_heads * d.key_dim;
    const std::uint32_t values = d.n_value_heads * d.value_dim;
    const double channels = 2.0 * keys + values;
    const double state = double{1} * d.n_value_heads * d.key_dim * d.value_dim;
    return {.name = "gated_delta_net",
            .matrices = {{"linear_attn.in_proj_qkvz", 2 * keys + 2 * values, d.d_model},
                         {"linear_attn.in_proj_ba", 2 * d.n_value_heads, d.d_model},
                         {"linear_attn.out_proj", d.d_model, values}},
            .width = values,
            .n_vector = channels * d.conv_kernel + 2.0 * d.n_value_heads + d.value_dim,
            .state_elements = state,
            .conv_elements = kept_inputs(channels, d.conv_kernel),
            .flops_per_token = 8 * state + 2 * channels * d.conv_kernel};  // decay, what the key finds, the correction, the read-out
}

StateShape kimi_delta_attention(const KimiDeltaDims& d) {
    const std::uint32_t width = d.n_heads * d.head_dim;
    const double state = double{1} * width * d.head_dim;
    return {.name = "kimi_delta_attention",
            .matrices = {{"self_attn.q_proj", width, d.d_model},
                         {"self_attn.k_proj", width, d.d_model},
                         {"self_attn.v_proj", width, d.d_model},
                         {"self_attn.f_a_proj", d.head_dim, d.d_model},
                         {"self_attn.f_b_proj", width, d.head_dim},
                         {"self_attn.b_proj", d.n_heads, d.d_model},
                         {"self_attn.g_a_proj", d.head_dim, d.d_model},
                         {"self_attn.g_b_proj", width, d.head_dim},
                         {"self_attn.o_proj", d.d_model, width}},
            .width = width,
            .n_vector = 3.0 * width * d.conv_kernel + width + d.n_heads + d.head_dim,
            .state_elements = state,
            .conv_elements = kept_inputs(3.0 * width, d.conv_kernel),
            .flops_per_token = 8 * state + 6.0 * width * d.conv_kernel};
}

StateShape mamba1(const MambaDims& d) {
    const double state = double{1} * d.d_inner * d.d_state;
    double n = double{1} * d.d_inner * d.conv_kernel + (d.conv_bias ? d.d_inner : 0) + d.d_inner + state + d.d_inner;
    if (d.bias) n += 2.0 * d.d_inner + d.d_model;
    if (d.inner_norms) n += d.dt_rank + 2.0 * d.d_state;
    return {.name = "mamba",
            .matrices = {{"mamba.in_proj", 2 * d.d_inner, d.d_model},
                         {"mamba.x_proj", d.dt_rank + 2 * d.d_state, d.d_inner},
                         {"mamba.dt_proj", d.d_inner, d.dt_rank},
                         {"mamba.out_proj", d.d_model, d.d_inner}},
            .width = d.d_inner,
            .n_vector = n,
            .state_elements = state,
            .conv_elements = kept_inputs(d.d_inner, d.conv_kernel),
            .flops_per_token = 9 * state + 2.0 * d.d_inner * d.conv_kernel};
}

StateShape mamba2(const Mamba2Dims& d) {
    const std::uint32_t inner = d.n_heads * d.head_dim;
    const std::uint32_t channels = inner + 2 * d.n_groups * d.d_state;
    const double state = double{1} * inner * d.d_state;
    double n = double{1} * channels * d.conv_kernel + (d.conv_bias ? channels : 0) + 3.0 * d.n_heads + (d.norm ? inner : 0);
    if (d.bias) n += double{1} * inner + channels + d.n_heads + d.d_model;
    return {.name = "mamba2",
            .matrices = {{"mamba.in_proj", inner + channels + d.n_heads, d.d_model}, {"mamba.out_proj", d.d_model, inner}},
            .width = inner,
            .n_vector = n,
            .state_elements = state,
            .conv_elements = kept_inputs(channels, d.conv_kernel),
            .flops_per_token = 6 * state + 2.0 * channels * d.conv_kernel};
}

StateShape short_convolution(const ShortConvDims& d) {
    const double n = double{1} * d.d_model * d.kernel + (d.bias ? 5.0 * d.d_model : 0.0);
    return {.name = "short_conv",
            .matrices = {{"conv.in_proj", 3 * d.d_model, d.d_model}, {"conv.out_proj", d.d_model, d.d_model}},
            .width = d.d_model,
            .n_vector = n,
            .state_elements = 0.0,
            .conv_elements = kept_inputs(d.d_model, d.kernel),
            .flops_per_token = 2.0 * d.d_model * (d.kernel + 1)};
}

StateShape lightning_attention(const LightningDims& d) {
    const std::uint32_t width = d.n_heads * d.head_dim;
    const double state = double{1} * width * d.head_dim;
    return {.name = "lightning_attention",
            .matrices = {{"self_attn.qkv_proj", 3 * width, d.d_model},
                         {"self_attn.output_gate", width, d.d_model},
                         {"self_attn.out_proj", d.d_model, width}},
            .width = width,
            .n_vector = double{1} * width,
            .state_elements = state,
            .conv_elements = 0.0,
            .flops_per_token = 5 * state};
}

StateShape rg_lru(const GriffinDims& d) {
    const double block = d.n_heads > 0 ? double{1} * d.width / d.n_heads : d.width;
    const double gates = 2.0 * (d.n_heads * block * block + d.width);
    return {.name = "rg_lru",
            .matrices = {{"temporal_block.linear_x", d.width, d.d_model},
                         {"temporal_block.linear_y", d.width, d.d_model},
                         {"temporal_block.linear_out", d.d_model, d.width}},
            .width = d.width,
            .n_vector = double{1} * d.width * (d.conv_kernel + 1) + d.width + gates + 2.0 * d.width + d.d_model,
            .state_elements = double{1} * d.width,
            .conv_elements = kept_inputs(d.width, d.conv_kernel),
            .flops_per_token = 2 * gates + 10.0 * d.width,
            .state_bits = 32};
}

StateShape rwkv4(const RwkvDims& d) {
    return {.name = "rwkv",
            .matrices = {{"attention.key", d.width, d.d_model},
                         {"attention.value", d.width, d.d_model},
                         {"attention.receptance", d.width, d.d_model},
                         {"attention.output", d.d_model, d.width}},
            .width = d.width,
            .n_vector = 2.0 * d.width + 3.0 * d.d_model,
            .state_elements = 3.0 * d.width + 2.0 * d.d_model,
            .conv_elements = 0.0,
            .flops_per_token = 12.0 * d.width,
            .state_bits = 32};
}

}  // namespace rafter::model::hf
