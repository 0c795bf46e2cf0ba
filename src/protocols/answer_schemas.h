// The schemas of answers; schemas.h gives them together with those of requests.
#pragma once

#include <nlohmann/json.hpp>

namespace rafter::protocols {

[[nodiscard]] nlohmann::ordered_json answer_schemas();

}  // namespace rafter::protocols
