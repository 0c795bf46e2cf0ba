// Rows of the catalog that are written as Hugging Face configs.
#pragma once

#include <vector>

#include "model/catalog.h"

namespace rafter::model {

[[nodiscard]] std::vector<CatalogModel> models_by_config();

}  // namespace rafter::model
