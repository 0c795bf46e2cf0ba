// Latencies come first, then what the engine and the machine did.
#include "planning/workload_report.h"

#include "report/table.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

using nlohmann::ordered_json;

ordered_json quantiles_json(const LogHistogram& times) {
    return {{"mean", times.mean()},
            {"p50", times.quantile(0.5)},
            {"p90", times.quantile(0.9)},
            {"p99", times.quantile(0.99)},
            {"most", times.most()}};
}

std::string ratio(double part, double whole) { return whole > 0.0 ? report::percent(part / whole) : "-"; }

}  // namespace

std::optional<Utilization> utilization(const engine::WorkloadReport& report, const std::optional<MachinePeaks>& peaks) {
    if (!peaks || report.forward_seconds <= 0.0 || report.work.flops <= 0.0) return std::nullopt;
    return Utilization{.mbu = report.work.read_bytes() / report.forward_seconds / peaks->bytes_per_s,
                       .mfu = report.work.flops / report.forward_seconds / peaks->flop_per_s};
}

ordered_json workload_json(const engine::WorkloadReport& r, const engine::SchedulerOptions& options,
                           const std::optional<MachinePeaks>& peaks) {
    const kv::BlockCacheCounters& cache = r.cache;
    ordered_json json{{"requests", r.n_requests},
                      {"failed", r.n_failed},
                      {"most_in_flight", r.most_in_flight},
                      {"prompt_tokens", r.prompt_tokens},
                      {"generated_tokens", r.generated_tokens},
                      {"seconds", r.seconds},
                      {"tokens_per_second", r.tokens_per_second()},
                      {"requests_per_second", r.seconds > 0.0 ? static_cast<double>(r.n_requests) / r.seconds : 0.0},
                      {"ttft_seconds", quantiles_json(r.ttft_seconds)},
                      {"itl_seconds", quantiles_json(r.itl_seconds)},
                      {"request_seconds", quantiles_json(r.request_seconds)},
                      {"target_itl_seconds", options.target_itl_seconds},
                      {"steps", r.n_steps},
                      {"step_seconds", r.step_seconds},
                      {"forward_seconds", r.forward_seconds},
                      {"predicted_seconds", r.predicted_seconds},
                      {"priced_seconds", r.priced_seconds},
                      {"kv",
                       {{"block_size", options.block_size},
                        {"blocks", r.most_used.n_blocks},
                        {"most_used_blocks", r.most_used.n_used},
                        {"mean_wasted_positions", r.mean_wasted},
                        {"mean_wasted_positions_if_contiguous", r.mean_contiguous}}},
                      {"prefix_cache",
                       {{"tokens_asked", cache.tokens_asked},
                        {"tokens_found", cache.tokens_found},
                        {"tokens_restored", cache.tokens_restored},
                        {"tokens_missed", {{"new", cache.missed_new}, {"evicted", cache.missed_evicted}, {"window", cache.missed_window}}},
                        {"blocks_copied", cache.blocks_copied},
                        {"blocks_merged", cache.blocks_merged},
                        {"blocks_evicted", cache.blocks_evicted},
                        {"evicted_seconds", cache.evicted_seconds},
                        {"waited_for_prefix", r.scheduler.waited_for_prefix}}},
                      {"preemptions", r.scheduler.preemptions},
                      {"recomputed_seconds", r.scheduler.recomputed_seconds},
                      {"tokens_hash", fmt::format("{:016x}", r.tokens_hash)}};
    if (const auto used = utilization(r, peaks)) {
        json["mbu"] = used->mbu;
        json["mfu"] = used->mfu;
        json["arithmetic"] = peaks->arithmetic;
    }
    return json;
}

std::string workload_text(const engine::WorkloadReport& r, const engine::SchedulerOptions& options,
                          const std::optional<MachinePeaks>& peaks, const report::Style& style) {
    using report::Align;
    report::Table table({{"", Align::kLeft},
                         {"mean", Align::kRight},
                         {"median", Align::kRight},
                         {"90%", Align::kRight},
                         {"99%", Align::kRight},
                         {"slowest", Align::kRight}});
    const auto add = [&](const char* name, const LogHistogram& times) {
        table.add({name, report::duration(times.mean()), report::duration(times.quantile(0.5)), report::duration(times.quantile(0.9)),
                   report::duration(times.quantile(0.99)), report::duration(times.most())});
    };
    add("to the first token", r.ttft_seconds);
    add("between two tokens", r.itl_seconds);
    add("to the last token", r.request_seconds);

    const kv::BlockCacheCounters& cache = r.cache;
    const auto asked = static_cast<double>(cache.tokens_asked);
    report::Facts facts;
    facts.add("requests",
              fmt::format("{} in {}, at most {} at once{}", report::grouped(r.n_requests), report::seconds(r.seconds),
                          report::grouped(r.most_in_flight), r.n_failed > 0 ? style.warning(fmt::format(", {} failed", r.n_failed)) : ""));
    facts.add("tokens", fmt::format("{} of prompts, {} generated: {} tok/s", report::grouped(r.prompt_tokens),
                                    report::grouped(r.generated_tokens), style.bold(report::rate(r.tokens_per_second()))));
    facts.add("prefix cache",
              fmt::format("{} of the prompts' tokens were cache hits{}; misses: {} new, {} evicted, {} beyond a window",
                          ratio(static_cast<double>(cache.tokens_found), asked),
                          cache.tokens_restored > 0
                              ? fmt::format(", {} restored from disk", ratio(static_cast<double>(cache.tokens_restored), asked))
                              : "",
                          ratio(static_cast<double>(cache.missed_new), asked), ratio(static_cast<double>(cache.missed_evicted), asked),
                          ratio(static_cast<double>(cache.missed_window), asked)));
    facts.add("KV blocks",
              fmt::format("at most {} of {} in use; {:.1f} unused positions per sequence, {} if each sequence reserved its whole context",
                          report::grouped(r.most_used.n_used), report::grouped(r.most_used.n_blocks), r.mean_wasted,
                          report::whole(r.mean_contiguous)));
    facts.add("preemptions", r.scheduler.preemptions == 0
                                 ? "none"
                                 : fmt::format("{}, {} of work recomputed", report::grouped(r.scheduler.preemptions),
                                               report::seconds(r.scheduler.recomputed_seconds)));
    facts.add("steps", fmt::format("{}; {} of their time outside the model{}", report::grouped(r.n_steps),
                                   ratio(r.step_seconds - r.forward_seconds, r.step_seconds),
                                   r.predicted_seconds > 0.0 ? fmt::format("; the model took {} of the predicted time",
                                                                           ratio(r.forward_seconds, r.predicted_seconds))
                                                             : ""));
    if (const auto used = utilization(r, peaks)) {
        facts.add("used", fmt::format("{} of {} read from memory (MBU), {} of the {} roof of {}FLOP/s (MFU)", ratio(used->mbu, 1.0),
                                      report::bytes_per_second(peaks->bytes_per_s), ratio(used->mfu, 1.0), peaks->arithmetic,
                                      report::count(peaks->flop_per_s)));
    }
    if (options.target_itl_seconds > 0.0)
        facts.add("target", fmt::format("{} between two tokens", report::duration(options.target_itl_seconds)));
    return table.render(style) + "\n" + facts.render(style);
}

}  // namespace rafter::planning
