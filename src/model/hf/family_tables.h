// The three tables of families; family.h finds a row in them.
#pragma once

#include <span>

#include "model/hf/family.h"

namespace rafter::model::hf {

[[nodiscard]] std::span<const Family> dense_families();
[[nodiscard]] std::span<const Family> expert_families();
[[nodiscard]] std::span<const Family> state_families();

}  // namespace rafter::model::hf
