// The row kernels, written once for all instruction sets: included after a vec header (see vec_scalar.h).
#pragma once

#include "backend/cpu/kv_quantize.h"
#include "backend/cpu/kv_store.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/vec_math.h"

namespace rafter::backend::cpu {
namespace {

// y[i] = f(x[i]) and y[i] = f(a[i], b[i]), whole vectors and then the rest.
template <typename Function>
RAFTER_VEC void map(const float* x, std::size_t n, float* y, const Function& f) {
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) store(y + i, f(load(x + i)));
    if (const int rest = static_cast<int>(n - i); rest > 0) store_partial(y + i, f(load_partial(x + i, rest)), rest);
}
template <typename Function>
RAFTER_VEC void map(const float* a, const float* b, std::size_t n, float* y, const Function& f) {
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) store(y + i, f(load(a + i), load(b + i)));
    if (const int rest = static_cast<int>(n - i); rest > 0) {
        store_partial(y + i, f(load_partial(a + i, rest), load_partial(b + i, rest)), rest);
    }
}

void rms_norm(const float* x, const float* gain, std::size_t width, std::size_t group, float epsilon, float* y) {
    for (std::size_t begin = 0; begin < width; begin += group) {
        const float* const part = x + begin;
        F32x16 squares = zero();
        std::size_t i = 0;
        for (; i + 16 <= group; i += 16) {
            const F32x16 v = load(part + i);
            squares = fma(v, v, squares);
        }
        if (const int rest = static_cast<int>(group - i); rest > 0) {
            const F32x16 v = load_partial(part + i, rest);
            squares = fma(v, v, squares);
        }
        const float mean = reduce_sum(squares) / static_cast<float>(group);
        const F32x16 factor = broadcast(1.0F / __builtin_sqrtf(mean + epsilon));
        map(part, gain, group, y + begin, [&](const F32x16& v, const F32x16& g) { return v * factor * g; });
    }
}

void add_rows(const float* a, const float* b, std::size_t n, float* y) {
    map(a, b, n, y, [](const F32x16& u, const F32x16& v) { return u + v; });
}

void scale_row(const float* x, float factor, std::size_t n, float* y) {
    const F32x16 f = broadcast(factor);
    map(x, n, y, [&](const F32x16& v) { return v * f; });
}

void softcap_row(const float* x, float cap, std::size_t n, float* y) {
    const F32x16 c = broadcast(cap);
    map(x, n, y, [&](const F32x16& v) { return c * tanh(v / c); });
}

void gate_row(model::Activation activation, const float* gate, const float* up, std::size_t n, float* y) {
    switch (activation) {
        case model::Activation::kSilu:
            map(gate, up, n, y, [](const F32x16& g, const F32x16& u) { return g * sigmoid(g) * u; });
            return;
        case model::Activation::kGeluTanh:
            // 0.5 * (1 + tanh(z)) is sigmoid(2z), without the cancellation for negative z.
            map(gate, up, n, y, [](const F32x16& g, const F32x16& u) {
                const F32x16 cubic = fma(g * g * g, broadcast(0.044715F), g);
                return g * sigmoid(broadcast(1.59576912F) * cubic) * u;  // 2 * sqrt(2 / pi)
            });
            return;
        case model::Activation::kSwigluClamped:
            map(gate, up, n, y, [](const F32x16& g, const F32x16& u) {
                const F32x16 limit = broadcast(7.0F);
                const F32x16 glu = min(limit, g);  // the second operand is what a NaN leaves
                const F32x16 linear = min(limit, max(-limit, u));
                return glu * sigmoid(broadcast(1.702F) * glu) * (linear + broadcast(1.0F));
            });
            return;
    }
}

// Pairs are written as plain arithmetic, which the compiler turns into vectors of whatever width.
void rope_row(model::RopePairing pairing, const float* x, const float* cos_sin, std::size_t n_dims, std::size_t head_dim,
              std::size_t n_heads, float* y) {
    const std::size_t half = n_dims / 2;
    const float* const cosine = cos_sin;
    const float* const sine = cos_sin + half;
    for (std::size_t head = 0; head < n_heads; ++head) {
        const float* __restrict const in = x + head * head_dim;
        float* __restrict const out = y + head * head_dim;
        if (pairing == model::RopePairing::kHalves) {
            for (std::size_t i = 0; i < half; ++i) {
                out[i] = in[i] * cosine[i] - in[i + half] * sine[i];
                out[i + half] = in[i] * sine[i] + in[i + half] * cosine[i];
            }
        } else {
            for (std::size_t i = 0; i < half; ++i) {
                const float a = in[2 * i];
                const float b = in[2 * i + 1];
                out[2 * i] = a * cosine[i] - b * sine[i];
                out[2 * i + 1] = a * sine[i] + b * cosine[i];
            }
        }
        for (std::size_t i = n_dims; i < head_dim; ++i) out[i] = in[i];
    }
}

void combine_rows(const float* x, std::size_t stride, const float* weight, std::size_t n_ranks, std::size_t n, float* y) {
    for (std::size_t i = 0; i < n; i += 16) {
        const int lanes = n - i < 16 ? static_cast<int>(n - i) : 16;
        F32x16 sum = zero();
        for (std::size_t rank = 0; rank < n_ranks; ++rank) {
            const float* const from = x + rank * stride + i;
            sum = fma(broadcast(weight[rank]), lanes == 16 ? load(from) : load_partial(from, lanes), sum);
        }
        lanes == 16 ? store(y + i, sum) : store_partial(y + i, sum, lanes);
    }
}

// 16 elements rounded to a type of floats: what a cache holds of them.
RAFTER_VEC void store_rounded(void* to, const F32x16& x, KvType type) {
    switch (type) {
        case KvType::kF32:
            return store(static_cast<float*>(to), x);
        case KvType::kF16:
            return store_f16(static_cast<std::uint16_t*>(to), x);
        case KvType::kBF16:
            return store_bf16(static_cast<std::uint16_t*>(to), x);
        case KvType::kQ8:
        case KvType::kQ4:
            return;  // not element by element
    }
}

RAFTER_VEC F32x16 load_up_to_16(const float* x, std::size_t n) { return n >= 16 ? load(x) : load_partial(x, static_cast<int>(n)); }

void store_key(const float* key, std::size_t head_dim, KvType type, std::size_t lane, std::byte* tile) {
    if (is_quantized(type)) return store_quantized_key(key, head_dim, type, lane, tile);
    if (type == KvType::kF32) {
        for (std::size_t d = 0; d < head_dim; ++d) reinterpret_cast<float*>(tile)[d * kTilePositions + lane] = key[d];
        return;
    }
    for (std::size_t d = 0; d < head_dim; d += 16) {
        const std::size_t n = head_dim - d < 16 ? head_dim - d : 16;
        std::uint16_t rounded[16];
        store_rounded(rounded, load_up_to_16(key + d, n), type);
        for (std::size_t i = 0; i < n; ++i) reinterpret_cast<std::uint16_t*>(tile)[(d + i) * kTilePositions + lane] = rounded[i];
    }
}

// The last chunk's padding is written too: zeros, and in quantised types copies of one of the group's elements.
void store_value(const float* value, std::size_t head_dim, KvType type, std::size_t lane, std::byte* tile) {
    if (is_quantized(type)) return store_quantized_value(value, head_dim, type, lane, tile);
    const std::size_t size = type == KvType::kF32 ? 4 : 2;
    for (std::size_t d = 0; d < head_dim; d += 16) {
        std::byte* const to = tile + (d * kTilePositions + lane * 16) * size;
        store_rounded(to, load_up_to_16(value + d, head_dim - d), type);
    }
}

void exp_row(const float* x, std::size_t n, float* y) {
    map(x, n, y, [](const F32x16& v) { return exp(v); });
}
void tanh_row(const float* x, std::size_t n, float* y) {
    map(x, n, y, [](const F32x16& v) { return tanh(v); });
}

}  // namespace
}  // namespace rafter::backend::cpu
