// Types of matrices for a target: so many bits a weight, so many bytes, or so many tokens a second on a machine.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "apps/cli.h"
#include "apps/quantize_text.h"
#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/quantize/allocation.h"
#include "engine/quantize/decode_price.h"
#include "engine/quantize/mixes.h"
#include "files/imatrix_file.h"
#include "planning/quantize_front.h"

namespace rafter::apps {

struct Target {
    enum class Kind { kBitsPerWeight, kBytes, kTokensPerSecond };
    Kind kind = Kind::kBytes;
    double value = 0.0;
    std::string words;  // as it was given
};
// "bpw=4.5", "size=700MB", "tok/s=30"
[[nodiscard]] Result<Target> parse_target(std::string_view text);

struct QuantizedSize {
    double file_bytes = 0.0;
    double weights_bytes = 0.0;  // of all tensors
};
struct TargetOptions {
    Target target;
    engine::TensorTypes fixed;                            // matrices that have one type, whatever the target
    const files::ImportanceMatrix* importance = nullptr;  // null: all columns count the same
    std::optional<engine::PricedMachine> machine;         // none: tokens a second are not asked for
    bool quiet = false;
    std::function<Result<QuantizedSize>(const engine::TensorTypes&)> size;  // with these types
};
// The model's matrices with the types they may have and what these cost; nothing is measured yet. Fails where the target cannot be met, and
// names the nearest that can.
[[nodiscard]] Result<std::vector<engine::MatrixChoices>> priced_choices(const TargetOptions& options, engine::Runtime& runtime,
                                                                        const engine::OpenedModel& opened);
struct TargetChoice {
    engine::TensorTypes types;
    planning::QuantizeFront front;  // its title, machine, version and command are left out
};
// Losses are measured on the text. matrices: priced_choices(). None: interrupted.
[[nodiscard]] Result<std::optional<TargetChoice>> choose_types(const TargetOptions& options, std::vector<engine::MatrixChoices> matrices,
                                                               const CalibrationText& text, engine::Runtime& runtime,
                                                               const engine::OpenedModel& opened, const Environment& environment);

}  // namespace rafter::apps
