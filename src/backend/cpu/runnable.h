// Which ops the CPU backend runs: its declaration. A program with any other is refused before it is loaded.
#pragma once

#include "base/result.h"
#include "model/program.h"

namespace rafter::backend::cpu {

// Fails on the first op, or part of one, that the kernels would not compute as it is meant: "blk.0.attn_norm: layer norm is not an
// operation that the CPU backend runs".
[[nodiscard]] Result<void> check_runnable(const model::Program& program);

}  // namespace rafter::backend::cpu
