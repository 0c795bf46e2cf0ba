// The encoders (backend/encoding.h) by instruction set. All give the same bytes.
#pragma once

#include "backend/cpu/isa.h"
#include "backend/encoding.h"

namespace rafter::backend::cpu {

[[nodiscard]] EncodeRows encoder(Isa isa);

}  // namespace rafter::backend::cpu
