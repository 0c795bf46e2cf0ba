// What the cuts leave of the tokens runs a race: each has an exponentially distributed time of its own, divided by its weight, and the
// smallest wins with the probability that its weight has in the total. No total is needed, and a token's time depends neither on which
// others run nor on its place among them, so a draft model's draws with the same noise tend to be the same.
#include "engine/sampling/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace rafter::engine {
namespace {

using Candidate = SamplerScratch::Candidate;

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

bool likelier(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.token < b.token; }
bool less_likely(const Candidate& a, const Candidate& b) { return likelier(b, a); }  // as the heap wants it: its top is the likeliest

// exp((logit - max) / temperature); 0 for -inf and NaN.
struct Weight {
    double max;
    double temperature;
    double operator()(float logit) const { return logit > kMinusInfinity ? std::exp(log(logit)) : 0.0; }
    double log(float logit) const { return (static_cast<double>(logit) - max) / temperature; }
};

class Race {
  public:
    Race(const Weight& weight, const TokenNoise& noise) : weight_(weight), noise_(noise) {}

    // upper: the token's, of noise.
    void enter(TokenId token, float logit, std::uint32_t upper) {
        // exp(y) >= (1 + y / 16)^16, and the exponential time is at least the uniform number that it is made of: nearly all tokens are seen
        // to lose without exp() or log(). The margin is far above the rounding of either side.
        double slowness = 1.0 - weight_.log(logit) / 16.0;
        for (int i = 0; i < 4; ++i) slowness *= slowness;
        if (upper * 0x1p-32 * slowness > best_time_ * (1.0 + 1e-9)) return;
        const double w = weight_(logit);
        if (w == 0.0) return;
        const double time = noise_.exponential(static_cast<std::uint32_t>(token)) / w;
        if (time > best_time_ || (time == best_time_ && token > winner_)) return;
        best_time_ = time;
        winner_ = token;
    }
    void enter(TokenId token, float logit) {
        const auto id = static_cast<std::uint32_t>(token);
        enter(token, logit, noise_.upper(id / 4)[id % 4]);
    }
    // At least one token of some weight has entered.
    [[nodiscard]] TokenId winner() const { return winner_; }

  private:
    const Weight& weight_;
    const TokenNoise& noise_;
    double best_time_ = std::numeric_limits<double>::infinity();
    TokenId winner_ = std::numeric_limits<TokenId>::max();
};

// likely: any of the tokens; the likelier, the sooner others are seen to lose.
TokenId draw_of_all(std::span<const float> logits, const Weight& weight, const TokenNoise& noise, TokenId likely) {
    Race race(weight, noise);
    race.enter(likely, logits[static_cast<std::size_t>(likely)]);
    for (std::size_t i = 0; i < logits.size(); i += 4) {
        const auto upper = noise.upper(static_cast<std::uint32_t>(i / 4));
        const std::size_t n = std::min<std::size_t>(4, logits.size() - i);
        for (std::size_t j = 0; j < n; ++j) race.enter(static_cast<TokenId>(i + j), logits[i + j], upper[j]);
    }
    return race.winner();
}

// The k likeliest, unordered, as a list of candidates.
void keep_top_k(std::vector<Candidate>& candidates, std::size_t k) {
    if (k >= candidates.size()) return;
    std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(k), candidates.end(), likelier);
    candidates.resize(k);
}

// Leaves in `candidates` what top-k, top-p and min-p leave of the logits, the likeliest first.
void cut_unlikely(std::span<const float> logits, const SamplingOptions& options, const Weight& weight, std::vector<Candidate>& candidates) {
    double total = 0.0;  // of what top-k leaves
    if (options.top_k > 0 && options.top_k < logits.size()) {
        for (std::size_t i = 0; i < logits.size(); ++i) {
            if (logits[i] > kMinusInfinity) candidates.push_back({logits[i], static_cast<TokenId>(i)});
        }
        keep_top_k(candidates, options.top_k);
        std::sort(candidates.begin(), candidates.end(), likelier);
        for (const Candidate& c : candidates) total += weight(c.logit);
    } else {
        for (const float logit : logits) total += weight(logit);
        // All tokens below this together weigh less than what top-p cuts off, so none of them is needed: a large vocabulary is not sorted.
        const double needed = std::max(options.min_p, (1.0 - options.top_p) * total / static_cast<double>(logits.size()));
        for (std::size_t i = 0; i < logits.size(); ++i) {
            const double w = weight(logits[i]);
            if (w > 0.0 && w >= needed) candidates.push_back({logits[i], static_cast<TokenId>(i)});
        }
    }

    // From the likeliest down, until top-p has enough or min-p has no more. The heap sorts only as far as that.
    std::make_heap(candidates.begin(), candidates.end(), less_likely);
    const double wanted = options.top_p * total;
    double kept = 0.0;
    auto end = candidates.end();
    while (end != candidates.begin()) {
        const double w = weight(candidates.front().logit);
        const bool first = end == candidates.end();
        if (!first && (w < options.min_p || kept >= wanted)) break;
        std::pop_heap(candidates.begin(), end, less_likely);
        --end;
        kept += w;
    }
    // The kept ones now stand at the end of the list, the likeliest last.
    candidates.erase(candidates.begin(), end);
    std::reverse(candidates.begin(), candidates.end());
}

// Leaves those whose surprise is nearest to the mean of all candidates' (their entropy), the nearest first. With p = w / total, the
// logarithm of the total falls out of |-log p - entropy|: it is the distance of log w from its mean.
void keep_typical(double typical_p, const Weight& weight, std::vector<Candidate>& candidates) {
    double total = 0.0;
    double sum_of_logs = 0.0;
    for (const Candidate& c : candidates) {
        const double w = weight(c.logit);
        if (w == 0.0) continue;  // its logarithm may be -inf
        total += w;
        sum_of_logs += w * weight.log(c.logit);
    }
    const double mean_log = sum_of_logs / total;
    const auto less_typical = [&](const Candidate& a, const Candidate& b) {
        const double distance_a = std::abs(weight.log(a.logit) - mean_log);
        const double distance_b = std::abs(weight.log(b.logit) - mean_log);
        return distance_a != distance_b ? distance_a > distance_b : likelier(b, a);
    };
    std::make_heap(candidates.begin(), candidates.end(), less_typical);
    double kept = 0.0;
    auto end = candidates.end();
    do {
        kept += weight(candidates.front().logit);
        std::pop_heap(candidates.begin(), end, less_typical);
        --end;
    } while (end != candidates.begin() && kept < typical_p * total);
    candidates.erase(candidates.begin(), end);
    std::reverse(candidates.begin(), candidates.end());
}

TokenId draw_of(const std::vector<Candidate>& candidates, const Weight& weight, const TokenNoise& noise) {
    Race race(weight, noise);
    for (const Candidate& c : candidates) race.enter(c.token, c.logit);
    return race.winner();
}

// The largest that is not NaN; minus infinity if there is none. In lanes, which a compiler can make vectors of.
float largest_of(std::span<const float> values) {
    constexpr std::size_t kLanes = 16;
    std::array<float, kLanes> lanes;
    lanes.fill(kMinusInfinity);
    std::size_t i = 0;
    for (; i + kLanes <= values.size(); i += kLanes) {
        for (std::size_t l = 0; l < kLanes; ++l) lanes[l] = values[i + l] > lanes[l] ? values[i + l] : lanes[l];
    }
    for (; i < values.size(); ++i) lanes[0] = values[i] > lanes[0] ? values[i] : lanes[0];
    return *std::ranges::max_element(lanes);
}

}  // namespace

std::optional<TokenId> argmax(std::span<const float> logits) {
    constexpr std::size_t kBlock = 1024;  // is searched again, the one with the largest
    float best = kMinusInfinity;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < logits.size(); i += kBlock) {
        const float largest = largest_of(logits.subspan(i, std::min(kBlock, logits.size() - i)));
        if (largest > best) {
            best = largest;
            begin = i;
        }
    }
    if (best == kMinusInfinity) return std::nullopt;
    return static_cast<TokenId>(std::ranges::find(logits.subspan(begin), best) - logits.begin());
}

std::optional<TokenId> draw(std::span<const float> logits, const SamplingOptions& options, const TokenNoise& noise,
                            SamplerScratch& scratch) {
    const auto best = argmax(logits);
    if (!best) return std::nullopt;
    const float max = logits[static_cast<std::size_t>(*best)];
    if (std::isinf(max)) return std::nullopt;
    const Weight weight{max, options.temperature};
    const bool cut = (options.top_k > 0 && options.top_k < logits.size()) || options.top_p < 1.0 || options.min_p > 0.0;
    if (!cut && options.typical_p >= 1.0) return draw_of_all(logits, weight, noise, *best);

    std::vector<Candidate>& candidates = scratch.candidates;
    candidates.clear();
    if (cut) {
        cut_unlikely(logits, options, weight, candidates);
    } else {
        for (std::size_t i = 0; i < logits.size(); ++i) {
            if (weight(logits[i]) > 0.0) candidates.push_back({logits[i], static_cast<TokenId>(i)});
        }
    }
    if (options.typical_p < 1.0) keep_typical(options.typical_p, weight, candidates);
    return draw_of(candidates, weight, noise);
}

Sampler::Sampler(const Request& request) : options_(request.sampling), stages_(make_stages(request)) {}

std::optional<TokenId> Sampler::sample(std::span<const float> logits, std::uint32_t position, SamplerScratch& scratch) const {
    if (!stages_.empty()) {
        scratch.logits.assign(logits.begin(), logits.end());
        for (const LogitsStage& stage : stages_) {
            std::visit([&](const auto& s) { s.apply(scratch.logits); }, stage);
        }
        logits = scratch.logits;
    }
    if (options_.temperature > 0.0) return draw(logits, options_, TokenNoise(options_.seed, position), scratch);
    const auto best = argmax(logits);
    return best && std::isfinite(logits[static_cast<std::size_t>(*best)]) ? best : std::nullopt;
}

void Sampler::accept(TokenId token) {
    for (LogitsStage& stage : stages_) std::visit([&](auto& s) { s.accept(token); }, stage);
}

void Sampler::rollback(std::size_t n) {
    for (LogitsStage& stage : stages_) std::visit([&](auto& s) { s.rollback(n); }, stage);
}

Result<void> validate(const SamplingOptions& options, std::size_t n_vocab) {
    const auto within = [](const char* name, double value, double low, double high, const char* expected) -> Result<void> {
        if (value >= low && value <= high) return {};
        return bad_input("{}: expected {}, found {}", name, expected, value);
    };
    constexpr double kMax = 1e6;  // beyond any use, and its product with a logit still is a float
    RAFTER_TRY_VOID(within("temperature", options.temperature, 0.0, kMax, "0 or more"));
    RAFTER_TRY_VOID(within("top-p", options.top_p, 0.0, 1.0, "0 to 1"));
    RAFTER_TRY_VOID(within("min-p", options.min_p, 0.0, 1.0, "0 to 1"));
    RAFTER_TRY_VOID(within("typical-p", options.typical_p, 0.0, 1.0, "0 to 1"));
    RAFTER_TRY_VOID(within("repeat penalty", options.repeat_penalty, 1.0 / kMax, kMax, "a positive number"));
    RAFTER_TRY_VOID(within("frequency penalty", options.frequency_penalty, -kMax, kMax, "a number"));
    RAFTER_TRY_VOID(within("presence penalty", options.presence_penalty, -kMax, kMax, "a number"));
    for (const auto& [token, bias] : options.logit_bias) {
        if (token < 0 || static_cast<std::size_t>(token) >= n_vocab) {
            return bad_input("logit bias: expected a token from 0 to {}, found {}", n_vocab - 1, token);
        }
        RAFTER_TRY_VOID(within("logit bias", bias, -kMax, kMax, "a number"));
    }
    return {};
}

}  // namespace rafter::engine
