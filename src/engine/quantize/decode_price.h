// Seconds of a decoded token with the matrices in other types than the file's, by the machine's profile: of the whole step, and of each
// matrix in each type. Loads nothing.
#pragma once

#include <span>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/quantize/allocation.h"
#include "engine/quantize/mixes.h"
#include "hardware/profile.h"

namespace rafter::engine {

inline constexpr std::uint32_t kPricedContext = 512;  // tokens that the decoded one sees, itself included, where the model has so many

class DecodePrices {
  public:
    // All outlive this.
    DecodePrices(const backend::Backend& backend, const OpenedModel& opened, const hardware::Profile& machine)
        : backend_(backend), opened_(opened), machine_(machine) {}

    // Fails where the profile knows nothing of a type's kernel.
    [[nodiscard]] Result<double> step_seconds(const TensorTypes& types) const;
    // Sets TypeChoice::seconds.
    [[nodiscard]] Result<void> price_types(std::span<MatrixChoices> matrices) const;

  private:
    struct Step;
    [[nodiscard]] Result<Step> price(const TensorTypes& types, bool is_fused) const;

    const backend::Backend& backend_;
    const OpenedModel& opened_;
    const hardware::Profile& machine_;
};

}  // namespace rafter::engine
