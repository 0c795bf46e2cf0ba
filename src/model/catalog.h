// The models that `rafter plan NAME` knows without a file: one row each in catalog.cpp, with exact dimensions and where they stand.
#pragma once

#include <span>
#include <string_view>

#include "model/described.h"

namespace rafter::model {

struct CatalogModel {
    DescribedModel model;
    double published_parameters = 0.0;  // counted by its publisher; the dimensions give the same
};

[[nodiscard]] std::span<const CatalogModel> catalog();
// In any case, with or without "-", "_", "." and blanks; also a repository's name with its owner and endings such as "-Instruct". Null when
// unknown.
[[nodiscard]] const CatalogModel* find_in_catalog(std::string_view name);

}  // namespace rafter::model
