// A change to steps is priced as a step is and then scaled by the part of the time that the model takes; tokens that need not be computed
// are worth what a prompt's tokens cost.
#include "server/observe/suggestions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/units.h"
#include "roofline/speculation.h"

namespace rafter::server {
namespace {

constexpr double kWorthwhile = 1.02;
constexpr std::size_t kMaxSuggestions = 3;
constexpr double kMinDecodeSteps = 8.0;
constexpr double kMoreSequences = 4.0;
constexpr double kAssumedAcceptance = 0.6;
constexpr std::uint32_t kAssumedDrafts = 3;
constexpr double kMinTokenPart = 0.05;  // of the prompts' tokens, where seconds are not known
constexpr double kMaxSavedPart = 0.9;   // of the steps' time: what is left is never nothing

// What the engine did in steps of answers alone, on average.
struct Decoding {
    std::uint32_t n_sequences = 0;
    std::uint32_t n_past = 0;
    double model_part = 1.0;  // of such a step's time; the rest grows with the sequences
    double part = 0.0;        // of all steps' time
};

std::uint32_t rounded(double n) { return static_cast<std::uint32_t>(std::lround(std::max(0.0, n))); }

// None where there were too few such steps to speak of.
std::optional<Decoding> decoding_of(const StepSums& sums) {
    if (sums.n_decode_steps < kMinDecodeSteps || sums.n_decoding <= 0.0 || sums.decode <= 0.0) return std::nullopt;
    return Decoding{.n_sequences = std::max(1U, rounded(sums.n_decoding / sums.n_decode_steps)),
                    .n_past = rounded(sums.decode_past_tokens / sums.n_decoding),
                    .model_part = std::clamp(sums.decode_forward / sums.decode, 0.0, 1.0),
                    .part = std::clamp(sums.decode / sums.step, 0.0, 1.0)};
}

// Of everything, where answers alone come so many times as fast.
double gain_of_all(const Decoding& now, double decode_gain) { return 1.0 / (1.0 - now.part + now.part / decode_gain); }

double step_seconds(const engine::StepCost& cost, std::uint32_t n_sequences, std::uint32_t n_new, std::uint32_t n_past) {
    engine::StepCost::Sum sum;
    for (std::uint32_t i = 0; i < n_sequences; ++i) cost.add(sum, {.n_new = n_new, .n_past = n_past, .n_outputs = n_new});
    return cost.seconds(sum);
}

void suggest_concurrency(const ExplainInput& input, const Decoding& now, std::vector<Suggestion>& found) {
    const engine::CacheUse& cache = input.engine.cache;
    const engine::StepCost& cost = input.scheduler.cost;
    const double in_cache = static_cast<double>(cache.n_blocks) * input.scheduler.block_size / (now.n_past + 1.0);
    const double more = std::floor(std::min(kMoreSequences * now.n_sequences, in_cache));
    const double factor = more / now.n_sequences;
    const double before = step_seconds(cost, now.n_sequences, 1, now.n_past);
    if (factor < 1.5 || more > input.scheduler.limits.n_tokens || before <= 0.0) return;
    const double longer = step_seconds(cost, rounded(more), 1, now.n_past) / before;
    const double gain = factor / (now.model_part * longer + (1.0 - now.model_part) * factor);
    const std::uint64_t n_queued = input.load.n_queued + input.load.n_waiting;
    const std::uint32_t limit = input.scheduler.n_sequences;
    std::string what;
    if (more <= limit || n_queued == 0) {
        what = fmt::format("Send more requests at once: {} together in place of {}", report::whole(more), now.n_sequences);
        if (more > limit) what += fmt::format(", with --batch {}", report::whole(more));
    } else {
        what = fmt::format("Let more sequences run together: --batch {} in place of {}", report::whole(more), limit);
    }
    found.push_back({.what = std::move(what),
                     .gain = gain_of_all(now, gain),
                     .remark = fmt::format("each answer then comes at {} of its speed", report::percent(gain / factor))});
}

void suggest_speculation(const ExplainInput& input, const Decoding& now, std::vector<Suggestion>& found) {
    if (input.scheduler.speculation.drafter != nullptr) return;
    const engine::StepCost& cost = input.scheduler.cost;
    const double before = step_seconds(cost, now.n_sequences, 1, now.n_past);
    if (before <= 0.0 || now.n_sequences * (1 + kAssumedDrafts) > input.scheduler.limits.n_tokens) return;
    const double verify = step_seconds(cost, now.n_sequences, 1 + kAssumedDrafts, now.n_past) / before;
    const double tokens = roofline::expected_tokens(kAssumedAcceptance, kAssumedDrafts);
    found.push_back(
        {.what = fmt::format("Draft tokens: --speculate ngram, {} a step", kAssumedDrafts),
         .gain = tokens / (now.model_part * verify + (1.0 - now.model_part) * tokens),
         .remark = fmt::format("if {} of them are right, as in answers that repeat parts of their prompts; that is assumed, not measured",
                               report::percent(kAssumedAcceptance))});
}

// Prompt tokens that need not be computed.
void suggest_tokens(const ExplainInput& input, const StepSums& sums, double n_tokens, double seconds_on_top, std::string what,
                    std::vector<Suggestion>& found) {
    n_tokens = std::max(0.0, n_tokens);
    const engine::StepCost& cost = input.scheduler.cost;
    if (!cost.known()) {
        if (sums.prefix_asked <= 0.0 || n_tokens < kMinTokenPart * sums.prefix_asked) return;
        found.push_back({.what = std::move(what),
                         .gain = 1.0,
                         .remark = fmt::format("{} of {} prompt tokens of the minute; seconds are not known without a machine profile",
                                               report::whole(n_tokens), report::whole(sums.prefix_asked))});
        return;
    }
    const std::uint32_t chunk = std::max(1U, input.scheduler.limits.n_tokens);
    const double token_seconds = cost.prefill_seconds(chunk, 0) / chunk;
    const double saved = std::min(kMaxSavedPart * sums.step, n_tokens * token_seconds + seconds_on_top);
    found.push_back({.what = std::move(what),
                     .gain = sums.step / (sums.step - saved),
                     .remark = fmt::format("saves {} of the minute's steps{}", report::seconds(saved),
                                           n_tokens > 0.0 ? fmt::format(": {} prompt tokens", report::whole(n_tokens)) : "")});
}

}  // namespace

std::vector<Suggestion> suggestions_for(const ExplainInput& input, const StepSums& sums, const PrefixFindings& prefixes) {
    std::vector<Suggestion> found;
    if (sums.step <= 0.0) return found;
    if (const auto now = decoding_of(sums); now && input.scheduler.cost.known()) {
        suggest_concurrency(input, *now, found);
        suggest_speculation(input, *now, found);
    }
    const double n_missed = std::max(0.0, sums.prefix_missed_new);
    suggest_tokens(input, sums, sums.prefix_missed_evicted, sums.recomputed,
                   "A larger KV cache (--kv-memory), or fewer sequences together: blocks were evicted, or answers preempted", found);
    if (prefixes.n_changed_system > 0) {
        suggest_tokens(input, sums, std::min(n_missed, static_cast<double>(prefixes.n_changed_system_tokens)), 0.0,
                       fmt::format("Move the line that changes with each request (at about token {}) out of the system prompt, into the "
                                   "last message",
                                   report::grouped(prefixes.changed_system_at)),
                       found);
    }
    if (prefixes.n_changed_early > 0) {
        suggest_tokens(input, sums, std::min(n_missed, static_cast<double>(prefixes.n_changed_tokens)), 0.0,
                       fmt::format("Move what changes with each request (at about token {} of the prompts) to their end",
                                   report::grouped(prefixes.changed_at)),
                       found);
    }
    if (prefixes.n_other_salt > 0) {
        suggest_tokens(input, sums, std::min(n_missed, static_cast<double>(prefixes.n_other_salt_tokens)), 0.0,
                       "Let keys that send the same prompts share the cache: cache=GROUP in the file of keys, or one cache_salt", found);
    }
    const bool priced = input.scheduler.cost.known();
    std::erase_if(found, [&](const Suggestion& one) { return priced && one.gain < kWorthwhile; });
    std::ranges::stable_sort(found, std::greater<>(), &Suggestion::gain);
    if (found.size() > kMaxSuggestions) found.resize(kMaxSuggestions);
    return found;
}

}  // namespace rafter::server
