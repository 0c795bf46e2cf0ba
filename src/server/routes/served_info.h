// The facts that a server tells of its model, in whatever form an API wants them.
#pragma once

#include "protocols/model_info.h"
#include "server/services.h"

namespace rafter::server {

[[nodiscard]] protocols::ModelInfo model_info(const Services& services);

}  // namespace rafter::server
