// The kernels on rows of logits (backend/sampling.h), one set an instruction set. What they find differs between sets only within the
// stated bounds, and the tokens that are chosen with them do not.
#pragma once

#include "backend/cpu/isa.h"
#include "backend/sampling.h"

namespace rafter::backend::cpu {

[[nodiscard]] const SamplingKernels& sampling_kernels(Isa isa);

}  // namespace rafter::backend::cpu
