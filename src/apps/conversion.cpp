// The bar, the notes and the line.
#include "apps/conversion.h"

#include <fmt/format.h>

#include "apps/output.h"
#include "apps/session.h"
#include "base/clock.h"
#include "base/os_terminal.h"
#include "report/progress.h"
#include "report/units.h"
#include "tensor/formats/formats.h"

namespace rafter::apps {
namespace {

std::string conversion_summary(const engine::ConversionPlan& plan, const engine::Conversion& conversion) {
    const std::string file = plan.parts.size() == 1 ? plan.parts.front().path.filename().string()
                                                    : fmt::format("{} and {} more", plan.parts.front().path.filename().string(),
                                                                  report::grouped(plan.parts.size() - 1));
    const std::uint64_t written_bytes = conversion.size_bytes - conversion.reused_bytes;
    std::string text = fmt::format("{}: {}, {} tensor{}: {}", file, report::bytes(static_cast<double>(conversion.size_bytes)),
                                   report::grouped(plan.tensors.size()), plan.tensors.size() == 1 ? "" : "s", types_text(plan.n_of_type));
    if (conversion.reused_bytes > 0) {
        text += fmt::format("; {} were written before", report::bytes(static_cast<double>(conversion.reused_bytes)));
    }
    if (conversion.seconds > 0) {
        text += fmt::format("; {}, {}", report::seconds(conversion.seconds),
                            report::bytes_per_second(static_cast<double>(written_bytes) / conversion.seconds));
    }
    return text;
}

// What error feedback brought.
std::string refine_summary(const engine::RefineOutcome& refined) {
    std::string text = fmt::format("errors fed back in {} tensors: their expected output error is {:.1f}% lower on average",
                                   report::grouped(refined.n_tensors), 100.0 * (1.0 - refined.error_ratio));
    if (refined.n_rows_plain > 0) {
        text += fmt::format("; {} of {} rows were no better with it and are as without", report::grouped(refined.n_rows_plain),
                            report::grouped(refined.n_rows));
    }
    if (refined.n_tensors_plain > 0) text += fmt::format(", all of {} tensors' among them", report::grouped(refined.n_tensors_plain));
    if (refined.n_tensors_unknown > 0) {
        text += fmt::format("; of {} tensors' inputs nothing is known: they are as without", report::grouped(refined.n_tensors_unknown));
    }
    return text;
}

}  // namespace

std::string types_text(const std::map<tensor::DType, std::uint32_t>& n_of_type) {
    std::string text;
    for (const auto& [type, n] : n_of_type) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", n, tensor::format_of(type).name);
    return text;
}

Result<std::filesystem::path> conversion_source(const Environment& environment, const std::string& words) {
    std::error_code failed;
    if (std::filesystem::exists(std::filesystem::path(words) / "config.json", failed)) return std::filesystem::path(words);
    return find_model(environment, words);
}

Result<int> carry_out(const Environment& environment, const engine::ConversionPlan& plan, const files::TensorSource& source,
                      ThreadPool& pool, const ConversionWords& words, engine::InputFeedback* feedback) {
    const report::Terminal terminal = stderr_terminal(environment);
    const InterruptFlag interrupt;
    engine::Conversion conversion;
    {
        report::Progress bar(terminal, std::string(words.progress));
        std::string stage;
        const std::int64_t begin_ns = monotonic_ns();
        const auto detail = [&](double fraction) {
            const double seconds = static_cast<double>(monotonic_ns() - begin_ns) * 1e-9;
            return stage.empty() || fraction <= 0.0
                       ? stage
                       : fmt::format("{}, {} left", stage, report::seconds(seconds / fraction * (1.0 - fraction)));
        };
        RAFTER_TRY(conversion, engine::run_conversion(plan, source, pool,
                                                      {.progress =
                                                           [&](double fraction) {
                                                               if (!words.quiet) bar.update(fraction, detail(fraction));
                                                           },
                                                       .stage = [&](const std::string& what) { stage = what; },
                                                       .is_stopped = [&] { return interrupt.is_set(); },
                                                       .note =
                                                           [&](const std::string& sentence) {
                                                               bar.clear();
                                                               if (!words.quiet)
                                                                   print_note(terminal, fmt::format("rafter {}: {}", words.verb, sentence));
                                                           },
                                                       .feedback = feedback}));
    }
    if (!conversion.complete) {
        if (!words.quiet) print_note(terminal, fmt::format("rafter {}: interrupted; the same command continues", words.verb));
        return kExitInterrupted;
    }
    if (!words.quiet) RAFTER_TRY_VOID(write_stdout(conversion_summary(plan, conversion) + "\n"));
    if (!words.quiet && (conversion.refined.n_tensors > 0 || conversion.refined.n_tensors_unknown > 0)) {
        RAFTER_TRY_VOID(write_stdout(refine_summary(conversion.refined) + "\n"));
    }
    return 0;
}

}  // namespace rafter::apps
