// What a conversion takes at a time: some rows of a tensor, in the order in which they are numbered in the journal; and in which order they
// are done, where error feedback is measured in passes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/convert/convert.h"

namespace rafter::engine {

struct ConvertUnit {
    std::size_t tensor = 0;  // of the plan
    std::uint64_t first_row = 0;
    std::uint64_t n_rows = 0;
    std::uint32_t matrix = 0;  // of those stacked in the tensor, where errors are fed back: no unit has rows of two
};

[[nodiscard]] std::uint64_t written_row_bytes(const PlannedTensor& tensor);
// Whether the tensor's errors are fed back where its inputs are known.
[[nodiscard]] bool is_refined(const ConversionPlan& plan, const PlannedTensor& tensor);
// Names of the tensors that are.
[[nodiscard]] std::vector<std::string> refined_tensors(const ConversionPlan& plan);

[[nodiscard]] std::vector<ConvertUnit> units_of(const ConversionPlan& plan);

// Units that are done together: after a pass of the feedback, and at last those that need none.
struct ConvertRound {
    std::vector<std::size_t> units;
    std::size_t pass = 0;  // of the feedback, but for the last round
};
// feedback: null: one round.
[[nodiscard]] std::vector<ConvertRound> rounds_of(const ConversionPlan& plan, const std::vector<ConvertUnit>& units,
                                                  const InputFeedback* feedback);

// How long a unit takes, in multiply-adds; without feedback by its bytes alone.
[[nodiscard]] double cost_of(const ConversionPlan& plan, const ConvertUnit& unit, bool is_fed_back);

}  // namespace rafter::engine
