// Weights held in memory as another number type than their file has: decoded and encoded again when they are loaded. Says what each weight
// becomes; a backend that packs weights does it.
#pragma once

#include <cstdint>
#include <map>

#include "model/program.h"
#include "tensor/dtype.h"

namespace rafter::model {

// The type that rows of n_cols weights are held in where `wanted` is asked for. A row is whole blocks, so where a block of `wanted` does
// not divide n_cols, a type of about the same size with blocks of 32 takes its place, the one that llama.cpp's llama-quantize falls back
// to: IQ4_NL for Q2_K, Q3_K and IQ4_XS, Q5_0 for Q4_K, Q5_1 for Q5_K, Q8_0 for Q6_K. F16 where 32 does not divide n_cols either.
[[nodiscard]] tensor::DType held_type(tensor::DType wanted, std::uint32_t n_cols);

struct HeldWeights {
    Program program;
    std::map<tensor::DType, std::uint32_t> n_substituted;  // tensors that are held in another type than the wanted one, by that type
};
// Sets `dtype` of matrices, experts and embeddings of a bound program. Vectors stay floats, and matrices of a router stay as they are: they
// are small, and an error there chooses other experts. Before quantize_activations (model/rewrites.h), which goes by the type. `wanted`
// must have an encoder (tensor::FormatInfo::encode).
[[nodiscard]] HeldWeights hold_weights_as(Program program, tensor::DType wanted);

}  // namespace rafter::model
