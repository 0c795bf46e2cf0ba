// Every step of the engine, noted on the engine's thread in about a microsecond and read on the server's: the last steps one by one, sums
// over the last minute, and totals since the start. What /roofline, /explain, /metrics and the answers' timings are made of.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "engine/loading/served_model.h"
#include "server/observe/step_prices.h"

namespace rafter::server {

// One step. Seconds of time are of the steady clock (monotonic_ns).
struct WatchedStep {
    std::uint64_t id = 0;  // 1, 2, ...
    engine::StepKind kind = engine::StepKind::kNone;
    double end_seconds = 0.0;
    std::uint32_t n_tokens = 0;
    std::uint32_t n_sequences = 0;
    std::uint32_t n_draft_tokens = 0;
    std::uint32_t n_accepted_drafts = 0;
    double predicted_seconds = 0.0;  // for the model; 0: nothing is known of this machine
    double forward_seconds = 0.0;    // in the model, measured
    double step_seconds = 0.0;       // all of it, measured
    std::optional<StepRoof> roof;    // none: nothing is known of this machine
};

// Sums over steps. A step that lies partly in an interval counts with that part. All of them are doubles: they are added as one array.
struct StepSums {
    double n_steps = 0.0;
    double n_tokens = 0.0;            // computed
    double n_prompt_tokens = 0.0;     // of them, of prompts
    double n_chosen = 0.0;            // added to answers
    double n_sequences = 0.0;         // of each step
    double n_decode_steps = 0.0;      // steps of answers alone, without prompts; of each of them:
    double n_decoding = 0.0;          // sequences
    double decode_past_tokens = 0.0;  // tokens in the cache before it, of all its sequences
    double n_draft_tokens = 0.0;
    double n_accepted_drafts = 0.0;
    double n_recomputed = 0.0;  // of n_tokens, that a preemption had taken
    // Seconds
    double step = 0.0;               // all of the steps
    double forward = 0.0;            // of it, in the model
    double decode = 0.0;             // of `step`, the steps of answers alone
    double decode_forward = 0.0;     // of `forward`, the same
    double sample = 0.0;             // choosing tokens
    double draft = 0.0;              // drafting
    double between = 0.0;            // from a step to the next while requests ran: waiting for other models, handing out results
    double recomputed = 0.0;         // of `step`, the part of n_recomputed in n_tokens
    double predicted = 0.0;          // for the model
    double predicted_forward = 0.0;  // measured, of the steps that were predicted
    double memory_bound = 0.0;       // of `step`, by what binds; 0 without a machine profile, as the rest
    double compute_bound = 0.0;
    double overhead_bound = 0.0;
    double memory_roof = 0.0;  // as in StepRoof
    double compute_roof = 0.0;
    double overhead = 0.0;
    double read = 0.0;
    double peak = 0.0;
    // Counts
    double flops = 0.0;
    double read_bytes = 0.0;
    double prefix_asked = 0.0;  // prompt tokens that the prefix cache was asked for
    double prefix_found = 0.0;
    double prefix_missed_new = 0.0;
    double prefix_missed_evicted = 0.0;
    double prefix_missed_window = 0.0;
    double n_preemptions = 0.0;

    [[nodiscard]] double roof() const { return memory_roof + compute_roof; }
    // None where there is nothing to divide by.
    [[nodiscard]] std::optional<double> roof_fraction() const;
    [[nodiscard]] std::optional<double> mbu() const;  // bytes read over what the best bandwidth would have read in the steps' time
    [[nodiscard]] std::optional<double> mfu() const;  // flops over the same of the peak
    [[nodiscard]] std::optional<double> prefix_hit_fraction() const;
    [[nodiscard]] std::optional<double> predicted_over_measured() const;

    void add(const StepSums& other, double part = 1.0);
};

// The best that the hardware allows and what steps took, since the start: a difference of two is an interval's.
struct RoofClock {
    double roof_seconds = 0.0;
    double step_seconds = 0.0;
};
// None: no machine profile, or no step in between.
[[nodiscard]] std::optional<double> roof_fraction_between(const RoofClock& from, const RoofClock& to);

// Counts of steps below each bound of a histogram, which are the same for all of a kind.
template <std::size_t kBounds>
struct StepHistogram {
    std::array<std::uint64_t, kBounds + 1> counts{};  // [i]: above the bound before, up to the i-th; the last: above all
    double sum = 0.0;
    void add(double value, const std::array<double, kBounds>& bounds) {
        std::size_t i = 0;
        while (i < kBounds && value > bounds[i]) ++i;
        ++counts[i];
        sum += value;
    }
};
inline constexpr std::array kStepSecondsBounds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0};
inline constexpr std::array kErrorBounds = {0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0};
inline constexpr std::array kStepTokensBounds = {1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0};
inline constexpr std::size_t kStepPhases = 3;  // prefill, decode, mixed
inline constexpr std::size_t kStepBounds = 4;  // memory, compute, overhead, unknown
struct StepHistograms {
    using Seconds = StepHistogram<kStepSecondsBounds.size()>;
    std::array<std::array<Seconds, kStepBounds>, kStepPhases> predicted_seconds, measured_seconds;  // of the model's forward pass
    StepHistogram<kErrorBounds.size()> prediction_error;  // |measured - predicted| / predicted, of the forward pass
    StepHistogram<kStepTokensBounds.size()> tokens;
};

class StepWatch {
  public:
    static constexpr std::size_t kMaxSteps = 64;       // that are kept one by one
    static constexpr double kMaxWindowSeconds = 60.0;  // that sums go back

    // Without prices all that needs a roof is absent.
    explicit StepWatch(std::unique_ptr<const StepPrices> prices = nullptr);
    // Before the steps of another engine, and while none is recorded: sums and counts go on.
    void begin(std::unique_ptr<const StepPrices> prices);
    StepWatch(const StepWatch&) = delete;
    StepWatch& operator=(const StepWatch&) = delete;

    // On the engine's thread: EngineThreadOptions::on_step. Allocates nothing.
    void record(const engine::StepReport& step) noexcept;
    // The same with a clock of its own, for tests.
    void record(const engine::StepReport& step, double now_seconds) noexcept;

    // From any thread:
    [[nodiscard]] RoofClock roof_clock() const;
    [[nodiscard]] StepSums totals() const;
    // Of the last `seconds` before now_seconds, at most kMaxWindowSeconds; to within a quarter of a second.
    [[nodiscard]] StepSums last(double seconds, double now_seconds) const;
    [[nodiscard]] std::vector<WatchedStep> steps() const;  // the latest last
    [[nodiscard]] StepHistograms histograms() const;
    [[nodiscard]] std::optional<double> last_end_seconds() const;             // of the latest step; none before the first
    [[nodiscard]] std::optional<double> first_start_seconds() const;          // of the first step; none before it
    [[nodiscard]] const StepPrices* prices() const { return prices_.get(); }  // null: no machine profile

  private:
    static constexpr double kBinSeconds = 0.25;
    static constexpr std::size_t kBins = 248;  // a minute and room for the bin that is being filled
    struct Bin {
        std::int64_t number = -1;  // since the clock's zero
        StepSums sums;
    };

    void add_to_bins(const StepSums& sums, double start, double end) noexcept;
    void add_to_histograms(const WatchedStep& step) noexcept;
    void add_counters(const engine::StepReport& step, StepSums& sums) noexcept;

    std::unique_ptr<const StepPrices> prices_;
    mutable std::mutex mutex_;  // for what follows
    std::array<WatchedStep, kMaxSteps> ring_{};
    std::uint64_t n_steps_ = 0;
    std::array<Bin, kBins> bins_{};
    StepSums totals_;
    StepHistograms histograms_;
    kv::BlockCacheCounters prefix_;          // as of the latest step
    engine::SchedulerCounters scheduler_{};  // the same
    double last_end_seconds_ = 0.0;
    double first_start_seconds_ = 0.0;
    bool requests_ran_ = false;  // after the latest step
};

// The prices of this model's steps; null without a machine profile. After load(), before or after start().
[[nodiscard]] std::unique_ptr<const StepPrices> step_prices_of(engine::ServedModel& served);
// Seconds of the clock that StepWatch::record() uses.
[[nodiscard]] double watch_seconds();

}  // namespace rafter::server
