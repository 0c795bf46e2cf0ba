// Measures a comparison: each model in turn is loaded beside the reference, timed, held against it on a text, and unloaded.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/loading/loaded_model.h"
#include "engine/measure/text_windows.h"
#include "hardware/profile.h"
#include "planning/comparison.h"

namespace rafter::planning {

inline constexpr std::uint32_t kComparedPrompt = 512;   // tokens of the measured prefill; fewer where a model's context is shorter
inline constexpr std::uint32_t kComparedContext = 256;  // positions that the measured decoding step sees

struct CompareOptions {
    const hardware::Profile* machine = nullptr;
    const engine::TextWindows* windows = nullptr;
    std::function<void(double fraction, std::string_view what)> progress;  // of this model; may be empty
    std::function<bool()> is_stopped;                                      // between two windows; may be empty
};

// Speed and loss of one model, and its title, size and bits; file is left empty. None where it was stopped. reference: in the runtime's
// memory, with room for a window.
[[nodiscard]] Result<std::optional<ComparedModel>> compare_model(engine::Runtime& runtime, const engine::OpenedModel& opened,
                                                                 engine::LoadedModel& reference, const CompareOptions& options);

}  // namespace rafter::planning
