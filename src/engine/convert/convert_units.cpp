// Units of some megabytes.
#include "engine/convert/convert_units.h"

#include <algorithm>

#include "tensor/formats/formats.h"

namespace rafter::engine {
namespace {

// Read or written, whichever is more: large enough for a disk, small enough that all threads have some of it.
constexpr std::uint64_t kUnitBytes = std::uint64_t{4} << 20U;
// Rows that error feedback takes side by side: a unit has as many, or several times as many.
constexpr std::uint64_t kSideBySide = 64;
// Of encoding a weight by searching, about.
constexpr double kSearchCost = 100.0;

std::uint64_t rows_per_matrix(const files::NamedTensor& tensor) {
    return tensor.shape.size() > 2 ? tensor.shape[tensor.shape.size() - 2] : tensor.n_rows();
}

}  // namespace

std::uint64_t written_row_bytes(const PlannedTensor& tensor) {
    return tensor::format_of(tensor.dtype).row_bytes(tensor.source->shape.back());
}

bool is_refined(const ConversionPlan& plan, const PlannedTensor& tensor) {
    return plan.refine && tensor.dtype != tensor.source->dtype && tensor::format_of(tensor.dtype).block_elements > 1;
}

std::vector<std::string> refined_tensors(const ConversionPlan& plan) {
    std::vector<std::string> names;
    for (const PlannedTensor& tensor : plan.tensors) {
        if (is_refined(plan, tensor)) names.push_back(tensor.source->name);
    }
    return names;
}

std::vector<ConvertUnit> units_of(const ConversionPlan& plan) {
    std::vector<ConvertUnit> units;
    for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
        const PlannedTensor& tensor = plan.tensors[i];
        const std::uint64_t row_bytes = std::max(written_row_bytes(tensor), tensor.source->row_bytes());
        std::uint64_t rows_per_unit = std::max<std::uint64_t>(1, kUnitBytes / std::max<std::uint64_t>(1, row_bytes));
        const std::uint64_t n_rows = tensor.source->n_rows();
        std::uint64_t n_together = n_rows;
        if (is_refined(plan, tensor)) {
            n_together = std::max<std::uint64_t>(1, rows_per_matrix(*tensor.source));
            rows_per_unit = (rows_per_unit + kSideBySide - 1) / kSideBySide * kSideBySide;
        }
        for (std::uint64_t first = 0; first < n_rows; first += n_together) {
            for (std::uint64_t row = first; row < first + n_together; row += rows_per_unit) {
                units.push_back({.tensor = i,
                                 .first_row = row,
                                 .n_rows = std::min(rows_per_unit, first + n_together - row),
                                 .matrix = static_cast<std::uint32_t>(first / n_together)});
            }
        }
    }
    return units;
}

std::vector<ConvertRound> rounds_of(const ConversionPlan& plan, const std::vector<ConvertUnit>& units, const InputFeedback* feedback) {
    const std::size_t n_passes = feedback != nullptr ? feedback->n_passes() : 0;
    std::vector<ConvertRound> rounds(n_passes + 1);
    for (std::size_t pass = 0; pass < n_passes; ++pass) rounds[pass].pass = pass;
    for (std::size_t i = 0; i < units.size(); ++i) {
        const PlannedTensor& tensor = plan.tensors[units[i].tensor];
        std::optional<std::size_t> pass;
        if (feedback != nullptr && is_refined(plan, tensor)) pass = feedback->pass_of(tensor.source->name, units[i].matrix);
        rounds[pass.value_or(n_passes)].units.push_back(i);
    }
    return rounds;
}

double cost_of(const ConversionPlan& plan, const ConvertUnit& unit, bool is_fed_back) {
    const PlannedTensor& tensor = plan.tensors[unit.tensor];
    if (!plan.refine) return static_cast<double>(unit.n_rows * written_row_bytes(tensor));
    const auto n_cols = static_cast<double>(tensor.source->shape.back());
    const double of_weight = is_fed_back ? n_cols + kSearchCost : is_refined(plan, tensor) ? kSearchCost : 1.0;
    return static_cast<double>(unit.n_rows) * n_cols * of_weight;
}

}  // namespace rafter::engine
