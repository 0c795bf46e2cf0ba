// One liveness pass over a program's list: where each value lives in one workspace, reusing the bytes of values that nobody reads any more.
// The same plan is the predicted and the real workspace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/program.h"

namespace rafter::model {

struct RowLimits {
    std::size_t n_tokens = 0;
    std::size_t n_outputs = 0;
};

// 32 elements of a quantised value (kQ8), in a cache line: value = scale * low. A row is its blocks side by side.
struct QuantizedBlock {
    std::int8_t low[32];
    float scale;
    std::int32_t lower;           // -128 times the sum of the integers: what a product exceeds its meaning by, for weights raised by 128
    float minus;                  // -(scale * that sum): what formats multiply their minimums by
    std::int32_t lower_of_16[2];  // of each half, for formats with scales of 16
    float minus_of_16[2];
    std::int32_t unused;
};
// The same of kQ16: value = scale * (128 * high + low), and the sums are of those integers.
struct QuantizedBlock16 : QuantizedBlock {
    std::int8_t high[32];
};
static_assert(sizeof(QuantizedBlock) == 64 && sizeof(QuantizedBlock16) == 96);

[[nodiscard]] std::size_t row_bytes(Encoding encoding, std::size_t width);  // a multiple of 64
[[nodiscard]] std::size_t row_bytes(const Value& value);
[[nodiscard]] std::size_t n_rows(const Program& program, RowKind rows, RowLimits limits);

struct WorkspacePlan {
    std::vector<std::size_t> offset_bytes;  // [n_values], each a multiple of 64
    std::size_t size_bytes = 0;
};
[[nodiscard]] WorkspacePlan plan_workspace(const Program& program, RowLimits limits);

}  // namespace rafter::model
