// Measure what each matrix loses, allot, measure the whole.
#include "apps/quantize_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <span>
#include <vector>

#include "apps/conversion.h"
#include "apps/model_title.h"
#include "apps/output.h"
#include "base/byte_size.h"
#include "base/clock.h"
#include "base/os_terminal.h"
#include "engine/quantize/allocation.h"
#include "engine/quantize/repair.h"
#include "engine/quantize/sensitivity.h"
#include "engine/quantize/type_losses.h"
#include "report/progress.h"
#include "report/units.h"
#include "tensor/formats/formats.h"

namespace rafter::apps {
namespace {

using engine::Allocation;
using engine::CostKind;
using engine::MatrixChoices;

constexpr std::size_t kFrontRows = 7;
// Windows of the text on which whole choices are measured, after the one on which single matrices are. The source's logits on them are
// kept, so that large vocabularies have fewer.
constexpr std::size_t kWholeWindows = 4;
constexpr double kMaxLogitsBytes = 512e6;

Error wrong_target(std::string_view text) {
    return {
        fmt::format("--target: expected bpw=BITS, size=BYTES or tok/s=RATE, such as bpw=4.5, size=700MB or tok/s=30, found \"{}\"", text),
        ErrorKind::kUsage};
}

engine::TensorTypes types_of(const std::vector<MatrixChoices>& matrices, const Allocation& allocation) {
    engine::TensorTypes types;
    for (std::size_t m = 0; m < matrices.size(); ++m) types[matrices[m].tensor] = matrices[m].types[allocation.chosen[m]].dtype;
    return types;
}

std::string counts_of(const std::vector<MatrixChoices>& matrices, const Allocation& allocation) {
    std::map<tensor::DType, std::uint32_t> n;
    for (std::size_t m = 0; m < matrices.size(); ++m) ++n[matrices[m].types[allocation.chosen[m]].dtype];
    return types_text(n);
}

// What a choice costs, beyond the matrices: whole files and whole steps.
class WholeCosts {
  public:
    WholeCosts(const TargetOptions& options, const std::vector<MatrixChoices>& matrices, const engine::DecodePrices* prices,
               double n_weights)
        : options_(options), matrices_(matrices), prices_(prices), n_weights_(n_weights) {}

    [[nodiscard]] Result<QuantizedSize> size(const Allocation& allocation) const { return options_.size(types_of(matrices_, allocation)); }
    [[nodiscard]] Result<double> seconds(const Allocation& allocation) const {
        return prices_->step_seconds(types_of(matrices_, allocation));
    }
    // In the target's own measure.
    [[nodiscard]] Result<double> cost(const Allocation& allocation) const {
        if (is_speed()) return seconds(allocation);
        RAFTER_TRY(const QuantizedSize size, this->size(allocation));
        return options_.target.kind == Target::Kind::kBytes ? size.file_bytes : size.weights_bytes;
    }
    [[nodiscard]] CostKind kind() const { return is_speed() ? CostKind::kSeconds : CostKind::kBytes; }
    [[nodiscard]] bool is_speed() const { return options_.target.kind == Target::Kind::kTokensPerSecond; }
    // What the target allows of cost().
    [[nodiscard]] double allowed() const {
        switch (options_.target.kind) {
            case Target::Kind::kBitsPerWeight:
                return options_.target.value * n_weights_ / 8.0;
            case Target::Kind::kBytes:
                return options_.target.value;
            case Target::Kind::kTokensPerSecond:
                return 1.0 / options_.target.value;
        }
        return 0.0;
    }
    // The same, rounded to a target that can be reached and typed.
    [[nodiscard]] std::string nearest(double least) const {
        switch (options_.target.kind) {
            case Target::Kind::kBitsPerWeight: {
                double thousandths = std::ceil(8000.0 * least / n_weights_);
                if (thousandths / 1000.0 * n_weights_ / 8.0 < least) thousandths += 1.0;
                return fmt::format("bpw={:.3f}", thousandths / 1000.0);
            }
            case Target::Kind::kBytes:
                return fmt::format("size={:.0f} ({})", least, report::bytes(least));
            case Target::Kind::kTokensPerSecond: {
                const int n_digits = least > 0.1 ? 6 : 1;  // after the point
                const double parts = std::pow(10.0, n_digits);
                double rate = std::floor(parts / least) / parts;
                if (1.0 / rate < least) rate -= 1.0 / parts;
                return fmt::format("tok/s={:.{}f}", rate, n_digits);
            }
        }
        return {};
    }
    [[nodiscard]] std::string in_words(double cost) const {
        switch (options_.target.kind) {
            case Target::Kind::kBitsPerWeight:
                return fmt::format("bpw={:.3f}", 8.0 * cost / n_weights_);
            case Target::Kind::kBytes:
                return fmt::format("size={} ({} bytes)", report::bytes(cost), report::grouped(static_cast<std::uint64_t>(cost)));
            case Target::Kind::kTokensPerSecond:
                return fmt::format("tok/s={:.1f}", 1.0 / cost);
        }
        return {};
    }

  private:
    const TargetOptions& options_;
    const std::vector<MatrixChoices>& matrices_;
    const engine::DecodePrices* prices_;
    double n_weights_;
};

// The sum over matrices is not yet the whole: padding and other tensors, or other ops. What is beside them hardly depends on the choice, so
// that a few rounds find the budget that fills the target.
Result<Allocation> allocate_for(std::span<const MatrixChoices> matrices, const WholeCosts& costs) {
    const CostKind kind = costs.kind();
    const double allowed = costs.allowed();
    const Allocation cheapest = engine::allocate_at(matrices, kind, 1e300);
    RAFTER_TRY(const double least, costs.cost(cheapest));
    Allocation best = cheapest;
    double beside = least - cheapest.cost(kind);
    for (int round = 0; round < 8; ++round) {
        auto found = engine::allocate_within(matrices, kind, allowed - beside);
        if (!found) break;
        RAFTER_TRY(const double whole, costs.cost(*found));
        if (whole <= allowed && found->kl < best.kl) best = *found;
        const double now = whole - found->cost(kind);
        if (std::abs(now - beside) < 1e-6 * allowed) {
            if (whole <= allowed) break;
            beside = now + (whole - allowed);
        } else {
            beside = now;
        }
    }
    return best;
}

planning::FrontPoint front_point(const std::vector<MatrixChoices>& matrices, const Allocation& allocation, const QuantizedSize& size,
                                 double n_weights) {
    return {.size_bytes = size.file_bytes,
            .bits = 8.0 * size.weights_bytes / n_weights,
            .kl = allocation.kl,
            .types = counts_of(matrices, allocation)};
}

Result<std::vector<planning::FrontPoint>> front_points(const std::vector<MatrixChoices>& matrices, const WholeCosts& costs,
                                                       const Allocation& chosen, bool has_prices, double n_weights) {
    const CostKind kind = costs.kind();
    std::vector<std::pair<Allocation, bool>> rows;
    for (Allocation& allocation : engine::pareto_front(matrices, kind, kFrontRows)) rows.emplace_back(std::move(allocation), false);
    rows.emplace_back(chosen, true);
    std::ranges::stable_sort(rows, {}, [kind](const auto& row) { return row.first.cost(kind); });
    std::vector<planning::FrontPoint> points;
    for (const auto& [allocation, is_chosen] : rows) {
        RAFTER_TRY(const QuantizedSize size, costs.size(allocation));
        planning::FrontPoint point = front_point(matrices, allocation, size, n_weights);
        point.is_chosen = is_chosen;
        if (has_prices) {
            RAFTER_TRY(const double seconds, costs.seconds(allocation));
            point.tokens_per_s = 1.0 / seconds;
        }
        points.push_back(std::move(point));
    }
    return points;
}

// The windows for whole choices: those after the first, or the first where the text has no more.
std::vector<std::vector<text::TokenId>> whole_windows(const CalibrationText& text, std::uint32_t context, std::uint32_t n_vocab) {
    const double window_bytes = static_cast<double>(context) * n_vocab * sizeof(float);
    const auto n =
        static_cast<std::size_t>(std::clamp(std::floor(kMaxLogitsBytes / window_bytes), 1.0, static_cast<double>(kWholeWindows)));
    std::vector<std::vector<text::TokenId>> windows = text.windows(context, 1, n);
    return windows.empty() ? text.windows(context, 0, 1) : windows;
}

double n_weights_of(const files::TensorSource& source) {
    double n = 0.0;
    for (const files::NamedTensor& tensor : source.tensors()) n += static_cast<double>(tensor.n_elements());
    return n;
}

}  // namespace

Result<Target> parse_target(std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals == text.npos) return wrong_target(text);
    const std::string_view name = text.substr(0, equals);
    const std::string_view value = text.substr(equals + 1);
    Target target{.words = std::string(text)};
    if (name == "size") {
        const auto bytes = byte_size(value);
        if (!bytes || !(*bytes > 0.0)) return wrong_target(text);
        target.value = *bytes;
        return target;
    }
    if (name != "bpw" && name != "tok/s") return wrong_target(text);
    target.kind = name == "bpw" ? Target::Kind::kBitsPerWeight : Target::Kind::kTokensPerSecond;
    const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), target.value);
    if (failed != std::errc() || end != value.data() + value.size() || !(target.value > 0.0) || !std::isfinite(target.value)) {
        return wrong_target(text);
    }
    return target;
}

Result<std::vector<MatrixChoices>> priced_choices(const TargetOptions& options, engine::Runtime& runtime,
                                                  const engine::OpenedModel& opened) {
    std::vector<MatrixChoices> matrices = engine::choices_of(*opened.source, options.fixed);
    std::optional<engine::DecodePrices> prices;
    if (options.machine) {
        prices.emplace(runtime.backend(), opened, *options.machine);
        RAFTER_TRY_VOID(prices->price_types(matrices));
    }
    const WholeCosts costs(options, matrices, prices ? &*prices : nullptr, n_weights_of(*opened.source));
    RAFTER_TRY(const double least, costs.cost(engine::allocate_at(matrices, costs.kind(), 1e300)));
    if (least > costs.allowed()) {
        return bad_input("--target {}: expected one that this model can reach: the nearest is {}", options.target.words,
                         costs.nearest(least));
    }
    return matrices;
}

Result<std::optional<TargetChoice>> choose_types(const TargetOptions& options, std::vector<MatrixChoices> matrices,
                                                 const CalibrationText& text, engine::Runtime& runtime, const engine::OpenedModel& opened,
                                                 const Environment& environment) {
    const std::uint32_t context = std::min(kTrialContext, opened.config.n_context);
    const InterruptFlag interrupt;
    report::Progress bar(stderr_terminal(environment), "Measuring");
    std::int64_t start_ns = monotonic_ns();
    std::string what = "matrix";
    const auto progress = [&](std::size_t n_done, std::size_t n_all) {
        if (options.quiet) return;
        const double done = static_cast<double>(n_done) / static_cast<double>(n_all);
        const double seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
        const std::string left = n_done > 0 ? fmt::format(", {} left", report::seconds(seconds / done * (1.0 - done))) : "";
        bar.update(done, fmt::format("{} {} of {}{}", what, n_done, n_all, left));
    };
    const auto begin = [&](const char* name) {
        what = name;
        start_ns = monotonic_ns();
    };
    engine::SensitivityOptions sensitivity{
        .windows = text.windows(context, 0, 1), .importance = options.importance, .progress = progress, .is_stopped = [&] {
            return interrupt.is_set();
        }};
    TargetChoice choice;
    {
        RAFTER_TRY(const engine::OutputJudge judge, engine::OutputJudge::create(runtime, opened, sensitivity));
        RAFTER_TRY(const bool is_measured, engine::measure_sensitivity(judge, opened, sensitivity, runtime.pool(), matrices));
        if (!is_measured) return std::optional<TargetChoice>();
        begin("type");
        RAFTER_TRY(auto losses, engine::correct_type_losses(judge, matrices, sensitivity));
        if (!losses) return std::optional<TargetChoice>();
        choice.front.type_losses = *std::move(losses);
    }
    std::optional<engine::DecodePrices> prices;
    if (options.machine) prices.emplace(runtime.backend(), opened, *options.machine);
    const double n_weights = n_weights_of(*opened.source);
    const WholeCosts costs(options, matrices, prices ? &*prices : nullptr, n_weights);
    engine::SensitivityOptions whole = sensitivity;
    whole.windows = whole_windows(text, context, opened.config.n_vocab);
    begin("choice");
    RAFTER_TRY(const engine::OutputJudge judge, engine::OutputJudge::create(runtime, opened, whole));
    RAFTER_TRY(auto repaired, engine::repair(judge, matrices,
                                             {.allocate = [&](const auto& taken) { return allocate_for(taken, costs); },
                                              .progress = progress,
                                              .is_stopped = sensitivity.is_stopped}));
    bar.clear();
    if (!repaired) return std::optional<TargetChoice>();
    const Allocation& chosen = repaired->chosen;
    choice.types = types_of(matrices, chosen);
    planning::QuantizeFront& front = choice.front;
    RAFTER_TRY(const double cost, costs.cost(chosen));
    front.model = model_title(*opened.source);
    front.target = costs.in_words(cost);
    front.is_speed = costs.is_speed();
    RAFTER_TRY(front.points, front_points(matrices, costs, chosen, prices.has_value(), n_weights));
    front.source_bytes = static_cast<double>(opened.source->size_bytes());
    front.loss = repaired->loss;
    front.predicted_kl = chosen.kl;
    front.first_kl = repaired->first_kl;
    front.trials = std::move(repaired->trials);
    front.text = text.name;
    front.n_context = std::min(engine::kPricedContext, opened.config.n_context);
    return std::optional(std::move(choice));
}

}  // namespace rafter::apps
