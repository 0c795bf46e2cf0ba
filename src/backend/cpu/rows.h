// Kernels on one row of a value, one set an instruction set. Pointers need no alignment; memory beyond the stated elements is neither read
// nor written. Inputs and outputs are different memory. Every kernel gives the same bits on every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "model/config.h"

namespace rafter::backend::cpu {

struct RowKernels {
    // y = x / sqrt(mean(x^2) + epsilon) * gain, for each `group` elements of x[width]; gain[group].
    void (*rms_norm)(const float* x, const float* gain, std::size_t width, std::size_t group, float epsilon, float* y);
    void (*add)(const float* a, const float* b, std::size_t n, float* y);
    void (*scale)(const float* x, float factor, std::size_t n, float* y);
    void (*softcap)(const float* x, float cap, std::size_t n, float* y);  // cap * tanh(x / cap)
    void (*gate)(model::Activation activation, const float* gate, const float* up, std::size_t n, float* y);
    // Turns the first n_dims elements of each head; cos_sin: [n_dims / 2] cosines, then as many sines. The rest is copied.
    void (*rope)(model::RopePairing pairing, const float* x, const float* cos_sin, std::size_t n_dims, std::size_t head_dim,
                 std::size_t n_heads, float* y);
    // y = sum over ranks r of weight[r] * x[r * stride ..], in order of rank.
    void (*combine)(const float* x, std::size_t stride, const float* weight, std::size_t n_ranks, std::size_t n, float* y);
    // One head's key or value of position `lane` of a tile (kv_store.h), rounded to the cache's type.
    void (*store_key)(const float* key, std::size_t head_dim, KvType type, std::size_t lane, std::byte* tile);
    void (*store_value)(const float* value, std::size_t head_dim, KvType type, std::size_t lane, std::byte* tile);
    // The functions that the above are made of, for tests.
    void (*exp)(const float* x, std::size_t n, float* y);
    void (*tanh)(const float* x, std::size_t n, float* y);
};

[[nodiscard]] const RowKernels& row_kernels(Isa isa);

}  // namespace rafter::backend::cpu
