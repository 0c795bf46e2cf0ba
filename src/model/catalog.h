// The models that `rafter plan NAME` knows without a file: one row each in catalog.cpp, with exact dimensions and where they stand.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "model/described.h"

namespace rafter::model {

struct CatalogModel {
    DescribedModel model;
    double published_parameters = 0.0;  // counted by its publisher; the dimensions give the same
};

[[nodiscard]] std::span<const CatalogModel> catalog();
// In any case, with or without "-", "_", "." and blanks; also a repository's name with its owner and endings such as "-Instruct", and the
// first words of a name that no other row begins with. Null when unknown.
[[nodiscard]] const CatalogModel* find_in_catalog(std::string_view name);
// The rows whose first words are these: "Gemma 4" is Gemma-4-31B and Gemma-4-26B-A4B.
[[nodiscard]] std::vector<const CatalogModel*> catalog_models_that_begin(std::string_view name);

}  // namespace rafter::model
