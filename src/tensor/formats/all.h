// The one list of the formats, in DType's order. Whoever needs a thing of each format (the table in formats.cpp, the kernels of
// backend/cpu/linear_run.h, the memory layouts of packed_layout.h) goes through this list, so a format that has its row here is known
// everywhere. Linkage of what it includes is internal: see tensor/half.h.
#pragma once

#include "tensor/formats/bf16.h"
#include "tensor/formats/f16.h"
#include "tensor/formats/f32.h"
#include "tensor/formats/i32.h"
#include "tensor/formats/iq4_nl.h"
#include "tensor/formats/iq4_xs.h"
#include "tensor/formats/mxfp4.h"
#include "tensor/formats/q2_k.h"
#include "tensor/formats/q3_k.h"
#include "tensor/formats/q4_0.h"
#include "tensor/formats/q4_1.h"
#include "tensor/formats/q4_k.h"
#include "tensor/formats/q5_0.h"
#include "tensor/formats/q5_1.h"
#include "tensor/formats/q5_k.h"
#include "tensor/formats/q6_k.h"
#include "tensor/formats/q8_0.h"

namespace rafter::tensor {
namespace {

template <typename... Formats>
struct FormatList {};

using AllFormats = FormatList<F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4, I32>;

// Formats of quantised blocks, as opposed to plain numbers one by one.
template <typename Format>
constexpr bool kIsQuantized = Format::kBlockElements > 1;

}  // namespace
}  // namespace rafter::tensor
