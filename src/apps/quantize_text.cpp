// A text of the model's own is the same in every run: the same command continues an interrupted one.
#include "apps/quantize_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "apps/output.h"
#include "base/clock.h"
#include "base/os_terminal.h"
#include "base/os_text_file.h"
#include "engine/importance/collect.h"
#include "engine/importance/own_text.h"
#include "report/progress.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

using engine::TokenId;

// Of the text that importances are measured on: 32,768 tokens of a file, 8,192 of the model's own.
constexpr std::uint32_t kImportanceContext = 512;
constexpr std::size_t kImportanceWindows = 64;
constexpr std::size_t kOwnTokens = 8192;
constexpr std::size_t kOwnTrialTokens = 2048;  // where importances come from a file
constexpr std::uint32_t kOwnDocuments = 16;    // written at once

Result<std::optional<std::vector<TokenId>>> own_text(const TextRequest& request, engine::Runtime& runtime,
                                                     const engine::OpenedModel& opened, const Environment& environment) {
    engine::LoadModelOptions load;
    load.context = std::min(kImportanceContext, opened.config.n_context);
    load.n_outputs = kOwnDocuments;
    load.n_sequences = kOwnDocuments;
    RAFTER_TRY(engine::LoadedModel loaded, engine::load_model(runtime, opened, load));
    engine::Engine engine(*loaded.device, *opened.tokenizer, loaded.scheduler);
    const std::size_t n_tokens = request.for_importances ? kOwnTokens : kOwnTrialTokens;
    const InterruptFlag interrupt;
    report::Progress bar(stderr_terminal(environment), "Writing a text");
    const std::int64_t start_ns = monotonic_ns();
    const auto written = [&](std::size_t n) {
        const double done = std::min(1.0, static_cast<double>(n) / static_cast<double>(n_tokens));
        const double seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
        if (!request.quiet && done > 0.0) {
            bar.update(done, fmt::format("{} tokens, {} left", report::grouped(n), report::seconds(seconds / done * (1.0 - done))));
        }
        return !interrupt.is_set();
    };
    return engine::write_own_text(engine, opened,
                                  {.n_tokens = n_tokens, .context = *load.context, .n_together = kOwnDocuments, .written = written});
}

}  // namespace

std::string CalibrationText::words() const {
    return fmt::format("{}: {} tokens{}", name, report::grouped(tokens.size()), is_own ? " (--text FILE: on another)" : "");
}

std::vector<std::vector<TokenId>> CalibrationText::windows(std::uint32_t context, std::size_t first, std::size_t n_max) const {
    std::vector<std::vector<TokenId>> all;
    for (std::size_t i = first; all.size() < n_max && (i + 1) * context <= tokens.size(); ++i) {
        const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(i * context);
        std::vector<TokenId>& window = all.emplace_back(begin, begin + context);
        if (bos) window.front() = *bos;
    }
    return all;
}

Result<std::optional<CalibrationText>> calibration_text(const TextRequest& request, engine::Runtime& runtime,
                                                        const engine::OpenedModel& opened, const Environment& environment) {
    const text::SpecialIds& special = opened.tokenizer->special();
    CalibrationText calibration;
    if (special.add_bos) calibration.bos = special.bos;
    if (request.file.empty()) {
        RAFTER_TRY(auto tokens, own_text(request, runtime, opened, environment));
        if (!tokens) return std::optional<CalibrationText>();
        calibration.tokens = *std::move(tokens);
        calibration.name = "text that the model wrote itself";
        calibration.is_own = true;
    } else {
        RAFTER_TRY(const std::string text, read_whole_text(request.file));
        calibration.tokens = opened.tokenizer->encode(text, text::SpecialTokens::kAsText);
        calibration.name = std::filesystem::path(request.file).filename().string();
        if (calibration.bos) calibration.tokens.insert(calibration.tokens.begin(), *calibration.bos);
    }
    const std::uint32_t least = std::min(kTrialContext, opened.config.n_context);
    if (calibration.tokens.size() < least) {
        return bad_input("{}: expected at least {} tokens, found {}", request.file.empty() ? calibration.name : request.file, least,
                         calibration.tokens.size());
    }
    return std::optional(std::move(calibration));
}

std::vector<std::vector<TokenId>> importance_windows(const CalibrationText& text, const engine::OpenedModel& opened) {
    const auto n_tokens = static_cast<std::uint32_t>(std::min<std::size_t>(text.tokens.size(), kImportanceContext));
    return text.windows(std::min(n_tokens, opened.config.n_context), 0, kImportanceWindows);
}

Result<std::optional<files::ImportanceMatrix>> measure_importance(const CalibrationText& text, engine::Runtime& runtime,
                                                                  const engine::OpenedModel& opened, bool quiet,
                                                                  const Environment& environment) {
    const std::vector<std::vector<TokenId>> windows = importance_windows(text, opened);
    const auto context = static_cast<std::uint32_t>(windows.front().size());
    engine::LoadModelOptions load;
    load.context = context;
    load.n_outputs = std::min(engine::kStepTokens, context);
    load.activations = model::ActivationMode::kQ16;
    load.observe_inputs = true;
    RAFTER_TRY(engine::LoadedModel loaded, engine::load_model(runtime, opened, load));
    engine::ImportanceCollector collector(loaded);
    const InterruptFlag interrupt;
    report::Progress bar(stderr_terminal(environment), "Reading the text");
    for (std::size_t i = 0; i < windows.size(); ++i) {
        if (interrupt.is_set()) return std::optional<files::ImportanceMatrix>();
        collector.add(windows[i]);
        if (!quiet) bar.update(static_cast<double>(i + 1) / static_cast<double>(windows.size()));
    }
    RAFTER_TRY(files::ImportanceMatrix matrix, collector.result());
    return std::optional(std::move(matrix));
}

}  // namespace rafter::apps
