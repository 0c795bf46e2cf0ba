// One liveness pass over a program's list: where each value lives in one workspace, reusing the bytes of values that nobody reads any more.
// The same plan is the predicted and the real workspace.
#pragma once

#include <cstddef>
#include <vector>

#include "model/program.h"

namespace rafter::model {

struct RowLimits {
    std::size_t n_tokens = 0;
    std::size_t n_outputs = 0;
};

// A row of a quantised value, n elements (a multiple of 32) in this order, every part 64-byte aligned when the row is:
//   int8  high[n]                         kQ16 only: value = scale * (128 * high + low)
//   int8  low[n]                          kQ8: value = scale * low
//   float scale[n / 32]
//   int32 sum[n / 16], sum_of_32[n / 32]  of the integers of each 16 and 32, for formats whose weights have an offset
//   float minus[n / 16], minus_of_32[n / 32]   -(scale * sum): what formats multiply their minimums by
struct QuantizedRow {
    std::size_t high, low, scale, sum, sum_of_32, minus, minus_of_32;  // byte offsets
    std::size_t size_bytes;
};
[[nodiscard]] QuantizedRow quantized_row(Encoding encoding, std::size_t width);

[[nodiscard]] std::size_t row_bytes(const Value& value);  // a multiple of 64
[[nodiscard]] std::size_t n_rows(const Program& program, RowKind rows, RowLimits limits);

struct WorkspacePlan {
    std::vector<std::size_t> offset_bytes;  // [n_values], each a multiple of 64
    std::size_t size_bytes = 0;
};
[[nodiscard]] WorkspacePlan plan_workspace(const Program& program, RowLimits limits);

}  // namespace rafter::model
