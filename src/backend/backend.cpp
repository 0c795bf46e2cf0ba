// The facts about a backend's options that need no backend.
#include "backend/backend.h"

namespace rafter::backend {

std::size_t element_bytes(KvType type) { return type == KvType::kF32 ? 4 : 2; }

}  // namespace rafter::backend
