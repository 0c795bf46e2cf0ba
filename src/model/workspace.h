// One liveness pass over a program's list: where each value lives in one workspace, reusing the bytes of values that nobody reads any more.
// A softmax works in place: its probabilities have the bytes of its scores.
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
    std::size_t n_positions = 0;  // of the longest sequence: only values of width 0 depend on it
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
// Attention scores, values of width 0, have a row of floats for each head of the config: all positions, padded to a multiple of this.
inline constexpr std::size_t kScorePadding = 256;
[[nodiscard]] constexpr std::size_t padded_positions(std::size_t n_positions) {
    return (n_positions + kScorePadding - 1) / kScorePadding * kScorePadding;
}
[[nodiscard]] std::size_t row_bytes(const Program& program, const Value& value, RowLimits limits);
// Whether some value is of width 0: the workspace then depends on RowLimits::n_positions.
[[nodiscard]] bool has_scores(const Program& program);
[[nodiscard]] std::size_t n_rows(const Program& program, RowKind rows, RowLimits limits);

struct WorkspacePlan {
    std::vector<std::size_t> offset_bytes;  // [n_values], each a multiple of 64
    std::size_t size_bytes = 0;
};
[[nodiscard]] WorkspacePlan plan_workspace(const Program& program, RowLimits limits);

}  // namespace rafter::model
