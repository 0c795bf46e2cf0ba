// The bar, the notes and the line.
#include "apps/conversion.h"

#include <fmt/format.h>

#include "apps/output.h"
#include "apps/session.h"
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
    std::string text = fmt::format("{}: {}, {} tensors: {}", file, report::bytes(static_cast<double>(conversion.size_bytes)),
                                   report::grouped(plan.tensors.size()), types_text(plan.n_of_type));
    if (conversion.reused_bytes > 0) {
        text += fmt::format("; {} were written before", report::bytes(static_cast<double>(conversion.reused_bytes)));
    }
    if (conversion.seconds > 0) {
        text += fmt::format("; {}, {}", report::seconds(conversion.seconds),
                            report::bytes_per_second(static_cast<double>(written_bytes) / conversion.seconds));
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
                      ThreadPool& pool, const ConversionWords& words) {
    const report::Terminal terminal = stderr_terminal(environment);
    const InterruptFlag interrupt;
    engine::Conversion conversion;
    {
        report::Progress bar(terminal, std::string(words.progress));
        RAFTER_TRY(conversion, engine::run_conversion(plan, source, pool,
                                                      {.progress =
                                                           [&](double fraction) {
                                                               if (!words.quiet) bar.update(fraction);
                                                           },
                                                       .is_stopped = [&] { return interrupt.is_set(); },
                                                       .note =
                                                           [&](const std::string& sentence) {
                                                               bar.clear();
                                                               if (!words.quiet)
                                                                   print_note(terminal, fmt::format("rafter {}: {}", words.verb, sentence));
                                                           }}));
    }
    if (!conversion.complete) {
        if (!words.quiet) print_note(terminal, fmt::format("rafter {}: interrupted; the same command continues", words.verb));
        return kExitInterrupted;
    }
    if (!words.quiet) RAFTER_TRY_VOID(write_stdout(conversion_summary(plan, conversion) + "\n"));
    return 0;
}

}  // namespace rafter::apps
