// Encoding blocks of 256 whose sub-blocks have small integer scales of one shared float scale: what the K formats and IQ4_XS have in
// common. Reference encoders: each sub-block is fitted to its own extremes, without a search for a better scale.
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

// value = d * scales[s] * q - dmin * mins[s]
template <int kSubBlocks>
struct AffineSuperBlock {
    std::uint16_t d;     // f16
    std::uint16_t dmin;  // f16
    int scales[kSubBlocks];
    int mins[kSubBlocks];
    int q[256];
};

// q in [0, max_q]; scales and mins in [0, max_scale]. A sub-block whose values are all positive has min 0: mins are never negative.
template <int kSubBlocks>
void quantise_affine(const float* values, int max_q, int max_scale, AffineSuperBlock<kSubBlocks>& out) {
    constexpr int kElements = 256 / kSubBlocks;
    float scales[kSubBlocks];
    float mins[kSubBlocks];
    for (int s = 0; s < kSubBlocks; ++s) {
        const Range r = range(values + s * kElements, kElements);
        mins[s] = r.min < 0 ? -r.min : 0.0f;
        const float span = r.max + mins[s];
        scales[s] = span > 0 ? span / static_cast<float>(max_q) : 0.0f;
    }
    out.d = f32_to_f16(extreme(scales, kSubBlocks) / static_cast<float>(max_scale));
    out.dmin = f32_to_f16(extreme(mins, kSubBlocks) / static_cast<float>(max_scale));
    // From here on with what a decoder will see, so that one rounding makes good for the one before.
    const float d = f16_to_f32(out.d);
    const float dmin = f16_to_f32(out.dmin);
    for (int s = 0; s < kSubBlocks; ++s) {
        out.scales[s] = nearest(scales[s] * inverse(d), 0, max_scale);
        out.mins[s] = nearest(mins[s] * inverse(dmin), 0, max_scale);
        const float scale = d * static_cast<float>(out.scales[s]);
        const float min = dmin * static_cast<float>(out.mins[s]);
        for (int e = s * kElements; e < (s + 1) * kElements; ++e) out.q[e] = nearest((values[e] + min) * inverse(scale), 0, max_q);
    }
}

// value = d * scales[s] * q
template <int kSubBlocks>
struct SymmetricSuperBlock {
    std::uint16_t d;  // f16
    int scales[kSubBlocks];
    float sub_scale[kSubBlocks];  // d * scales[s], as a decoder computes it
};

// Fits d and the scales, in [-max_scale - 1, max_scale], so that each sub-block's value of the largest magnitude becomes `lowest`, the
// quantised value of the largest magnitude, which is negative. Quantising the elements is left to the caller.
template <int kSubBlocks>
void fit_symmetric(const float* values, int lowest, int max_scale, SymmetricSuperBlock<kSubBlocks>& out) {
    constexpr int kElements = 256 / kSubBlocks;
    float scales[kSubBlocks];
    for (int s = 0; s < kSubBlocks; ++s) scales[s] = extreme(values + s * kElements, kElements) / static_cast<float>(lowest);
    out.d = f32_to_f16(extreme(scales, kSubBlocks) / static_cast<float>(-max_scale - 1));
    const float d = f16_to_f32(out.d);
    for (int s = 0; s < kSubBlocks; ++s) {
        out.scales[s] = nearest(scales[s] * inverse(d), -max_scale - 1, max_scale);
        out.sub_scale[s] = d * static_cast<float>(out.scales[s]);
    }
}

}  // namespace
}  // namespace rafter::tensor
