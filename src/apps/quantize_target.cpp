// Measure what each matrix loses, allot, measure the whole.
#include "apps/quantize_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <vector>

#include "apps/conversion.h"
#include "apps/machine_profile.h"
#include "apps/output.h"
#include "base/byte_size.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "base/os_terminal.h"
#include "engine/importance/collect.h"
#include "engine/loading/loaded_model.h"
#include "engine/measure/text_windows.h"
#include "engine/quantize/allocation.h"
#include "engine/quantize/decode_price.h"
#include "engine/quantize/sensitivity.h"
#include "report/progress.h"
#include "report/table.h"
#include "report/units.h"
#include "tensor/formats/formats.h"

namespace rafter::apps {
namespace {

using engine::Allocation;
using engine::CostKind;
using engine::MatrixChoices;

// Tokens that each trial computes: enough to order the matrices, and little enough for hundreds of trials.
constexpr std::uint32_t kTrialContext = 256;
constexpr std::size_t kFrontRows = 7;
// Of the text that importances are measured on: 32,768 tokens.
constexpr std::uint32_t kImportanceContext = 512;
constexpr std::uint32_t kImportanceWindows = 64;

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
Result<Allocation> allocate_for(const std::vector<MatrixChoices>& matrices, const WholeCosts& costs) {
    const CostKind kind = costs.is_speed() ? CostKind::kSeconds : CostKind::kBytes;
    const double allowed = costs.allowed();
    const Allocation cheapest = engine::allocate_at(matrices, kind, 1e300);
    RAFTER_TRY(const double least, costs.cost(cheapest));
    if (least > allowed) {
        return bad_input("--target {}: expected one that this model can reach: the nearest is {}", costs.in_words(allowed),
                         costs.in_words(least));
    }
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

Result<std::string> front_text(const std::vector<MatrixChoices>& matrices, const WholeCosts& costs, const Allocation& chosen,
                               bool has_prices, double n_weights, const report::Style& style) {
    const CostKind kind = costs.is_speed() ? CostKind::kSeconds : CostKind::kBytes;
    std::vector<std::pair<Allocation, bool>> rows;
    for (Allocation& allocation : engine::pareto_front(matrices, kind, kFrontRows)) rows.emplace_back(std::move(allocation), false);
    rows.emplace_back(chosen, true);
    std::ranges::stable_sort(rows, {}, [kind](const auto& row) { return row.first.cost(kind); });
    std::vector<report::Column> columns = {{""}, {"size", report::Align::kRight}, {"bits", report::Align::kRight}};
    if (has_prices) columns.push_back({"tok/s", report::Align::kRight});
    columns.push_back({"KL", report::Align::kRight});
    columns.push_back({"matrices"});
    report::Table table(columns);
    for (const auto& [allocation, is_chosen] : rows) {
        RAFTER_TRY(const QuantizedSize size, costs.size(allocation));
        std::vector<std::string> cells = {is_chosen ? ">" : "", report::bytes(size.file_bytes),
                                          fmt::format("{:.2f}", 8.0 * size.weights_bytes / n_weights)};
        if (has_prices) {
            RAFTER_TRY(const double seconds, costs.seconds(allocation));
            cells.push_back(fmt::format("{:.1f}", 1.0 / seconds));
        }
        cells.push_back(fmt::format("{:.5f}", allocation.kl));
        std::string counts = counts_of(matrices, allocation);
        cells.push_back(is_chosen ? style.bold(counts) : std::move(counts));
        table.add(std::move(cells));
    }
    return table.render(style);
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
    Target target;
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

Result<std::optional<files::ImportanceMatrix>> measure_importance(const std::string& text_file, const std::filesystem::path& model,
                                                                  unsigned n_threads, bool quiet, const Environment& environment) {
    RAFTER_TRY(engine::Runtime runtime, engine::Runtime::create({.n_threads = n_threads}));
    RAFTER_TRY(const engine::OpenedModel opened, engine::open_model(model));
    RAFTER_TRY(const std::string text, read_file(text_file));
    const std::uint32_t context = std::min(kImportanceContext, opened.config.n_context);
    RAFTER_TRY(const engine::TextWindows windows,
               engine::TextWindows::cut(*opened.tokenizer, text, context, text_file, kImportanceWindows));
    engine::LoadModelOptions load;
    load.context = context;
    load.n_outputs = std::min(engine::kStepTokens, context);
    load.activations = model::ActivationMode::kQ16;
    load.observe_inputs = true;
    RAFTER_TRY(engine::LoadedModel loaded, engine::load_model(runtime, opened, load));
    engine::ImportanceCollector collector(loaded);
    const InterruptFlag interrupt;
    report::Progress bar(stderr_terminal(environment), "Reading the text");
    for (std::size_t i = 0; i < windows.n_windows(); ++i) {
        if (interrupt.is_set()) return std::optional<files::ImportanceMatrix>();
        collector.add(windows.window(i));
        if (!quiet) bar.update(static_cast<double>(i + 1) / static_cast<double>(windows.n_windows()));
    }
    RAFTER_TRY(files::ImportanceMatrix matrix, collector.result());
    return std::optional(std::move(matrix));
}

Result<std::optional<TargetChoice>> choose_types(const TargetOptions& options, const std::filesystem::path& model,
                                                 const Environment& environment) {
    const report::Terminal terminal = stderr_terminal(environment);
    RAFTER_TRY(engine::Runtime runtime, engine::Runtime::create({.n_threads = options.n_threads}));
    RAFTER_TRY(const engine::OpenedModel opened, engine::open_model(model));
    RAFTER_TRY(const std::string text, read_file(options.text_file));
    const std::uint32_t context = std::min(kTrialContext, opened.config.n_context);
    RAFTER_TRY(const engine::TextWindows windows, engine::TextWindows::cut(*opened.tokenizer, text, context, options.text_file, 1));
    const bool is_speed = options.target.kind == Target::Kind::kTokensPerSecond;
    hardware::Profile machine;
    if (is_speed) {
        RAFTER_TRY(machine, machine_profile(environment, runtime.pool(), runtime.isa(), "quantize"));
    }
    const InterruptFlag interrupt;
    report::Progress bar(terminal, "Measuring");
    const std::int64_t start_ns = monotonic_ns();
    engine::SensitivityOptions sensitivity{.windows = {windows.window(0)}, .importance = options.importance};
    sensitivity.is_stopped = [&] { return interrupt.is_set(); };
    sensitivity.progress = [&](std::size_t n_done, std::size_t n_all) {
        if (options.quiet) return;
        const double done = static_cast<double>(n_done) / static_cast<double>(n_all);
        const double seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
        bar.update(done, fmt::format("matrix {} of {}, {} left", n_done, n_all, report::seconds(seconds / done * (1.0 - done))));
    };
    RAFTER_TRY(const engine::OutputJudge judge, engine::OutputJudge::create(runtime, opened, sensitivity));
    RAFTER_TRY(auto measured, engine::measure_sensitivity(judge, opened, sensitivity, runtime.pool()));
    bar.clear();
    if (!measured) return std::optional<TargetChoice>();
    std::vector<MatrixChoices>& matrices = *measured;
    const engine::DecodePrices prices(runtime.backend(), opened, machine);
    if (is_speed) RAFTER_TRY_VOID(prices.price_types(matrices));
    const double n_weights = n_weights_of(*opened.source);
    const WholeCosts costs(options, matrices, &prices, n_weights);
    RAFTER_TRY(const Allocation chosen, allocate_for(matrices, costs));
    TargetChoice choice{.types = types_of(matrices, chosen)};
    RAFTER_TRY(const engine::DivergenceSummary whole, judge.judge(choice.types));
    RAFTER_TRY(const double cost, costs.cost(chosen));
    RAFTER_TRY(const std::string front, front_text(matrices, costs, chosen, is_speed, n_weights, stdout_style(environment)));
    choice.report = fmt::format("chosen: {}{}, KL {:.5f} predicted, {:.5f} ± {:.5f} measured on the calibration text\n\n{}\n",
                                costs.in_words(cost), is_speed ? " predicted" : "", chosen.kl, whole.mean_kl, whole.mean_kl_error, front);
    return std::optional(std::move(choice));
}

}  // namespace rafter::apps
