// Phases, curves and the summary of a scenario.
#include "roofline/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "report/units.h"
#include "roofline/what_if.h"

namespace rafter::roofline {
namespace {

constexpr double kChunkTokens = 2048.0;  // a prefill step at most, as servers cut prompts
constexpr double kLargestBatch = 65536.0;

double cached_tokens(const Load& load) {
    // The last token of a prompt is always computed: its logits are wanted.
    return std::min(std::floor(load.prefix_hit * load.n_prompt), std::max(0.0, load.n_prompt - 1));
}

MemoryQuestion memory_question(const Scenario& s) {
    const Load& load = s.load;
    double most = load.n_max_context;
    if (most <= 0) most = s.model->n_context > 0 ? s.model->n_context : load.n_context;
    return {.n_sequences = load.n_batch,
            .n_context = load.n_context,
            .n_max_context = std::max(most, load.n_context),
            .block_size = load.block_size,
            .chunk_tokens = std::min(load.step_tokens.value_or(kChunkTokens), load.n_prompt * load.n_prefill_batch),
            .memory_fraction = load.memory_fraction,
            .follows_engine = load.follows_engine,
            .step_tokens = load.step_tokens,
            .max_sequences = load.max_sequences,
            .reserved_bytes = load.reserved_bytes};
}

// Curves and what-ifs ask hundreds of times whether it fits, and never how it would.
MemoryFit fit_of(const Scenario& s) {
    MemoryQuestion question = memory_question(s);
    question.with_remedies = false;
    return fit_memory(s.list(), s.setup, question);
}

// Of the batch, those that the cache has room for with all of their answer, where the rest waits for them; all where none has room. Engines
// start no sequence that they might have to stop (TensorRT-LLM's GUARANTEED_NO_EVICT), or stop and compute some of them again.
double running_sequences(const Scenario& s) {
    if (!s.setup.efficiency.queues_for_memory) return s.load.n_batch;
    Scenario full = s;
    full.load.n_context = std::max(s.load.n_context, s.load.n_prompt + s.load.n_output);
    const double n_fit = std::floor(fit_of(full).paged.max_sequences);
    return n_fit >= 1 ? std::min(s.load.n_batch, n_fit) : s.load.n_batch;
}

double decode_seconds(const Scenario& s, double n_batch) {
    Scenario at = s;
    at.load.n_batch = n_batch;
    return price_decode(at, Detail::kTotals).price.seconds;
}

std::optional<double> price_of_all(const Scenario& s) {
    const auto& price = s.price_per_hour ? s.price_per_hour : s.setup.hardware.price_per_hour;
    if (!price) return std::nullopt;
    return *price * s.setup.parallel.devices();
}

std::vector<BatchPoint> batch_curve(const Scenario& s, double last) {
    std::vector<BatchPoint> curve;
    for (double n = 1; n <= last; n *= 2) {
        Scenario at = s;
        at.load.n_batch = n;
        at.speculation.n_sequences = n;
        at.speculation.gamma = 0;
        const Speculation spec = speculate(at.list(), at.setup, at.speculation);
        BatchPoint point{.n_batch = n, .summary = summarize(at), .best_gamma = spec.best_gamma, .speculation_speedup = spec.best_speedup};
        // The same γ for both, the free one's where the roofline says that none pays.
        const double gamma = spec.best_gamma > 0 ? spec.best_gamma : spec.best_gamma_free_verification;
        if (gamma > 0) point.speedup_free_verification = speculative_speedup(spec.alpha, gamma, spec.c, 1.0);
        curve.push_back(point);
    }
    return curve;
}

std::vector<ContextPoint> context_curve(const Scenario& s) {
    std::vector<ContextPoint> curve;
    const double longest = std::max({s.model->n_context, s.load.n_context, 4096.0});
    std::vector<double> contexts;
    for (double n = 128; n < longest && contexts.size() < 40; n *= 2) contexts.push_back(n);
    contexts.push_back(longest);
    contexts.push_back(s.load.n_context);
    std::ranges::sort(contexts);
    contexts.erase(std::unique(contexts.begin(), contexts.end()), contexts.end());
    for (const double n : contexts) {
        Scenario at = s;
        at.load.n_context = n;
        const Phase decode = price_decode(at, Detail::kTotals);
        ContextPoint point{.n_context = n, .summary = summarize(at)};
        point.kv_share = decode.price.seconds > 0 ? std::min(1.0, decode.price.kv_seconds / decode.price.seconds) : 0.0;
        point.max_sequences = fit_of(at).paged.max_sequences;
        curve.push_back(point);
    }
    return curve;
}

// The first batch, doubling, at which the step is no longer bound by memory.
std::optional<double> first_compute_bound(const Scenario& s) {
    for (double n = 1; n <= kLargestBatch; n *= 2) {
        Scenario at = s;
        at.load.n_batch = n;
        if (price_decode(at, Detail::kTotals).price.bound == Bound::kCompute) return n;
    }
    return std::nullopt;
}

void check_promises(const Scenario& s, Plan& plan) {
    if (!s.slo_ttft_s && !s.slo_itl_s) return;
    const auto meets = [&](double n) {
        Scenario at = s;
        at.load.n_batch = n;
        const Summary summary = summarize(at);
        return summary.fits && summary.itl_s <= s.slo_itl_s.value_or(INFINITY) && summary.ttft_s <= s.slo_ttft_s.value_or(INFINITY);
    };
    plan.slo_met = meets(s.load.n_batch);
    double most = 0;  // of doublings, then of the numbers between
    for (double n = 1; n <= kLargestBatch && meets(n); n *= 2) most = n;
    if (most == 0) return;
    for (double step = most / 2; step >= 1; step /= 2) {
        if (meets(most + step)) most += step;
    }
    plan.slo_batch = most;
}

void add_notes(const Scenario& s, Plan& plan) {
    plan.notes = s.model->notes;
    const hardware::Hardware& h = s.setup.hardware;
    const Parallel& p = s.setup.parallel;
    std::vector<std::string> said;
    for (const PricedOp& op : plan.decode.price.ops) {
        if (op.cost.flops <= 0) continue;
        const auto peak = hardware::peak_for(h, op.precision);
        const bool same_width = (peak && ((peak->precision == hardware::Precision::kFp16 && op.precision == hardware::Precision::kBf16) ||
                                          (peak->precision == hardware::Precision::kBf16 && op.precision == hardware::Precision::kFp16)));
        if (!peak || peak->precision == op.precision || same_width) continue;
        const std::string note = fmt::format("{} has no {} rate: its {} rate is used instead", h.name, hardware::to_string(op.precision),
                                             hardware::to_string(peak->precision));
        if (std::ranges::find(plan.notes, note) == plan.notes.end()) plan.notes.push_back(note);
    }
    if (p.devices() > 1 && !h.link_bandwidth_bytes_per_s && !h.link_latency_s) {
        plan.notes.push_back(fmt::format("{} has no link in its description: communication costs nothing here", h.name));
    } else if (p.devices() > 1 && !h.link_latency_s) {
        plan.notes.push_back(fmt::format("{} has no link latency in its description: messages cost their bytes only", h.name));
    }
    if (!h.on_chip_bytes && s.setup.fused) {
        plan.notes.push_back(fmt::format(
            "{} does not say how large its last-level cache is: {:.0f} MiB are assumed, where activations between fused ops stay", h.name,
            kAssumedOnChipBytes / 1024 / 1024));
    }
    if (head_imbalance(s.list().program.config, p.tp) > 1) {
        plan.notes.push_back(fmt::format("{} heads do not divide by tp={:.0f}: all devices wait for the one with the most heads",
                                         s.list().program.config.n_heads, p.tp));
    }
    if (const double n_running = running_sequences(s); n_running < s.load.n_batch) {
        plan.notes.push_back(fmt::format(
            "only {} of the {} sequences fit at a time with their whole answers: throughput is counted with these, and the others wait",
            report::whole(n_running), report::whole(s.load.n_batch)));
    }
    const auto idle = [&](double n_sequences, const char* what) {
        const double n_idle = p.ep - std::min(p.ep, n_sequences / p.pp);
        if (n_idle < 1) return;
        plan.notes.push_back(fmt::format("{} of {} expert-parallel groups have no sequence in {}: their devices only compute their experts",
                                         report::whole(std::floor(n_idle)), report::whole(p.ep), what));
    };
    idle(s.load.n_prefill_batch, "the prefill (--prefill-batch)");
    idle(s.load.n_batch, "a decode step (--batch)");
    if (s.model->n_context > 0 && s.load.n_context > s.model->n_context) {
        plan.notes.push_back(fmt::format("the model was trained for {} positions, the plan is for {}", report::whole(s.model->n_context),
                                         report::whole(s.load.n_context)));
    }
}

}  // namespace

Phase price_prefill(const Scenario& s, Detail detail) {
    const double cached = cached_tokens(s.load);
    Phase phase{.n_new = s.load.n_prompt - cached, .n_past = cached, .n_sequences = s.load.n_prefill_batch};
    Setup setup = s.setup;
    // One prompt's way through the stages of pp is the whole way.
    phase.price = price_step(s.list(), setup, prefill_step(s.load.n_prefill_batch, s.load.n_prompt, cached), detail);
    if (phase.price.seconds > 0) phase.tokens_per_second = phase.n_sequences * s.load.n_prompt / phase.price.seconds;
    return phase;
}

Phase price_decode(const Scenario& s, Detail detail) {
    Phase phase{.n_new = 1, .n_past = std::max(0.0, s.load.n_context - 1), .n_sequences = s.load.n_batch};
    phase.price = price_step(s.list(), s.setup, decode_step(s.load.n_batch, s.load.n_context), detail);
    if (phase.price.seconds > 0) phase.tokens_per_second = s.load.n_batch / phase.price.seconds;
    return phase;
}

MemoryFit price_memory(const Scenario& s) { return fit_memory(s.list(), s.setup, memory_question(s)); }

Summary summarize(const Scenario& s) {
    const Phase prefill = price_prefill(s, Detail::kTotals);
    const Phase decode = price_decode(s, Detail::kTotals);
    const MemoryFit memory = fit_of(s);
    const double n_running = running_sequences(s);
    const Request request{.n_output = s.load.n_output,
                          .prefill_seconds = prefill.price.seconds / s.load.n_prefill_batch,
                          .step_seconds = n_running < s.load.n_batch ? decode_seconds(s, n_running) : decode.price.seconds,
                          .n_batch = n_running};
    Summary summary{.tokens_per_second = decode.tokens_per_second,
                    .served_tokens_per_second = served_tokens_per_second(request),
                    .ttft_s = prefill.price.seconds,
                    .itl_s = decode.price.seconds,
                    .memory_bytes = memory.weights_bytes + memory.kv_bytes + memory.workspace_bytes,
                    .fits = memory.fits,
                    .mbu = decode.price.mbu,
                    .mfu = decode.price.mfu,
                    .bound = decode.price.bound};
    const Cost cost =
        cost_of_tokens(price_of_all(s), decode.tokens_per_second, prefill.tokens_per_second, summary.served_tokens_per_second);
    summary.cost_per_million_tokens = cost.per_million_tokens_with_prefill;
    return summary;
}

double ridge_intensity(const Scenario& s) {
    // Of the type that most of the weights have.
    std::map<double, double> elements;
    for (const CountedWeight& w : s.list().weights) {
        const double n = double{1} * w.weight.n_experts * w.weight.n_rows * w.weight.n_cols * w.count;
        if (w.multiplied) elements[weight_bits(w, s.setup.types.cost_options())] += n;
    }
    const auto most = std::ranges::max_element(elements, {}, [](const auto& type) { return type.second; });
    const double bits = most == elements.end() ? 0.0 : most->first;
    const auto peak = hardware::peak_for(s.setup.hardware, multiply_precision(bits, s.setup.types.activations));
    const double flop_per_s = peak ? peak->flop_per_s * s.setup.efficiency.flop_fraction : 0.0;
    return flop_per_s / (s.setup.hardware.memory_bandwidth_bytes_per_s * s.setup.efficiency.bandwidth_fraction);
}

double ridge_batch_tokens(const Scenario& s) {
    double bytes = 0.0;
    double elements = 0.0;
    for (const CountedWeight& w : s.list().weights) {
        const bool matrix = w.weight.kind == model::WeightKind::kMatrix || w.weight.kind == model::WeightKind::kExperts;
        if (!matrix && !w.multiplied) continue;
        const double n = double{1} * w.weight.n_experts * w.weight.n_rows * w.weight.n_cols * w.count;
        elements += n;
        bytes += n * weight_bits(w, s.setup.types.cost_options()) / 8;
    }
    const model::MoeConfig& moe = s.list().program.config.moe;
    const double experts = moe.n_experts > 0 ? double{1} * moe.n_experts / moe.n_experts_used : 1.0;
    return elements > 0 ? ridge_intensity(s) * bytes / elements / 2 * experts : 0.0;
}

Plan make_plan(const Scenario& s) {
    Plan plan;
    const PricedList& list = s.list();
    const NumberTypes& types = s.setup.types;
    plan.parameters = parameters(list);
    plan.active_parameters = active_parameters(list);
    plan.weight_bytes = weight_bytes(list, types.cost_options());
    plan.active_without_embedding = active_without_embedding(list);
    plan.kv_bytes_per_token = kv_bytes_per_token(list, types.kv);
    plan.growing_kv_bytes_per_token = growing_kv_bytes_per_token(list, types.kv);
    plan.state_bytes_per_sequence = state_bytes_per_sequence(list);
    plan.weight_flops_per_token = weight_flops_per_token(list);
    plan.ridge_batch_tokens = ridge_batch_tokens(s);
    plan.ridge_intensity = ridge_intensity(s);
    plan.prefill = price_prefill(s, Detail::kOps);
    plan.decode = price_decode(s, Detail::kOps);
    plan.memory = price_memory(s);
    plan.summary = summarize(s);
    plan.cost = cost_of_tokens(price_of_all(s), plan.decode.tokens_per_second, plan.prefill.tokens_per_second,
                               plan.summary.served_tokens_per_second);
    SpeculationQuestion question = s.speculation;
    question.n_sequences = s.load.n_batch;
    question.n_context = s.load.n_context;
    plan.speculation = speculate(list, s.setup, question);
    plan.compute_bound_from_batch = first_compute_bound(s);
    const double fits = plan.memory.paged.max_sequences;
    if (fits < 1e15) plan.memory_runs_out_at_batch = fits + 1;
    Scenario curve = s;
    curve.speculation = question;
    const double last = std::max({s.load.n_batch * 4, 256.0, 2 * std::min(fits, 2048.0), 2 * plan.compute_bound_from_batch.value_or(0)});
    plan.batch_curve = batch_curve(curve, std::min(last, std::max(kLargestBatch, s.load.n_batch)));
    plan.context_curve = context_curve(s);
    check_promises(s, plan);
    plan.what_ifs = what_ifs(s, plan.summary, plan.speculation);
    add_notes(s, plan);
    return plan;
}

}  // namespace rafter::roofline
