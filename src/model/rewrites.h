// Rewrites of a program: each takes the list and gives an equivalent one. Data to data; they know no backend and can be left out one by
// one. All but quantised activations and unfused attention leave every bit of the result as it is.
#pragma once

#include <array>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "model/program.h"

namespace rafter::model {

enum class ActivationMode { kF32, kQ16, kQ8 };  // how activations enter matrices of quantised weights

// Reads each quantised matrix's input through a kQuantize op, one an input; the head's keeps 15 bits with kQ8 too. Matrices of F32, F16 and
// BF16 keep float inputs.
[[nodiscard]] Program quantize_activations(Program program, ActivationMode mode);
// Fusions that can be left out, each by itself.
using Without = std::set<std::string, std::less<>>;
inline constexpr std::array<std::string_view, 9> kFusions = {
    "linears",    // all of fuse_linears:
    "qkv",        //   the matrices of attention
    "gate_up",    //   and those of the feed-forward part
    "rows",       // all of fuse_rows; or one kind of op is not joined to those before it:
    "norm",       //   after a residual, a bias or an embedding
    "rope",       //   of Q and K, with their biases and norms
    "kv_append",  //   after RoPE
    "quantize",   //   after whatever makes the activations
    "attention",  // flash attention; without it split_attention. The only one whose leaving out changes bits: sums have another order
};

// Neighbouring kLinear ops with one input become one: Q, K, V; gate, up. So do the experts' gate and up.
[[nodiscard]] Program fuse_linears(Program program, const Without& without = {});
// Attention as three ops that hand over all scores, as it was before flash attention: to measure and predict what fusing it brings. The
// scores and the probabilities are values of width 0 (program.h), and the probabilities take the memory of the scores (workspace.h).
[[nodiscard]] Program split_attention(Program program);
// Runs of row-local ops on the same kind of rows become one kFusedRows.
[[nodiscard]] Program fuse_rows(Program program, const Without& without = {});

// Before each matrix an op that sums the squares of its inputs (kObserve), once for all matrices that have the same: floats, as they are
// before they are quantised. The head's product is left out, as only its inputs are wanted: `logits` is then the hidden states. Takes the
// canonical list; matrices by head (kLinearByHead) are not observed.
[[nodiscard]] Program observe_inputs(Program program);

// Which inputs' second moments are summed (ObserveOptions): of matrices [first, first + n) of the tensor, or of what shares its inputs.
struct ObservedMoments {
    std::string tensor;
    std::uint32_t first = 0;
    std::uint32_t n = 0;
    std::uint32_t first_position_counts = 1;
};
// Takes what observe_inputs() gives. Inputs that are not named are no longer observed, and the list ends after the last that is: nothing
// else is wanted of such a program, and `logits` and `hidden` mean nothing.
[[nodiscard]] Program observe_moments(Program program, std::span<const ObservedMoments> moments);

struct RewriteOptions {
    ActivationMode activations = ActivationMode::kQ8;
    Without without;  // of kFusions
};
// All of the above, in order. The program must be bound (its weights' types decide).
[[nodiscard]] Program rewrite(Program program, const RewriteOptions& options);

}  // namespace rafter::model
