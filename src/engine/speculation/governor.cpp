// The gain of a draft token falls with its depth, so for every total the likeliest draft tokens are the best choice, and one sort gives all
// totals. Time jumps where kernels begin another group of columns, so every total is priced. A draft model drafts for all sequences round
// by round, and a round's cost depends on the sequences in it, so there the totals are priced for each limit of depth.
#include "engine/speculation/governor.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace rafter::engine {
namespace {

constexpr double kMemory = 64.0;         // checked draft tokens that an estimate covers, roughly
constexpr double kContradiction = 2e-4;  // a run of results less probable than this resets the estimate
constexpr double kMinChance = 0.08;      // bound of a probability: three rejections in a row happen at an acceptance of 0.95 too
constexpr double kPriorWeight = 4.0;     // the prior counts as this many checked draft tokens

constexpr double kNearTie = 0.01;  // of tokens a second: within it, fewer draft tokens win

constexpr double kExploring = 0.005;     // share of the time that is saved for exploring
constexpr double kFirstAccount = 0.5;    // steps
constexpr double kMaxAccount = 2.0;      // steps
constexpr double kMinExplored = 0.05;    // lowest assumed cost, in steps, of checking one in every row: prices may be wrong
constexpr double kBulkDiscount = 0.9;    // explore several rows at once if that costs at most 90% per row of exploring one
constexpr double kSurelyPays = 1.5;      // a speed-up above any error of a price: no need to measure a step without draft tokens
constexpr std::size_t kMaxExplored = 8;  // rows a step: one group of columns, and a small share of a draft model's round each
constexpr std::uint64_t kPlainGap = 16;  // fewest steps with draft tokens between two without

// Acceptance assumed before any result.
double first_acceptance(std::uint32_t trust) { return 0.3 + 0.07 * trust; }

}  // namespace

void AcceptanceHistory::add(std::uint32_t trust, std::uint32_t n_checked, std::uint32_t n_accepted) {
    RAFTER_CHECK(trust < kTrustLevels && n_accepted <= n_checked, "acceptance of draft tokens that were not checked");
    Level& level = levels_[trust];
    for (std::uint32_t i = 0; i < std::min(n_checked, n_accepted + 1); ++i) {
        const bool right = i < n_accepted;
        const double chance = std::clamp(level.tried > 0.0 ? level.right / level.tried : 0.5, kMinChance, 1.0 - kMinChance);
        level.run = right ? std::max(level.run, 0) + 1 : std::min(level.run, 0) - 1;
        level.tried = level.tried * (1.0 - 1.0 / kMemory) + 1.0;
        level.right = level.right * (1.0 - 1.0 / kMemory) + (right ? 1.0 : 0.0);
        if (std::pow(right ? chance : 1.0 - chance, std::abs(level.run)) < kContradiction) {
            level.tried = std::min<double>(level.tried, std::abs(level.run));
            level.right = right ? level.tried : 0.0;
        }
    }
}

struct Governor::Step {
    std::span<const GovernorRow> rows;
    const StepCost& cost;
    StepCost::Sum base;
    std::uint32_t n_most = 0;  // draft tokens in all
    double n_past = 0.0;       // average of the rows with an offer
    double plain_seconds = 0.0;
    std::uint32_t n_tokens = 0;  // tokens of the step without draft tokens
};

double Governor::acceptance(const AcceptanceHistory& history, std::uint32_t trust) const {
    RAFTER_CHECK(trust < kTrustLevels, "no trust level {}", trust);
    const AcceptanceHistory::Level& own = history.levels_[trust];
    const AcceptanceHistory::Level& all = all_.levels_[trust];
    const double prior = (all.right + kPriorWeight * first_acceptance(trust)) / (all.tried + kPriorWeight);
    return (own.right + kPriorWeight * prior) / (own.tried + kPriorWeight);
}

void Governor::learn(AcceptanceHistory& history, std::uint32_t trust, std::uint32_t n_checked, std::uint32_t n_accepted) {
    history.add(trust, n_checked, n_accepted);
    all_.add(trust, n_checked, n_accepted);
    history.levels_[trust].learned_at = n_steps_;
    if (std::find(explored_.begin(), explored_.end(), &history) == explored_.end()) return;
    account_ = std::min(account_ + n_accepted * plain_row_share_, kMaxAccount);
}

Governor::Price Governor::price(const Step& step, std::span<const std::uint32_t> n_drafts) const {
    Price price;
    StepCost::Sum sum = step.base;
    std::uint32_t most = 0;
    for (std::size_t i = 0; i < n_drafts.size(); ++i) {
        const std::uint32_t n = n_drafts[i] + 1;
        step.cost.add(sum, {.n_new = n, .n_past = step.rows[i].n_past, .n_outputs = n});
        double right = 1.0;  // all up to here
        for (std::uint32_t j = 0; j < n; ++j, right *= acceptance_[i]) price.tokens += right;
        most = std::max(most, n_drafts[i]);
    }
    price.seconds = step.cost.seconds(sum);
    for (std::uint32_t j = 1; j <= most; ++j) {
        price.seconds += rounds_[static_cast<std::size_t>(std::count_if(n_drafts.begin(), n_drafts.end(), [j](auto n) { return n >= j; }))];
    }
    return price;
}

void Governor::choose_best(const Step& step, std::vector<std::uint32_t>& n_drafts) {
    const double plain_rate = step.n_tokens / step.plain_seconds;
    StepCost::Sum plain = step.base;
    candidates_.clear();
    std::uint32_t deepest = 0;
    for (std::uint32_t i = 0; i < step.rows.size(); ++i) {
        const GovernorRow& row = step.rows[i];
        const auto attention = [&](std::uint32_t n) {
            StepCost::Sum sum;
            step.cost.add(sum, {.n_new = 1 + n, .n_past = row.n_past, .n_outputs = 1 + n});
            return sum.attention_seconds;
        };
        double before = attention(0);
        step.cost.add(plain, {.n_new = 1, .n_past = row.n_past, .n_outputs = 1});
        double tokens = acceptance_[i];
        double worth = 1.0;
        for (std::uint32_t j = 1; j <= std::min(row.offer.n_tokens, step.n_most); ++j) {
            const double seconds = attention(j) - before;
            before += seconds;
            worth = std::min(worth, tokens - plain_rate * seconds);
            candidates_.push_back({.worth = worth, .tokens = tokens, .attention_seconds = seconds, .row = i, .depth = j});
            deepest = std::max(deepest, j);
            tokens *= acceptance_[i];
        }
    }
    std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
        if (a.worth != b.worth) return a.worth > b.worth;
        return a.depth != b.depth ? a.depth < b.depth : a.row < b.row;
    });
    const std::size_t n_most = std::min<std::size_t>(step.n_most, candidates_.size());

    // Seconds of n drafts: fixed + correction × attention + rounds.
    fixed_.clear();
    for (std::uint32_t n = 0; n <= n_most; ++n) {
        const StepCost::Sum sum{.n_tokens = plain.n_tokens + n, .n_outputs = plain.n_outputs + n};
        fixed_.emplace_back(step.cost.seconds(sum), step.cost.correction(sum.n_tokens));
    }
    totals_.assign(n_most + 1, {});
    totals_[0] = {.tokens_per_second = plain_rate};
    const bool has_rounds = rounds_.back() > 0.0;
    for (std::uint32_t depth = has_rounds ? 1 : deepest; depth <= deepest; ++depth) {
        counts_.assign(depth + 1, 0);
        double tokens = step.n_tokens;
        double attention = plain.attention_seconds;
        double rounds = 0.0;
        std::size_t n = 0;
        for (const Candidate& c : candidates_) {
            if (n == n_most) break;
            if (c.depth > depth) continue;
            ++n;
            tokens += c.tokens;
            attention += c.attention_seconds;
            const std::uint32_t n_sequences = ++counts_[c.depth];
            rounds += rounds_[n_sequences] - rounds_[n_sequences - 1];
            const double rate = tokens / (fixed_[n].first + fixed_[n].second * attention + rounds);
            if (rate > totals_[n].tokens_per_second) totals_[n] = {.tokens_per_second = rate, .depth = depth};
        }
    }
    double best = 0.0;
    for (const Total& total : totals_) best = std::max(best, total.tokens_per_second);
    std::size_t n = 0;
    while (totals_[n].tokens_per_second * (1.0 + kNearTie) < best) ++n;
    const std::uint32_t depth = totals_[n].depth;
    for (const Candidate& c : candidates_) {
        if (n == 0) break;
        if (c.depth > depth) continue;
        n_drafts[c.row] = c.depth;
        --n;
    }
}

// Whether the step would be faster if all further draft tokens were accepted.
bool Governor::could_pay(const Step& step, std::span<const std::uint32_t> n_drafts, double tokens_per_second) {
    for (const std::uint32_t depth : {1U, 2U, 4U}) {
        optimistic_.assign(n_drafts.begin(), n_drafts.end());
        std::uint32_t left = step.n_most - std::accumulate(n_drafts.begin(), n_drafts.end(), 0U);
        double tokens = step.n_tokens;
        for (std::size_t i = 0; i < optimistic_.size(); ++i) {
            const std::uint32_t more = std::min({depth, step.rows[i].offer.n_tokens, left + optimistic_[i]});
            if (more > optimistic_[i]) {
                left -= more - optimistic_[i];
                optimistic_[i] = more;
            }
            tokens += optimistic_[i];
        }
        if (tokens / price(step, optimistic_).seconds > tokens_per_second * (1.0 + kNearTie)) return true;
    }
    return false;
}

bool Governor::explore(const Step& step, std::vector<std::uint32_t>& n_drafts) {
    const Price now = price(step, n_drafts);
    const double n_base = step.n_tokens - static_cast<double>(n_drafts.size());
    const double speed = (n_base + now.tokens) / now.seconds;
    const double speedup = speed * step.plain_seconds / step.n_tokens;
    const std::uint32_t n_left = step.n_most - std::accumulate(n_drafts.begin(), n_drafts.end(), 0U);
    const bool drafting = n_left < step.n_most;
    if (!drafting && n_since_plain_ > 0) {  // one step without draft tokens first: a speed-up needs both prices
        n_since_plain_ = 0;
        return false;
    }
    if (drafting) ++n_since_plain_;
    const double least = kMinExplored / static_cast<double>(n_drafts.size());
    order_.clear();
    for (std::uint32_t i = 0; i < n_drafts.size(); ++i) {
        if (n_drafts[i] == 0 && step.rows[i].offer.n_tokens > 0) order_.push_back(i);
    }
    // Steps without draft tokens and explored draft tokens take turns.
    const bool plain_is_due = drafting && speedup < kSurelyPays && n_since_plain_ >= kPlainGap && n_base == 0.0;
    const bool drafts_wanted = account_ >= least && !order_.empty() && n_left > 0 && could_pay(step, n_drafts, speed);
    if (plain_is_due && (plain_is_next_ || !drafts_wanted)) {
        const double loss = 1.0 - 1.0 / speedup;
        if (account_ < loss) return false;  // keep saving
        account_ -= loss;
        n_since_plain_ = 0;
        plain_is_next_ = false;
        std::fill(n_drafts.begin(), n_drafts.end(), 0);
        return true;
    }
    if (!drafts_wanted) return false;
    const auto learned_at = [&](std::uint32_t i) { return step.rows[i].history->levels_[step.rows[i].offer.trust].learned_at; };
    std::sort(order_.begin(), order_.end(),
              [&](std::uint32_t a, std::uint32_t b) { return learned_at(a) != learned_at(b) ? learned_at(a) < learned_at(b) : a < b; });
    // The number of rows with the lowest cost per row: the first row may pay for a whole group of columns, or a draft model's round.
    order_.resize(std::min<std::size_t>({order_.size(), n_left, kMaxExplored}));
    std::size_t n_best = 0;
    double best = 0.0;  // steps a row
    for (std::size_t n = 1; n <= order_.size(); ++n) {
        n_drafts[order_[n - 1]] = 1;
        const double extra = (price(step, n_drafts).seconds - now.seconds) / step.plain_seconds;
        const double each = std::max(least, extra / static_cast<double>(n));
        if (each * static_cast<double>(n) > kMaxAccount) break;
        if (n_best > 0 && each > kBulkDiscount * best) continue;
        n_best = n;
        best = each;
    }
    const double spent = best * static_cast<double>(n_best);
    const bool affordable = n_best == 0 || account_ >= spent;
    if (affordable) account_ -= spent;
    if (affordable) plain_is_next_ = true;
    if (affordable && !drafting && n_best > 0) n_since_plain_ = 1;
    for (std::size_t n = 0; n < order_.size(); ++n) {
        const bool explored = affordable && n < n_best;
        n_drafts[order_[n]] = explored ? 1 : 0;
        if (explored) explored_.push_back(step.rows[order_[n]].history);
    }
    return !explored_.empty();
}

GovernorChoice Governor::choose(std::span<const GovernorRow> rows, const StepCost& cost, const StepCost::Sum& base,
                                const RoundSeconds& round_seconds, std::uint32_t n_most_tokens, std::uint32_t n_most_outputs) {
    explored_.clear();
    GovernorChoice choice{.n_drafts = std::vector<std::uint32_t>(rows.size(), 0)};
    Step step{.rows = rows, .cost = cost, .base = base, .n_most = std::min(n_most_tokens, n_most_outputs)};
    step.n_tokens = base.n_tokens + static_cast<std::uint32_t>(rows.size());
    acceptance_.clear();
    std::uint32_t n_offers = 0;
    for (const GovernorRow& row : rows) {
        acceptance_.push_back(acceptance(*row.history, row.offer.trust));
        if (row.offer.n_tokens == 0) continue;
        ++n_offers;
        step.n_past += row.n_past;
    }
    rounds_.assign(rows.size() + 1, 0.0);
    step.plain_seconds = price(step, choice.n_drafts).seconds;
    if (step.plain_seconds > 0.0 && n_offers > 0 && step.n_most > 0) {
        const auto n_past = static_cast<std::uint32_t>(step.n_past / n_offers);
        for (std::uint32_t n = 1; n <= n_offers; ++n) rounds_[n] = round_seconds ? round_seconds(n, n_past) : 0.0;
        std::fill(rounds_.begin() + n_offers + 1, rounds_.end(), rounds_[n_offers]);
        plain_row_share_ = 1.0 / step.n_tokens;
        account_ = n_steps_ == 0 ? kFirstAccount : std::min(account_ + kExploring, kMaxAccount);
        ++n_steps_;
        choose_best(step, choice.n_drafts);
        choice.explores = explore(step, choice.n_drafts);
    }
    const Price chosen = price(step, choice.n_drafts);
    choice.expected_tokens = chosen.tokens;
    choice.seconds = chosen.seconds;
    if (step.plain_seconds > 0.0) choice.plain_tokens_per_second = static_cast<double>(rows.size()) / step.plain_seconds;
    return choice;
}

}  // namespace rafter::engine
