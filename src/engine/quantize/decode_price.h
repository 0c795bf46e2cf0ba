// Seconds of a decoded token with the matrices in other types than the file's: of the whole step, and of each matrix in each type. On this
// machine by its profile, on a device of the catalog by its roofs. Loads nothing.
#pragma once

#include <optional>
#include <span>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/quantize/allocation.h"
#include "engine/quantize/mixes.h"
#include "hardware/hardware.h"
#include "hardware/profile.h"
#include "roofline/efficiency.h"

namespace rafter::engine {

inline constexpr std::uint32_t kPricedContext = 512;  // tokens that the decoded one sees, itself included, where the model has so many

// Whose speed it is: a device's where one is named, else that of the machine with this profile.
struct PricedMachine {
    hardware::Profile profile;
    std::optional<hardware::Hardware> device;
    roofline::Efficiency efficiency;  // the part of its roofs that the device reaches
};

class DecodePrices {
  public:
    // All outlive this.
    DecodePrices(const backend::Backend& backend, const OpenedModel& opened, const PricedMachine& machine)
        : backend_(backend), opened_(opened), machine_(machine) {}

    // Fails where the profile knows nothing of a type's kernel.
    [[nodiscard]] Result<double> step_seconds(const TensorTypes& types) const;
    // Sets TypeChoice::seconds.
    [[nodiscard]] Result<void> price_types(std::span<MatrixChoices> matrices) const;

  private:
    struct Step;
    [[nodiscard]] Result<OpenedModel> typed(const TensorTypes& types) const;
    [[nodiscard]] std::uint32_t context() const;
    [[nodiscard]] Result<Step> price_here(const TensorTypes& types, bool is_fused) const;
    [[nodiscard]] Result<Step> price_device(const TensorTypes& types, bool is_fused) const;

    const backend::Backend& backend_;
    const OpenedModel& opened_;
    const PricedMachine& machine_;
};

}  // namespace rafter::engine
