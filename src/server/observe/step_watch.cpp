// A step's sums are put together before the lock is taken; with it, they are added to the bins that the step lies in, mostly one.
#include "server/observe/step_watch.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/clock.h"

namespace rafter::server {
namespace {

using SumsArray = std::array<double, sizeof(StepSums) / sizeof(double)>;
static_assert(sizeof(SumsArray) == sizeof(StepSums), "StepSums has doubles only");

std::optional<double> ratio(double part, double whole) { return whole > 0.0 ? std::optional(part / whole) : std::nullopt; }

std::size_t phase_index(engine::StepKind kind) {
    switch (kind) {
        case engine::StepKind::kDecode:
            return 1;
        case engine::StepKind::kMixed:
            return 2;
        case engine::StepKind::kNone:
        case engine::StepKind::kPrefill:
            break;
    }
    return 0;
}

std::size_t bound_index(const std::optional<StepRoof>& roof) {
    if (!roof) return 3;
    switch (roof->bound()) {
        case roofline::PriceBound::kMemory:
            return 0;
        case roofline::PriceBound::kCompute:
            return 1;
        case roofline::PriceBound::kOverhead:
            break;
    }
    return 2;
}

void add_roof(const WatchedStep& step, StepSums& sums) {
    if (!step.roof) return;
    const StepRoof& roof = *step.roof;
    sums.memory_roof = roof.memory_roof_seconds;
    sums.compute_roof = roof.compute_roof_seconds;
    sums.overhead = roof.overhead_seconds;
    sums.read = roof.read_seconds;
    sums.peak = roof.peak_seconds;
    sums.flops = roof.flops;
    sums.read_bytes = roof.read_bytes;
    const std::size_t bound = bound_index(step.roof);
    (bound == 0 ? sums.memory_bound : bound == 1 ? sums.compute_bound : sums.overhead_bound) = step.step_seconds;
}

}  // namespace

double watch_seconds() { return static_cast<double>(monotonic_ns()) * 1e-9; }

void StepSums::add(const StepSums& other, double part) {
    auto sums = std::bit_cast<SumsArray>(*this);
    const auto more = std::bit_cast<SumsArray>(other);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += more[i] * part;
    *this = std::bit_cast<StepSums>(sums);
}

std::optional<double> StepSums::roof_fraction() const { return roof() > 0.0 ? ratio(roof(), step) : std::nullopt; }
std::optional<double> StepSums::mbu() const { return roof() > 0.0 ? ratio(read, step) : std::nullopt; }
std::optional<double> StepSums::mfu() const { return roof() > 0.0 ? ratio(peak, step) : std::nullopt; }
std::optional<double> StepSums::prefix_hit_fraction() const { return ratio(prefix_found, prefix_asked); }
std::optional<double> StepSums::predicted_over_measured() const {
    return predicted > 0.0 ? ratio(predicted, predicted_forward) : std::nullopt;
}

std::optional<double> roof_fraction_between(const RoofClock& from, const RoofClock& to) {
    const double roof = to.roof_seconds - from.roof_seconds;
    return roof > 0.0 ? ratio(roof, to.step_seconds - from.step_seconds) : std::nullopt;
}

StepWatch::StepWatch(std::unique_ptr<const StepPrices> prices) : prices_(std::move(prices)) {}

void StepWatch::begin(std::unique_ptr<const StepPrices> prices) {
    const std::lock_guard lock(mutex_);
    prices_ = std::move(prices);
    prefix_ = {};
    scheduler_ = {};
    requests_ran_ = false;
}

void StepWatch::record(const engine::StepReport& step) noexcept { record(step, watch_seconds()); }

void StepWatch::record(const engine::StepReport& step, double now_seconds) noexcept {
    if (step.shape.sequences.empty()) {  // requests ended without a token: what comes until the next step is idle
        const std::lock_guard lock(mutex_);
        requests_ran_ = false;
        return;
    }
    WatchedStep watched{.kind = step.kind,
                        .end_seconds = now_seconds,
                        .n_tokens = step.shape.n_tokens(),
                        .n_sequences = static_cast<std::uint32_t>(step.shape.sequences.size()),
                        .n_draft_tokens = step.n_draft_tokens,
                        .n_accepted_drafts = step.n_accepted_drafts,
                        .predicted_seconds = step.predicted_seconds,
                        .forward_seconds = step.forward_seconds,
                        .step_seconds = step.step_seconds,
                        .roof = std::nullopt};
    if (prices_) watched.roof = prices_->of(step.shape);
    StepSums sums{.n_steps = 1.0,
                  .n_tokens = static_cast<double>(watched.n_tokens),
                  .n_prompt_tokens = static_cast<double>(watched.n_tokens) - step.n_decoding - step.n_draft_tokens,
                  .n_chosen = static_cast<double>(step.n_chosen),
                  .n_sequences = static_cast<double>(watched.n_sequences),
                  .n_draft_tokens = static_cast<double>(step.n_draft_tokens),
                  .n_accepted_drafts = static_cast<double>(step.n_accepted_drafts),
                  .n_recomputed = static_cast<double>(step.n_recomputed),
                  .step = step.step_seconds,
                  .forward = step.forward_seconds,
                  .sample = step.sample_seconds,
                  .draft = step.draft_seconds};
    if (step.kind == engine::StepKind::kDecode) {
        sums.n_decode_steps = 1.0;
        sums.n_decoding = step.n_decoding;
        sums.decode = step.step_seconds;
        sums.decode_forward = step.forward_seconds;
        for (const model::SequenceStep& sequence : step.shape.sequences) sums.decode_past_tokens += sequence.n_past;
    }
    if (watched.n_tokens > 0) sums.recomputed = step.step_seconds * step.n_recomputed / watched.n_tokens;
    if (step.predicted_seconds > 0.0) {
        sums.predicted = step.predicted_seconds;
        sums.predicted_forward = step.forward_seconds;
    }
    add_roof(watched, sums);
    const double start = now_seconds - step.step_seconds;

    const std::lock_guard lock(mutex_);
    add_counters(step, sums);
    if (requests_ran_) sums.between = std::max(0.0, start - last_end_seconds_);
    last_end_seconds_ = now_seconds;
    requests_ran_ = step.cache.n_sequences > 0;
    if (n_steps_ == 0) first_start_seconds_ = start;
    watched.id = ++n_steps_;
    add_to_histograms(watched);
    ring_[watched.id % kMaxSteps] = watched;
    totals_.add(sums);
    add_to_bins(sums, start, now_seconds);
}

// With the lock held, as the next. What came since the latest step.
void StepWatch::add_counters(const engine::StepReport& step, StepSums& sums) noexcept {
    // A restored token takes back a miss, so a count can fall.
    const auto since = [](std::uint64_t now, std::uint64_t before) { return static_cast<double>(now) - static_cast<double>(before); };
    const kv::BlockCacheCounters& now = step.prefix;
    sums.prefix_asked = since(now.tokens_asked, prefix_.tokens_asked);
    sums.prefix_found = since(now.tokens_found + now.tokens_restored, prefix_.tokens_found + prefix_.tokens_restored);
    sums.prefix_missed_new = since(now.missed_new, prefix_.missed_new);
    sums.prefix_missed_evicted = since(now.missed_evicted, prefix_.missed_evicted);
    sums.prefix_missed_window = since(now.missed_window, prefix_.missed_window);
    sums.n_preemptions = since(step.scheduler.preemptions, scheduler_.preemptions);
    prefix_ = now;
    scheduler_ = step.scheduler;
}

void StepWatch::add_to_histograms(const WatchedStep& step) noexcept {
    const std::size_t phase = phase_index(step.kind), bound = bound_index(step.roof);
    histograms_.measured_seconds[phase][bound].add(step.forward_seconds, kStepSecondsBounds);
    histograms_.tokens.add(step.n_tokens, kStepTokensBounds);
    if (step.predicted_seconds <= 0.0) return;
    histograms_.predicted_seconds[phase][bound].add(step.predicted_seconds, kStepSecondsBounds);
    histograms_.prediction_error.add(std::abs(step.forward_seconds - step.predicted_seconds) / step.predicted_seconds, kErrorBounds);
}

void StepWatch::add_to_bins(const StepSums& sums, double start, double end) noexcept {
    const auto bin_of = [](double seconds) { return static_cast<std::int64_t>(std::floor(seconds / kBinSeconds)); };
    const std::int64_t last = bin_of(end);
    const double length = end - start;
    for (std::int64_t number = std::max(bin_of(start), last - static_cast<std::int64_t>(kBins) + 1); number <= last; ++number) {
        const double from = std::max(start, static_cast<double>(number) * kBinSeconds);
        const double to = std::min(end, static_cast<double>(number + 1) * kBinSeconds);
        Bin& bin = bins_[static_cast<std::size_t>(number) % kBins];
        if (bin.number != number) bin = {.number = number, .sums = {}};
        bin.sums.add(sums, length > 0.0 ? std::max(0.0, to - from) / length : 1.0);
    }
}

RoofClock StepWatch::roof_clock() const {
    const std::lock_guard lock(mutex_);
    return {.roof_seconds = totals_.roof(), .step_seconds = totals_.step};
}

StepSums StepWatch::totals() const {
    const std::lock_guard lock(mutex_);
    return totals_;
}

StepSums StepWatch::last(double seconds, double now_seconds) const {
    const double first = now_seconds - std::min(seconds, kMaxWindowSeconds);
    StepSums sums;
    const std::lock_guard lock(mutex_);
    for (const Bin& bin : bins_) {
        const double start = static_cast<double>(bin.number) * kBinSeconds;
        if (bin.number < 0 || start >= now_seconds) continue;
        const double inside = start + kBinSeconds - std::max(start, first);
        if (inside > 0.0) sums.add(bin.sums, std::min(1.0, inside / kBinSeconds));
    }
    return sums;
}

std::vector<WatchedStep> StepWatch::steps() const {
    std::vector<WatchedStep> steps;
    steps.reserve(kMaxSteps);
    const std::lock_guard lock(mutex_);
    const std::uint64_t n = std::min<std::uint64_t>(n_steps_, kMaxSteps);
    for (std::uint64_t id = n_steps_ - n + 1; id <= n_steps_; ++id) steps.push_back(ring_[id % kMaxSteps]);
    return steps;
}

StepHistograms StepWatch::histograms() const {
    const std::lock_guard lock(mutex_);
    return histograms_;
}

std::optional<double> StepWatch::last_end_seconds() const {
    const std::lock_guard lock(mutex_);
    return n_steps_ > 0 ? std::optional(last_end_seconds_) : std::nullopt;
}

std::optional<double> StepWatch::first_start_seconds() const {
    const std::lock_guard lock(mutex_);
    return n_steps_ > 0 ? std::optional(first_start_seconds_) : std::nullopt;
}

std::unique_ptr<const StepPrices> step_prices_of(engine::ServedModel& served) {
    if (!served.machine()) return nullptr;
    const engine::SchedulerOptions& scheduler = served.loaded().scheduler;
    return std::make_unique<const StepPrices>(served.runtime().backend(), served.loaded().device->program(), *served.machine(),
                                              served.price_options(),
                                              StepPricesOptions{.n_tokens = scheduler.limits.n_tokens,
                                                                .n_outputs = scheduler.limits.n_outputs,
                                                                .context = scheduler.context,
                                                                .n_sequences = scheduler.n_sequences});
}

}  // namespace rafter::server
