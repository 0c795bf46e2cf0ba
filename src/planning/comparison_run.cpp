// Speed first, on a machine that does nothing else; then the text.
#include "planning/comparison_run.h"

#include <algorithm>

#include "base/clock.h"
#include "base/os_cpu.h"
#include "planning/ladder/stand.h"

namespace rafter::planning {
namespace {

// Of the two, measuring the speed takes about so much: for the progress alone.
constexpr double kSpeedShare = 0.3;

// Beyond this share of the time in which threads were ready and waited for a CPU, the machine was busy.
constexpr double kWaitedShare = 0.1;

ComparedSpeed speed_of(const LadderPoint& point) {
    return {.predicted = point.predicted_tokens_per_s(), .measured = point.tokens_per_s(), .spread = point.spread};
}

Result<ComparedSpeed> measured_speed(Stand& stand, const Stand::Steps& steps, const hardware::Profile& machine) {
    LadderPoint point = stand.price(steps, machine);
    constexpr Stand::Repeats kRepeats{.n = 5, .least_seconds = 0.6};
    RAFTER_TRY(std::vector<double> seconds, stand.sample(steps, kRepeats));
    set_measured(point, std::move(seconds));
    return speed_of(point);
}

double bits_a_weight(const files::TensorSource& source) {
    double bytes = 0.0;
    double elements = 0.0;
    for (const files::NamedTensor& tensor : source.tensors()) {
        bytes += static_cast<double>(tensor.size_bytes());
        elements += static_cast<double>(tensor.n_elements());
    }
    return elements > 0.0 ? 8.0 * bytes / elements : 0.0;
}

}  // namespace

Result<std::optional<ComparedModel>> compare_model(engine::Runtime& runtime, const engine::OpenedModel& opened,
                                                   engine::LoadedModel& reference, const CompareOptions& options) {
    const auto progress = [&](double fraction, std::string_view what) {
        if (options.progress) options.progress(fraction, what);
    };
    const auto is_stopped = [&] { return options.is_stopped && options.is_stopped(); };
    const engine::TextWindows& windows = *options.windows;
    ComparedModel compared{.size_bytes = static_cast<double>(opened.source->size_bytes()), .bits = bits_a_weight(*opened.source)};
    progress(0.0, "loading");
    const std::uint32_t context = std::max(std::min(kComparedPrompt, opened.config.n_context), windows.context());
    RAFTER_TRY(const std::unique_ptr<Stand> stand, Stand::load(runtime, opened, {.context = context}, nullptr, {}));
    progress(0.1 * kSpeedShare, "measuring prefill");
    const std::uint32_t n_prompt = std::min(kComparedPrompt, context);
    const std::optional<double> waited_before = waited_for_cpu_seconds();
    const std::int64_t start_ns = monotonic_ns();
    RAFTER_TRY(compared.prefill, measured_speed(*stand, {.n_new = n_prompt, .n_context = n_prompt}, *options.machine));
    progress(0.6 * kSpeedShare, "measuring decode");
    RAFTER_TRY(compared.decode, measured_speed(*stand, {.n_context = std::min(kComparedContext, context)}, *options.machine));
    const double seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
    if (waited_before) compared.disturbed = waited_for_cpu_seconds().value_or(0.0) - *waited_before > kWaitedShare * seconds;
    engine::Divergence divergence;
    for (std::size_t i = 0; i < windows.n_windows(); ++i) {
        if (is_stopped()) return std::optional<ComparedModel>();
        progress(kSpeedShare + (1.0 - kSpeedShare) * static_cast<double>(i) / static_cast<double>(windows.n_windows()),
                 "comparing distributions");
        const auto added = engine::add_window(reference, stand->loaded(), windows.window(i), windows.first_row(), divergence);
        if (!added) return added.error().within(fmt::format("window {}", i));
    }
    compared.loss = divergence.summary();
    return std::optional(std::move(compared));
}

}  // namespace rafter::planning
