// Between two numbers of tokens the table is a straight line: kernels work on columns in groups, and the price jumps by a group.
#include "engine/measure/step_cost.h"

#include <algorithm>
#include <cmath>

namespace rafter::engine {
namespace {

constexpr double kLearning = 0.05;          // of a step's surprise, that the next prediction takes over
constexpr std::uint32_t kMaxOutputs = 512;  // in a table; more are priced in proportion
constexpr double kUsualItlSteps = 8.0;
constexpr double kUsualItlFullSteps = 2.0;  // of all sequences
constexpr double kMaxCorrection = 8.0;      // beyond that something else is wrong
// The same for its number of tokens. Prices were seen up to 33% wrong at four columns (docs/prediction.md), so ten steps or so are enough;
// a step's time varies by some percent, of which a quarter shows in the prediction.
constexpr double kFewLearning = 0.15;
constexpr double kMaxFewLearning = 0.02;  // of the prediction, by one step
constexpr double kMaxFewCorrection = 2.0;
constexpr double kNear = 4.0;  // times as many or as few tokens learn nothing of it

// 1 for the same number of tokens, 0 for numbers that have nothing to do with each other.
double nearness(double n, double m) { return std::max(0.0, 1.0 - std::abs(std::log(n / m)) / std::log(kNear)); }

model::StepShape prompt(std::uint32_t n_new, std::uint32_t n_past) {
    return {.sequences = {{.n_new = n_new, .n_past = n_past, .n_outputs = 1}}};
}

}  // namespace

StepCost::StepCost(const std::function<double(const model::StepShape&)>& price, std::uint32_t n_tokens, std::uint32_t context)
    : n_tokens_(std::max(1U, n_tokens)) {
    few_corrections_.fill(1.0);
    std::vector<std::uint32_t> grid;
    for (double n = 1.0; n < n_tokens_; n = n < kFewTokens ? n + 1.0 : std::floor(n * 1.1)) grid.push_back(static_cast<std::uint32_t>(n));
    grid.push_back(n_tokens_);
    for (const std::uint32_t n : grid) by_tokens_.emplace_back(n, price(prompt(n, 0)));
    // More tokens never take less: where a price dips, the larger step's holds.
    for (std::size_t i = grid.size() - 1; i-- > 0;) by_tokens_[i].second = std::min(by_tokens_[i].second, by_tokens_[i + 1].second);
    for (std::size_t i = 0; i < grid.size() && grid[i] <= kMaxOutputs; ++i) {
        const model::StepShape decode{.sequences = std::vector<model::SequenceStep>(grid[i], {.n_new = 1, .n_past = 0, .n_outputs = 1})};
        by_outputs_.emplace_back(grid[i], std::max(0.0, price(decode) - by_tokens_[i].second));
    }
    const std::uint32_t past = std::max(1U, context / 2);
    decode_pair_seconds_ = std::max(0.0, price(prompt(1, past)) - price(prompt(1, 0))) / past;
    model::StepShape two{.sequences = std::vector<model::SequenceStep>(2, {.n_new = 1, .n_past = past, .n_outputs = 1})};
    const double apart = price(two);
    two.sequences[1].n_shared = past;
    const double saved = n_tokens_ > 1 ? std::max(0.0, apart - price(two)) / past : 0.0;
    shared_pair_seconds_ = std::max(0.0, decode_pair_seconds_ - saved);
    const std::uint32_t many = std::min(n_tokens_, 64U);
    prefill_pair_seconds_ = std::max(0.0, price(prompt(many, past)) - price(prompt(many, 0))) / (static_cast<double>(past) * many);
}

StepCost::StepCost(const backend::Backend& backend, const model::Program& program, const hardware::Profile& machine,
                   const roofline::PriceOptions& options, std::uint32_t n_tokens, std::uint32_t context)
    : StepCost([&](const model::StepShape& shape) { return backend.price_step(program, shape, machine, options).seconds; }, n_tokens,
               context) {}

double StepCost::look_up(const Table& table, double n) {
    if (table.empty() || n <= 0.0) return 0.0;
    const auto above = std::lower_bound(table.begin(), table.end(), std::pair{n, 0.0});
    if (above == table.begin()) return above->second;
    if (above == table.end()) return table.back().second * n / table.back().first;
    const auto below = std::prev(above);
    return below->second + (above->second - below->second) * (n - below->first) / (above->first - below->first);
}

void StepCost::add(Sum& sum, const model::SequenceStep& sequence) const {
    sum.n_tokens += sequence.n_new;
    sum.n_outputs += sequence.n_outputs;
    // A few new tokens read the past once, as one does.
    const double one_past =
        sequence.n_new == 1 ? decode_pair_seconds_ : std::max(decode_pair_seconds_, prefill_pair_seconds_ * sequence.n_new);
    const double saved = sequence.n_shared * (decode_pair_seconds_ - shared_pair_seconds_);
    sum.attention_seconds += std::max(0.0, one_past * sequence.n_past - saved);
}

double StepCost::correction(std::uint32_t n_tokens) const {
    if (n_tokens == 0) return correction_;
    if (n_tokens <= kFewTokens) return correction_ * few_corrections_[n_tokens - 1];
    return correction_ * std::pow(few_corrections_.back(), nearness(n_tokens, kFewTokens));
}

double StepCost::seconds(const Sum& sum) const {
    return correction(sum.n_tokens) * (look_up(by_tokens_, sum.n_tokens) + look_up(by_outputs_, sum.n_outputs) + sum.attention_seconds);
}

double StepCost::seconds(const model::StepShape& shape) const {
    Sum sum;
    for (const model::SequenceStep& sequence : shape.sequences) add(sum, sequence);
    return seconds(sum);
}

double StepCost::prefill_seconds(std::uint32_t n, std::uint32_t n_past) const {
    if (!known() || n == 0) return 0.0;
    const std::uint32_t n_full = n / n_tokens_;
    const double pairs = static_cast<double>(n) * (n_past + n / 2.0);
    return correction_ * (n_full * look_up(by_tokens_, n_tokens_) + look_up(by_tokens_, n % n_tokens_) + prefill_pair_seconds_ * pairs);
}

double StepCost::usual_itl_seconds(std::uint32_t context, std::uint32_t n_sequences) const {
    const auto decode_seconds = [&](std::uint32_t n) {
        const model::SequenceStep each{.n_new = 1, .n_past = context / 2, .n_outputs = 1};
        return seconds(model::StepShape{.sequences = std::vector(n, each)});
    };
    return std::max(kUsualItlSteps * decode_seconds(1), kUsualItlFullSteps * decode_seconds(n_sequences));
}

void StepCost::learn(const model::StepShape& shape, double measured_seconds) {
    const double predicted = seconds(shape);
    if (!(predicted > 0.0) || !(measured_seconds > 0.0)) return;
    const double surprise = std::clamp(measured_seconds / predicted, 0.25, 4.0);
    correction_ = std::clamp(correction_ * std::pow(surprise, kLearning), 1.0 / kMaxCorrection, kMaxCorrection);
    const double learned = std::clamp(kFewLearning * std::log(surprise), -kMaxFewLearning, kMaxFewLearning);
    const double n_tokens = shape.n_tokens();
    for (std::uint32_t n = 1; n <= kFewTokens; ++n) {
        double& few = few_corrections_[n - 1];
        // Kernels work on columns in groups, so even the next number may differ.
        const double share = n == shape.n_tokens() ? 1.0 : 0.5 * nearness(n_tokens, n);
        few = std::clamp(few * std::exp(learned * share), 1.0 / kMaxFewCorrection, kMaxFewCorrection);
    }
}

}  // namespace rafter::engine
