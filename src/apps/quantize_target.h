// Types of matrices for a target: so many bits a weight, so many bytes, or so many tokens a second on this machine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "apps/cli.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/quantize/mixes.h"
#include "files/imatrix_file.h"

namespace rafter::apps {

struct Target {
    enum class Kind { kBitsPerWeight, kBytes, kTokensPerSecond };
    Kind kind = Kind::kBytes;
    double value = 0.0;
};
// "bpw=4.5", "size=700MB", "tok/s=30"
[[nodiscard]] Result<Target> parse_target(std::string_view text);

struct QuantizedSize {
    double file_bytes = 0.0;
    double weights_bytes = 0.0;  // of all tensors
};
struct TargetOptions {
    Target target;
    std::string text_file;                                // what losses are measured on
    const files::ImportanceMatrix* importance = nullptr;  // null: all columns count the same
    unsigned n_threads = 0;
    bool quiet = false;
    std::function<Result<QuantizedSize>(const engine::TensorTypes&)> size;  // with these types
};
struct TargetChoice {
    engine::TensorTypes types;
    std::string report;  // the front and the choice, for standard output
};
// How much each column counts on a text. None: interrupted.
[[nodiscard]] Result<std::optional<files::ImportanceMatrix>> measure_importance(const std::string& text_file,
                                                                                const std::filesystem::path& model, unsigned n_threads,
                                                                                bool quiet, const Environment& environment);

// None: interrupted. Fails where the target cannot be met, and names the nearest that can.
[[nodiscard]] Result<std::optional<TargetChoice>> choose_types(const TargetOptions& options, const std::filesystem::path& model,
                                                               const Environment& environment);

}  // namespace rafter::apps
