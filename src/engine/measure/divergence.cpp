// KL(p || q) = sum_i p_i (log p_i - log q_i). With a_i = reference logit - its largest and b_i likewise of the model, Z = sum exp, it is
// sum_i exp(a_i) (a_i - b_i) / Z_a - log Z_a + log Z_b: one pass over both rows.
#include "engine/measure/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/quote.h"
#include "engine/sampling/logprobs.h"
#include "report/units.h"

namespace rafter::engine {
namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

// Of sorted numbers: the element at part * (n - 1), between neighbours by interpolation.
double quantile_of(std::span<const float> sorted, double part) {
    if (sorted.empty()) return 0.0;
    const double at = part * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    const double low = sorted[below];
    return low + (at - static_cast<double>(below)) * (sorted[above] - low);
}

// Blocks of the one sequence, in order. A window's group has room for the window and a step: its blocks are used in turn.
std::vector<std::vector<backend::BlockId>> tables_of(const SchedulerOptions& scheduler, std::uint32_t n_positions) {
    std::vector<std::vector<backend::BlockId>> tables;
    for (const std::uint32_t n_blocks : scheduler.n_blocks) {
        std::vector<backend::BlockId> table;
        for (std::uint32_t b = 0; b * scheduler.block_size < n_positions; ++b) table.push_back(b % n_blocks);
        tables.push_back(std::move(table));
    }
    return tables;
}

// Tokens [n_past, n_past + n) of the window, with outputs of the last n_outputs.
backend::Batch batch_of(const SchedulerOptions& scheduler, std::span<const TokenId> window, model::SequenceStep step) {
    backend::Batch batch;
    const std::uint32_t end = step.n_past + step.n_new;
    batch.tokens.assign(window.begin() + step.n_past, window.begin() + end);
    for (std::uint32_t position = step.n_past; position < end; ++position) batch.positions.push_back(position);
    for (std::uint32_t row = step.n_new - step.n_outputs; row < step.n_new; ++row) batch.output_rows.push_back(row);
    batch.sequences.push_back({.step = step, .first_row = 0, .block_tables = tables_of(scheduler, end)});
    return batch;
}

}  // namespace

TokenDivergence compare_logits(std::span<const float> reference_logits, std::span<const float> logits, std::optional<TokenId> next,
                               const backend::SamplingKernels& kernels) {
    RAFTER_CHECK(reference_logits.size() == logits.size() && !logits.empty(), "rows of one vocabulary are compared");
    const std::size_t n = logits.size();
    const std::size_t reference_top = kernels.largest(reference_logits.data(), n);
    const std::size_t top = kernels.largest(logits.data(), n);
    TokenDivergence token{.kl = kNotANumber, .same_top = reference_top == top};
    if (reference_top == n || top == n || !std::isfinite(reference_logits[reference_top]) || !std::isfinite(logits[top])) {
        if (next) token.logprob = token.reference_logprob = kNotANumber;
        return token;
    }
    const float reference_max = reference_logits[reference_top];
    const float max = logits[top];
    const backend::DivergenceSums sums = kernels.divergence(reference_logits.data(), reference_max, logits.data(), max, n);
    const double reference_log = std::log(sums.reference);
    const double log = std::log(sums.row);
    const double kl = sums.weighted / sums.reference - reference_log + log;
    token.kl = kl < 0.0 ? 0.0 : kl;  // a NaN stays one
    if (next) {
        const auto id = static_cast<std::size_t>(*next);
        token.logprob = static_cast<double>(logits[id]) - max - log;
        token.reference_logprob = static_cast<double>(reference_logits[id]) - reference_max - reference_log;
    }
    return token;
}

void RunningMean::add(double x) {
    ++n_;
    const double before = x - mean_;
    mean_ += before / static_cast<double>(n_);
    squares_ += before * (x - mean_);
}

double RunningMean::error() const {
    if (n_ < 2) return 0.0;
    const auto n = static_cast<double>(n_);
    return std::sqrt(squares_ / (n * (n - 1)));
}

double RunningMean::perplexity() const { return n_ > 0 ? std::exp(mean_) : 0.0; }

void Divergence::add(std::span<const float> reference_logits, std::span<const float> logits, std::optional<TokenId> next) {
    add(compare_logits(reference_logits, logits, next));
}

void Divergence::add(const TokenDivergence& token) {
    kl_.add(token.kl);
    kls_.push_back(static_cast<float>(token.kl));
    n_same_top_ += token.same_top ? 1 : 0;
    if (!token.logprob) return;
    loss_.add(-*token.logprob);
    reference_loss_.add(-*token.reference_logprob);
    loss_change_.add(*token.reference_logprob - *token.logprob);
}

DivergenceSummary Divergence::summary() const {
    DivergenceSummary summary{.n_tokens = kl_.n(), .n_scored = loss_.n()};
    if (summary.n_tokens == 0) return summary;
    std::vector<float> sorted = kls_;
    std::ranges::sort(sorted);
    summary.mean_kl = kl_.mean();
    summary.mean_kl_error = kl_.error();
    summary.kl_99 = quantile_of(sorted, 0.99);
    summary.kl_999 = quantile_of(sorted, 0.999);
    summary.max_kl = sorted.back();
    const auto n = static_cast<double>(summary.n_tokens);
    summary.same_top = static_cast<double>(n_same_top_) / n;
    summary.same_top_error = n > 1 ? std::sqrt(summary.same_top * (1.0 - summary.same_top) / (n - 1)) : 0.0;
    summary.perplexity = loss_.perplexity();
    summary.perplexity_error = loss_.perplexity_error();
    summary.reference_perplexity = reference_loss_.perplexity();
    summary.reference_perplexity_error = reference_loss_.perplexity_error();
    summary.perplexity_ratio = loss_change_.perplexity();
    summary.perplexity_ratio_error = loss_change_.perplexity_error();
    return summary;
}

void run_window(std::span<LoadedModel* const> models, std::span<const TokenId> window, std::uint32_t first_row, const LogitsSink& use) {
    RAFTER_CHECK(!models.empty() && window.size() >= 2 && first_row < window.size() - 1, "a window has rows to use");
    std::uint32_t n_outputs = ~0U;
    std::uint32_t n_tokens = ~0U;
    for (const LoadedModel* model : models) {
        RAFTER_CHECK(window.size() <= model->scheduler.context, "a window fits into the context");
        n_outputs = std::min(n_outputs, model->scheduler.limits.n_outputs);
        n_tokens = std::min(n_tokens, model->scheduler.limits.n_tokens);
    }
    const auto n = static_cast<std::uint32_t>(window.size() - 1);  // what follows the last token is not known
    std::vector<backend::StepOutput> outputs(models.size());
    for (std::uint32_t at = 0; at < n;) {
        // Rows before first_row need no output, so a step may have more tokens than outputs.
        const std::uint32_t end = std::min({n, at + n_tokens, std::max(at, first_row) + n_outputs});
        const std::uint32_t n_rows = end > first_row ? end - std::max(at, first_row) : 0;
        for (std::size_t i = 0; i < models.size(); ++i) {
            outputs[i] =
                models[i]->device->forward(batch_of(models[i]->scheduler, window, {.n_new = end - at, .n_past = at, .n_outputs = n_rows}));
        }
        if (n_rows > 0) use(end - n_rows, outputs, n_rows);
        at = end;
    }
}

Result<void> add_window(LoadedModel& reference, LoadedModel& model, std::span<const TokenId> window, std::uint32_t first_row,
                        Divergence& to, const TokenSink& seen) {
    std::vector<TokenDivergence> tokens(window.size());  // [position]
    LoadedModel* const models[] = {&reference, &model};
    const backend::SamplingKernels& kernels = model.device->sampling_kernels();
    run_window(models, window, first_row, [&](std::size_t first, std::span<const backend::StepOutput> outputs, std::size_t n_rows) {
        model.device->run_rows(n_rows, [&](std::size_t row, unsigned) {
            tokens[first + row] = compare_logits(outputs[0].logits_of(row), outputs[1].logits_of(row), window[first + row + 1], kernels);
        });
    });
    for (std::size_t position = first_row; position + 1 < window.size(); ++position) {
        const TokenDivergence& token = tokens[position];
        if (!std::isfinite(token.kl) || !std::isfinite(*token.logprob) || !std::isfinite(*token.reference_logprob)) {
            return bad_input("position {}: expected finite numbers, found a KL divergence of {} and log-probabilities of {} and {}",
                             position + 1, token.kl, *token.reference_logprob, *token.logprob);
        }
        if (seen) RAFTER_TRY_VOID(seen(position + 1, window[position + 1], token));
        to.add(token);
    }
    return {};
}

Result<void> check_same_vocabulary(const OpenedModel& reference, const OpenedModel& model) {
    const text::Tokenizer& expected = *reference.tokenizer;
    const text::Tokenizer& found = *model.tokenizer;
    const auto differs = [&](std::string_view what, const std::string& wanted, const std::string& is) {
        return bad_input("{}: the vocabulary differs from that of {}: expected {}{}, found {}", model.source->name(),
                         reference.source->name(), what, wanted, is);
    };
    if (expected.n_tokens() != found.n_tokens()) {
        return differs("", report::grouped(expected.n_tokens()) + " tokens", report::grouped(found.n_tokens()));
    }
    if (reference.config.n_vocab != model.config.n_vocab) {
        return differs("", report::grouped(reference.config.n_vocab) + " logits", report::grouped(model.config.n_vocab));
    }
    for (std::size_t i = 0; i < expected.n_tokens(); ++i) {
        const auto id = static_cast<TokenId>(i);
        const std::string_view wanted = expected.piece(id, text::SpecialTokens::kParse);
        const std::string_view is = found.piece(id, text::SpecialTokens::kParse);
        if (wanted != is) return differs(fmt::format("token {} to be ", i), quote(wanted), quote(is));
    }
    return {};
}

}  // namespace rafter::engine
