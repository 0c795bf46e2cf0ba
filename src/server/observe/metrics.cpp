// What happens on the server's thread is counted as it happens; what the engine counts is taken over when the page is asked for, so that a
// step pays for no metric.
#include "server/observe/metrics.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <iterator>
#include <limits>
#include <map>
#include <vector>

#include "base/os_process_use.h"
#include "base/version.h"
#include "server/observe/losses.h"

namespace rafter::server {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;

constexpr double kUtilizationSeconds = 10.0;

// vLLM's, vllm/v1/metrics/loggers.py, so that a dashboard's quantiles are of the same steps.
const Buckets& first_token_buckets() {
    static const Buckets buckets = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25,  0.5,   0.75,
                                    1.0,   2.5,   5.0,  7.5,  10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0};
    return buckets;
}
const Buckets& token_buckets() {
    static const Buckets buckets = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                                    0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20.0, 40.0, 80.0};
    return buckets;
}
const Buckets& request_buckets() {
    static const Buckets buckets = {0.3,  0.5,  0.8,  1.0,  1.5,   2.0,   2.5,   5.0,   10.0,   15.0,  20.0,
                                    30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};
    return buckets;
}
// 1, 2, 5, 10, 20, 50 ... up to the context.
Buckets count_buckets(std::uint32_t most) {
    Buckets buckets;
    for (double power = 1.0;; power *= 10.0) {
        for (const double digit : {1.0, 2.0, 5.0}) {
            if (digit * power > std::max(1U, most)) return buckets;
            buckets.push_back(digit * power);
        }
    }
}

template <std::size_t kBounds>
Buckets buckets_of(const std::array<double, kBounds>& bounds) {
    return {bounds.begin(), bounds.end()};
}

// A counter of what somebody else counts. One that falls (a prediction that turns out too high) stays where it was.
void raise(Counter& counter, double total) { counter.Increment(std::max(0.0, total - counter.Value())); }
void raise(Counter& counter, std::uint64_t total) { raise(counter, static_cast<double>(total)); }

// What was added since the last time.
template <std::size_t kBounds>
void take_over(Histogram& histogram, StepHistogram<kBounds>& seen, const StepHistogram<kBounds>& now) {
    std::vector<double> added(kBounds + 1);
    for (std::size_t i = 0; i <= kBounds; ++i) added[i] = static_cast<double>(now.counts[i] - seen.counts[i]);
    histogram.ObserveMultiple(added, now.sum - seen.sum);
    seen = now;
}

constexpr std::array<const char*, kStepPhases> kPhaseNames = {"prefill", "decode", "mixed"};
constexpr std::array<const char*, kStepBounds> kBoundNames = {"memory", "compute", "overhead", "unknown"};

}  // namespace

std::string check_metrics_prefix(std::string_view prefix) {
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':'; };
    const auto fits = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
    if (prefix.empty() || prefix.size() > 64 || !is_letter(prefix.front()) || !std::ranges::all_of(prefix, fits)) {
        return "expected 1 to 64 letters, digits, '_' and ':' that do not begin with a digit, as in \"rafter_\" or \"vllm:\"";
    }
    return {};
}

// A family with one member is kept as that member.
class Metrics::State {
  public:
    State(const MetricsOptions& options, const StepWatch& watch)
        : watch_(watch), options_(options), model_{{"model_name", options.model_name}} {}

    void add_request(const RequestRecord& record);
    [[nodiscard]] std::vector<prometheus::MetricFamily> collect(const Now& now);

    const StepWatch& watch_;
    const MetricsOptions options_;
    const Labels model_;
    prometheus::Registry registry_;

    [[nodiscard]] bool as_vllm() const { return options_.prefix == "vllm:"; }
    [[nodiscard]] std::string name(std::string_view rest) const { return fmt::format("{}{}", options_.prefix, rest); }
    Gauge& gauge(std::string_view rest, const char* help) {
        return prometheus::BuildGauge().Name(name(rest)).Help(help).Labels(model_).Register(registry_).Add({});
    }
    Family<Counter>& counters(std::string_view rest, const char* help) {
        return prometheus::BuildCounter().Name(name(rest)).Help(help).Labels(model_).Register(registry_);
    }
    Counter& counter(std::string_view rest, const char* help) { return counters(rest, help).Add({}); }
    Family<Histogram>& histograms(std::string_view rest, const char* help) {
        return prometheus::BuildHistogram().Name(name(rest)).Help(help).Labels(model_).Register(registry_);
    }
    Histogram& histogram(std::string_view rest, const char* help, const Buckets& buckets) {
        return histograms(rest, help).Add({}, buckets);
    }

    // ---- vLLM's names

    Gauge& running_ = gauge("num_requests_running", "Requests that the engine computes.");
    Gauge& waiting_ = gauge("num_requests_waiting", "Requests that wait, in the server's queue or the engine's.");
    Gauge& kv_usage_ = gauge("kv_cache_usage_perc", "Part of the KV cache's blocks that running requests hold, 0 to 1.");
    Counter& prompt_tokens_ = counter("prompt_tokens_total", "Tokens of prompts of ended requests, those from the prefix cache too.");
    Counter& generation_tokens_ = counter("generation_tokens_total", "Tokens added to answers.");
    Counter& prefix_queries_ = counter("prefix_cache_queries_total", "Prompt tokens that the prefix cache was asked for.");
    Counter& prefix_hits_ = counter("prefix_cache_hits_total", "Prompt tokens that came from the prefix cache.");
    Counter& preemptions_ = counter("num_preemptions_total", "Times that a running request gave its cache blocks to others.");
    Family<Counter>& success_ = counters("request_success_total", "Requests that ended, by why.");
    Counter& drafts_ = counter("spec_decode_num_drafts_total", "Times that a sequence had draft tokens in a step.");
    Counter& draft_tokens_ = counter("spec_decode_num_draft_tokens_total", "Draft tokens checked.");
    Counter& accepted_ = counter("spec_decode_num_accepted_tokens_total", "Draft tokens accepted.");
    Family<Counter>& accepted_at_ = counters("spec_decode_num_accepted_tokens_per_pos_total", "Draft tokens accepted, by position.");
    Histogram& first_token_ =
        histogram("time_to_first_token_seconds", "From a request's arrival to its first token.", first_token_buckets());
    Histogram& between_tokens_ = histogram("inter_token_latency_seconds", "From one token of an answer to the next.", token_buckets());
    Histogram& per_output_token_ =
        histogram("time_per_output_token_seconds", "The same as inter_token_latency_seconds, by its older name.", token_buckets());
    Histogram& latency_ = histogram("e2e_request_latency_seconds", "From a request's arrival to its end.", request_buckets());
    Histogram& queue_time_ = histogram("request_queue_time_seconds", "From a request's arrival to its first step.", request_buckets());
    Histogram& prefill_time_ =
        histogram("request_prefill_time_seconds", "From a request's first step to its first token.", request_buckets());
    Histogram& decode_time_ = histogram("request_decode_time_seconds", "From a request's first token to its last.", request_buckets());
    Histogram& inference_time_ =
        histogram("request_inference_time_seconds", "From a request's first step to its last token.", request_buckets());
    Histogram& request_prompt_ = histogram("request_prompt_tokens", "Tokens of a request's prompts.", count_buckets(options_.context));
    Histogram& request_generation_ =
        histogram("request_generation_tokens", "Tokens of a request's answers.", count_buckets(options_.context));
    // A histogram named "_total" is against Prometheus' conventions, and vLLM's all the same.
    Histogram& step_tokens_ = histogram(as_vllm() ? "iteration_tokens_total" : "iteration_tokens",
                                        "Tokens computed by a step of the engine.", buckets_of(kStepTokensBounds));

    // ---- ours: steps and roofs

    Family<Histogram>& step_predicted_ =
        histograms("step_predicted_seconds", "Predicted for the model's part of a step, by phase and what binds.");
    Family<Histogram>& step_measured_ =
        histograms("step_measured_seconds", "Measured of the model's part of a step, by phase and what binds.");
    Histogram& step_error_ =
        histogram("prediction_error_ratio", "Measured against predicted seconds of a step's model part: the difference over the predicted.",
                  buckets_of(kErrorBounds));
    Histogram& first_token_error_ =
        histogram("time_to_first_token_prediction_error_ratio",
                  "Measured against predicted seconds to the first token: the difference over the measured.", buckets_of(kErrorBounds));
    Gauge& bandwidth_ =
        gauge("bandwidth_utilization",
              "Bytes of weights and cache read by steps of the last 10 seconds, over what the memory could have read in their time.");
    Gauge& compute_ = gauge("compute_utilization",
                            "Arithmetic of steps of the last 10 seconds, over what the arithmetic units could have done in their time.");
    Gauge& roof_ =
        gauge("roof_fraction", "Least time that the hardware allows for steps of the last 10 seconds, over the time that they took.");
    Family<Counter>& lost_ = counters("seconds_lost_total", "Seconds above the roof, by cause.");
    Counter& step_seconds_ = counter("step_seconds_total", "Seconds that steps took.");
    Counter& roof_seconds_ = counter("roof_seconds_total", "Least seconds that the hardware allows for the steps taken.");
    Counter& steps_ = counter("steps_total", "Steps that computed something.");
    Counter& recomputed_ = counter("recomputed_tokens_total", "Tokens computed again after a preemption.");
    Counter& recomputed_seconds_ =
        counter("recomputed_seconds_total", "Of the steps' seconds, those of tokens computed again after a preemption.");
    Family<Counter>& missed_ = counters("prefix_cache_missed_tokens_total", "Prompt tokens that the prefix cache did not have, by why.");
    Gauge& queued_seconds_ = gauge("queued_seconds", "Predicted seconds until all that runs and waits has ended.");
    Family<Gauge>& blocks_ =
        prometheus::BuildGauge().Name(name("kv_cache_blocks")).Help("Blocks of the KV cache, by use.").Labels(model_).Register(registry_);
    Gauge& blocks_used_ = blocks_.Add({{"state", "used"}});
    Gauge& blocks_kept_ = blocks_.Add({{"state", "kept"}});
    Gauge& blocks_free_ = blocks_.Add({{"state", "free"}});

    // ---- ours: HTTP and the process

    Family<Counter>& responses_ = counters("http_responses_total", "Requests answered, by status; 499: the client was gone first.");
    Family<Counter>& refusals_ = counters("refusals_total", "Requests refused, by why.");
    Gauge& connections_ = gauge("http_connections", "Open connections.");
    Counter& accepted_connections_ = counter("http_connections_accepted_total", "Connections accepted.");
    Counter& refused_connections_ =
        counter("http_connections_refused_total", "Connections refused: beyond the limit, or without a file descriptor.");
    Counter& bad_requests_ =
        counter("http_bad_requests_total", "Requests answered before they were understood: malformed, too large, too slow.");
    Counter& lost_lines_ = counter("log_lines_lost_total", "Lines of the request log that could not be written.");
    Gauge& build_ = prometheus::BuildGauge()
                        .Name(name("build_info"))
                        .Help("The program's version; always 1.")
                        .Labels(model_)
                        .Register(registry_)
                        .Add({{"version", std::string(version())}});
    Gauge& resident_ = prometheus::BuildGauge().Name("process_resident_memory_bytes").Help("Resident memory.").Register(registry_).Add({});
    Gauge& virtual_ = prometheus::BuildGauge().Name("process_virtual_memory_bytes").Help("Virtual memory.").Register(registry_).Add({});
    Counter& cpu_ =
        prometheus::BuildCounter().Name("process_cpu_seconds_total").Help("CPU seconds of all threads.").Register(registry_).Add({});
    Gauge& open_files_ = prometheus::BuildGauge().Name("process_open_fds").Help("Open file descriptors.").Register(registry_).Add({});
    Gauge& max_files_ =
        prometheus::BuildGauge().Name("process_max_fds").Help("File descriptors that may be open.").Register(registry_).Add({});
    Gauge& started_ = prometheus::BuildGauge()
                          .Name("process_start_time_seconds")
                          .Help("When the process started, since 1970.")
                          .Register(registry_)
                          .Add({});

  private:
    void take_over_engine(const Now& now);
    void take_over_steps(const Now& now);
    void take_over_http(const HttpCounters& http);
    void take_over_process();
    [[nodiscard]] std::string finish_name(const std::string& reason) const;

    StepHistograms seen_;
};

// vLLM knows "stop", "length" and "abort".
std::string Metrics::State::finish_name(const std::string& reason) const {
    return as_vllm() && (reason == "cancelled" || reason == "timeout") ? "abort" : reason;
}

void Metrics::State::add_request(const RequestRecord& record) {
    responses_.Add({{"status", std::to_string(record.status)}}).Increment();
    if (!record.computed) return;
    const engine::RequestTimes& times = record.times;
    prompt_tokens_.Increment(times.n_prompt);
    latency_.Observe(record.seconds);
    queue_time_.Observe(times.queue_seconds);
    prefill_time_.Observe(times.prefill_seconds);
    decode_time_.Observe(times.decode_seconds);
    inference_time_.Observe(times.prefill_seconds + times.decode_seconds);
    request_prompt_.Observe(times.n_prompt);
    request_generation_.Observe(times.n_generated);
    if (!record.finish_reason.empty()) success_.Add({{"finished_reason", finish_name(record.finish_reason)}}).Increment();
    const auto measured = record.first_token_seconds, predicted = record.predicted_first_token_seconds;
    if (measured && predicted && *measured > 0.0) first_token_error_.Observe(std::abs(*measured - *predicted) / *measured);
}

void Metrics::State::take_over_engine(const Now& now) {
    const engine::EngineSnapshot& engine = now.engine;
    running_.Set(static_cast<double>(engine.n_running));
    waiting_.Set(static_cast<double>(now.load.n_queued + now.load.n_waiting));
    queued_seconds_.Set(now.load.queued_seconds);
    const engine::CacheUse& cache = engine.cache;
    kv_usage_.Set(cache.n_blocks > 0 ? static_cast<double>(cache.n_used) / cache.n_blocks : 0.0);
    blocks_used_.Set(cache.n_used);
    blocks_kept_.Set(cache.n_kept);
    blocks_free_.Set(static_cast<double>(cache.n_blocks) - cache.n_used - cache.n_kept);
    raise(prefix_queries_, engine.prefix.tokens_asked);
    raise(prefix_hits_, engine.prefix.tokens_found + engine.prefix.tokens_restored);
    // Estimated, of those that the engine only knows to be new.
    const std::uint64_t changed_system = std::min<std::uint64_t>(now.n_changed_system_tokens, engine.prefix.missed_new);
    raise(missed_.Add({{"reason", "new"}}), engine.prefix.missed_new - changed_system);
    raise(missed_.Add({{"reason", "system_changed"}}), changed_system);
    raise(missed_.Add({{"reason", "evicted"}}), engine.prefix.missed_evicted);
    raise(missed_.Add({{"reason", "window"}}), engine.prefix.missed_window);
    raise(preemptions_, engine.scheduler.preemptions);
    const engine::SpeculationCounters& speculation = engine.speculation;
    raise(drafts_, speculation.n_drafts);
    raise(draft_tokens_, speculation.n_draft_tokens);
    raise(accepted_, speculation.n_accepted_tokens);
    for (std::size_t i = 0; i < speculation.accepted_per_position.size(); ++i) {
        raise(accepted_at_.Add({{"position", std::to_string(i)}}), speculation.accepted_per_position[i]);
    }
}

void Metrics::State::take_over_steps(const Now& now) {
    const StepSums totals = watch_.totals();
    raise(generation_tokens_, totals.n_chosen);
    raise(step_seconds_, totals.step);
    raise(steps_, totals.n_steps);
    raise(recomputed_, totals.n_recomputed);
    raise(recomputed_seconds_, totals.recomputed);
    for (const LostSeconds& loss : losses_of(totals)) raise(lost_.Add({{"cause", std::string(loss.cause)}}), loss.seconds);
    if (watch_.prices() != nullptr) raise(roof_seconds_, totals.roof());
    const StepSums lately = watch_.last(kUtilizationSeconds, now.seconds);
    const double none = std::numeric_limits<double>::quiet_NaN();
    bandwidth_.Set(lately.mbu().value_or(none));
    compute_.Set(lately.mfu().value_or(none));
    roof_.Set(lately.roof_fraction().value_or(none));
    const StepHistograms histograms = watch_.histograms();
    take_over(step_tokens_, seen_.tokens, histograms.tokens);
    take_over(step_error_, seen_.prediction_error, histograms.prediction_error);
    for (std::size_t phase = 0; phase < kStepPhases; ++phase) {
        for (std::size_t bound = 0; bound < kStepBounds; ++bound) {
            const Labels labels = {{"phase", kPhaseNames[phase]}, {"bound", kBoundNames[bound]}};
            const auto add = [&](Family<Histogram>& family, StepHistograms::Seconds& seen, const StepHistograms::Seconds& latest) {
                if (latest.counts == StepHistograms::Seconds{}.counts) return;  // what never was needs no lines
                take_over(family.Add(labels, buckets_of(kStepSecondsBounds)), seen, latest);
            };
            add(step_predicted_, seen_.predicted_seconds[phase][bound], histograms.predicted_seconds[phase][bound]);
            add(step_measured_, seen_.measured_seconds[phase][bound], histograms.measured_seconds[phase][bound]);
        }
    }
}

void Metrics::State::take_over_http(const HttpCounters& http) {
    connections_.Set(static_cast<double>(http.n_connections));
    raise(accepted_connections_, http.n_accepted);
    raise(refused_connections_, http.n_refused);
    raise(bad_requests_, http.n_bad_requests);
}

void Metrics::State::take_over_process() {
    const ProcessUse use = read_process_use();
    resident_.Set(static_cast<double>(use.resident_bytes));
    virtual_.Set(static_cast<double>(use.virtual_bytes));
    raise(cpu_, use.cpu_seconds);
    open_files_.Set(static_cast<double>(use.n_open_files));
    max_files_.Set(static_cast<double>(use.max_open_files));
    started_.Set(use.start_seconds);
    build_.Set(1.0);
}

std::vector<prometheus::MetricFamily> Metrics::State::collect(const Now& now) {
    take_over_engine(now);
    take_over_steps(now);
    if (now.http) {
        take_over_http(*now.http);
        take_over_process();
    }
    return registry_.Collect();
}

Metrics::Metrics(const MetricsOptions& options, const StepWatch& watch) : state_(std::make_unique<State>(options, watch)) {}
Metrics::~Metrics() = default;

void Metrics::add_request(const RequestRecord& record) noexcept {
    try {
        state_->add_request(record);
    } catch (const std::exception&) {  // no memory
    }
}
void Metrics::first_token(double seconds) { state_->first_token_.Observe(seconds); }
void Metrics::between_tokens(double seconds) {
    state_->between_tokens_.Observe(seconds);
    state_->per_output_token_.Observe(seconds);
}
void Metrics::refused(std::string_view reason) noexcept {
    try {
        state_->refusals_.Add({{"reason", std::string(reason)}}).Increment();
    } catch (const std::exception&) {  // no memory
    }
}
void Metrics::lost_log_lines(std::uint64_t total) { raise(state_->lost_lines_, total); }
std::string Metrics::text(std::span<const Page> pages) {
    std::vector<prometheus::MetricFamily> all;
    std::map<std::string, std::size_t> index;  // of all, by name
    for (const Page& page : pages) {
        for (prometheus::MetricFamily& family : page.metrics.state_->collect(page.now)) {
            const auto [at, is_new] = index.emplace(family.name, all.size());
            if (is_new) {
                all.push_back(std::move(family));
            } else {
                std::ranges::move(family.metric, std::back_inserter(all[at->second].metric));
            }
        }
    }
    return prometheus::TextSerializer().Serialize(all);
}

}  // namespace rafter::server
