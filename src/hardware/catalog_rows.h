// What the catalog's rows are made of. Rates are of dense matrices (datasheets print sparse ones beside), with sums in fp32 where the
// device slows down for them. Sizes of memory chips are powers of two, so a device's "80 GB" is 80 GiB, as are the 141, 180 and 186 GB of
// H200, B200 and GB200 (nvidia-smi counts 143771, 183359 and 189471 MiB: the rest is the driver's); where a device reports much less than
// its chips hold, the row has what it reports. Bandwidths are decimal. Links are one direction of all a device's links to its peers. Prices
// are list prices on demand, of one device, and change: --price overrides them.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "hardware/catalog.h"

namespace rafter::hardware {

constexpr double kGiB = 1024.0 * 1024 * 1024;
constexpr double kMiB = 1024.0 * 1024;
constexpr std::string_view kPcie = "PCI Express base specification: 16 lanes, 1 GB/s a lane in generation 3, 2 GB/s in 4, 4 GB/s in 5";

struct Rates {
    std::optional<double> fp32, fp16, bf16, fp8, fp4, int8, int4;  // in tera a second
};
[[nodiscard]] std::array<std::optional<double>, kPrecisions> peaks(const Rates& tera);
// Of processors: what has the peaks, where that is not plain from the precision.
struct Units {
    std::string fp32, bf16, int8;
};
[[nodiscard]] std::array<std::string, kPrecisions> units(const Units& names);

[[nodiscard]] std::vector<CatalogRow> nvidia_data_center();
[[nodiscard]] std::vector<CatalogRow> nvidia_desktop();
[[nodiscard]] std::vector<CatalogRow> other_accelerators();
[[nodiscard]] std::vector<CatalogRow> apple();
[[nodiscard]] std::vector<CatalogRow> processors();

}  // namespace rafter::hardware
