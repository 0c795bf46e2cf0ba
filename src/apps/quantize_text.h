// The text that a quantiser measures on: a file's, or one that the model writes itself. Never the text that then judges the result.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/cli.h"
#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "files/imatrix_file.h"

namespace rafter::apps {

inline constexpr std::uint32_t kTrialContext = 256;  // tokens of a window on which types are tried

struct CalibrationText {
    std::vector<text::TokenId> tokens;  // from BOS on, where the model expects one
    std::string name;                   // "calibration.txt", "text that the model wrote itself"
    bool is_own = false;                // the model wrote it
    std::optional<text::TokenId> bos;

    // "calibration.txt: 20,120 tokens"
    [[nodiscard]] std::string words() const;
    // Windows that do not overlap, from `first` on: n_max at most, fewer where the text ends. Each begins with BOS where the model expects
    // it.
    [[nodiscard]] std::vector<std::vector<text::TokenId>> windows(std::uint32_t context, std::size_t first, std::size_t n_max) const;
};
struct TextRequest {
    std::string file;              // "": the model writes the text
    bool for_importances = false;  // or for error feedback: more of it
    bool quiet = false;
};
// None: interrupted. Fails on a text that is shorter than a window of kTrialContext.
[[nodiscard]] Result<std::optional<CalibrationText>> calibration_text(const TextRequest& request, engine::Runtime& runtime,
                                                                      const engine::OpenedModel& opened, const Environment& environment);

// The windows that importances are measured on, and error feedback: each a sequence of its own, all of one length.
[[nodiscard]] std::vector<std::vector<text::TokenId>> importance_windows(const CalibrationText& text, const engine::OpenedModel& opened);

// How much each column counts on the text. None: interrupted.
[[nodiscard]] Result<std::optional<files::ImportanceMatrix>> measure_importance(const CalibrationText& text, engine::Runtime& runtime,
                                                                                const engine::OpenedModel& opened, bool quiet,
                                                                                const Environment& environment);

}  // namespace rafter::apps
