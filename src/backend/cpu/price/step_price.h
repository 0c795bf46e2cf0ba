// Op × step shape × machine profile → seconds: what a step should take on this machine, from the probe's micro-benchmarks alone. Nothing
// here is fitted to a step: an op that takes longer than its price has a reason that the profile does not know, and that is what to look
// for. How an op is split over the threads is what the kernels' own functions say (split.h, attention_split.h).
//
//   a matrix   compute: weights × seconds a weight, of this format, encoding and number of columns, in the nearest caches
//              memory:  bytes / bandwidth of the level that the whole step's data lies in
//              together: max + (1 - hidden) × min, where `hidden` is how much of the smaller one the same kernel hid when it streamed from
//              memory
//   attention  the same, from the kernel's time for a piece of 256 positions
//              unfused, in three ops: its kernels' times for scores and values of a piece and for a row of the softmax, and the scores' way
//              to where they fit and back
//   rows       seconds a row and an element, on as many threads as there are rows
//   overhead   a barrier, and reading inputs that another thread wrote
#pragma once

#include "hardware/profile.h"
#include "model/program.h"
#include "roofline/op_price.h"
#include "roofline/step.h"

namespace rafter::backend::cpu {

// The program must be bound and rewritten as it will run.
[[nodiscard]] roofline::StepPrice price_step(const model::Program& program, const roofline::Step& step, const hardware::Profile& profile,
                                             const roofline::PriceOptions& options);

}  // namespace rafter::backend::cpu
