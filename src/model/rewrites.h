// Rewrites of a program: each takes the list and gives an equivalent one. Data to data; they know no backend and can be left out one by
// one.
#pragma once

#include <set>
#include <string>

#include "model/program.h"

namespace rafter::model {

enum class ActivationMode { kF32, kQ16, kQ8 };  // how activations enter matrices of quantised weights

// Reads each quantised matrix's input through a kQuantize op, one an input; the head's keeps 15 bits with kQ8 too. Matrices of F32, F16 and
// BF16 keep float inputs.
[[nodiscard]] Program quantize_activations(Program program, ActivationMode mode);
// Neighbouring kLinear ops with one input become one: Q, K, V; gate, up. So do the experts' gate and up.
[[nodiscard]] Program fuse_linears(Program program);
// Attention as three ops that hand over all scores, as it was before flash attention: for comparison only, no backend runs it so.
[[nodiscard]] Program split_attention(Program program);
// Runs of row-local ops on the same kind of rows become one kFusedRows.
[[nodiscard]] Program fuse_rows(Program program);

struct RewriteOptions {
    ActivationMode activations = ActivationMode::kQ8;
    std::set<std::string> without;  // fusions left out: "linears", "rows"
};
// All of the above, in order. The program must be bound (its weights' types decide).
[[nodiscard]] Program rewrite(Program program, const RewriteOptions& options);

}  // namespace rafter::model
