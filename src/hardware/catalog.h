// The devices that `rafter plan --hardware NAME` knows: one row each in catalog_nvidia.cpp and catalog_other.cpp, and where each of its
// numbers comes from.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "hardware/hardware.h"

namespace rafter::hardware {

// Where numbers of a row come from: "peaks", "memory", "bandwidth", "on_chip", "link", "latency" and "price", or several of them.
struct Source {
    std::string_view numbers;  // "peaks memory bandwidth"
    std::string_view text;     // a document, with its address where it has one
};

struct CatalogRow {
    Hardware hardware;
    std::vector<Source> sources;
};

[[nodiscard]] std::span<const CatalogRow> catalog();
// By name, in any case and with any of "-_ " between its parts or none, as people, nvidia-smi and clouds write it: "h100 sxm", "NVIDIA H100
// 80GB HBM3" and "H100-SXM" are one. Null when unknown, and when several rows may be meant.
[[nodiscard]] const CatalogRow* find_in_catalog(std::string_view name);
// The rows that have every word of a name that find_in_catalog() does not know: "V100" may be V100-16GB or V100-32GB.
[[nodiscard]] std::vector<const CatalogRow*> candidates_in_catalog(std::string_view name);

// A row's numbers that none of its sources covers; empty in a sound catalog.
[[nodiscard]] std::vector<std::string_view> numbers_without_source(const CatalogRow& row);

}  // namespace rafter::hardware
