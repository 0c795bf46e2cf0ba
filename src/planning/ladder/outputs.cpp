// Batches made by hand: which block belongs to whom is fixed by number, so that a cache can be laid out in any order.
#include "planning/ladder/outputs.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "engine/measure/divergence.h"

namespace rafter::planning {
namespace {

class TextRunner {
  public:
    TextRunner(engine::LoadedModel& model, std::span<const TokenId> text, const OutputWay& way) : model_(model), text_(text), way_(way) {}

    // Tokens [first, first + n) of all sequences, after n_past of each that the cache holds. Outputs of the first sequence's last n_rows.
    void step(std::uint32_t n_past, std::uint32_t n, std::uint32_t n_rows, TextLogits& to) {
        backend::Batch batch;
        for (std::uint32_t i = 0; i < way_.n_sequences; ++i) {
            const std::uint32_t outputs = i == 0 ? n_rows : 0;
            backend::BatchSequence sequence{.step = {.n_new = n, .n_past = n_past, .n_outputs = outputs},
                                            .first_row = static_cast<std::uint32_t>(batch.tokens.size()),
                                            .block_tables = {}};
            for (std::size_t g = 0; g < model_.scheduler.n_blocks.size(); ++g) sequence.block_tables.push_back(blocks_of(i, n_past + n));
            for (std::uint32_t t = 0; t < n; ++t) {
                batch.tokens.push_back(text_[(n_past + t + i) % text_.size()]);
                batch.positions.push_back(n_past + t);
            }
            for (std::uint32_t r = n - outputs; r < n; ++r) batch.output_rows.push_back(sequence.first_row + r);
            batch.sequences.push_back(std::move(sequence));
        }
        const backend::StepOutput out = model_.device->forward(batch);
        to.n_vocab = out.n_vocab;
        to.rows.insert(to.rows.end(), out.logits.begin(), out.logits.end());
    }

  private:
    // One after the other, or dealt out from the end in turn.
    [[nodiscard]] std::vector<backend::BlockId> blocks_of(std::uint32_t sequence, std::uint32_t n_positions) const {
        const std::uint32_t size = model_.scheduler.block_size;
        const auto n_each = (static_cast<std::uint32_t>(text_.size()) + size - 1) / size;
        std::vector<backend::BlockId> table;
        for (std::uint32_t b = 0; b * size < n_positions; ++b) {
            table.push_back(way_.scattered_blocks ? (n_each - 1 - b) * way_.n_sequences + sequence : sequence * n_each + b);
        }
        return table;
    }

    engine::LoadedModel& model_;
    std::span<const TokenId> text_;
    const OutputWay& way_;
};

}  // namespace

TextLogits logits_of_text(engine::LoadedModel& model, std::span<const TokenId> text, const OutputWay& way) {
    TextLogits logits;
    TextRunner runner(model, text, way);
    const auto n = static_cast<std::uint32_t>(text.size());
    if (way.from_scratch) {
        for (std::uint32_t end = n - way.n_rows + 1; end <= n; ++end) runner.step(0, end, 1, logits);
        return logits;
    }
    const std::uint32_t chunk = std::min({way.chunk, model.scheduler.limits.n_outputs, model.scheduler.limits.n_tokens / way.n_sequences});
    for (std::uint32_t at = 0; at < n; at += chunk) runner.step(at, std::min(chunk, n - at), std::min(chunk, n - at), logits);
    return logits;
}

OutputCheck same_bits(const TextLogits& rows, const TextLogits& reference, std::string against) {
    OutputCheck check{.kind = OutputCheck::Kind::kSameBits, .n_tokens = rows.n_tokens(), .against = std::move(against)};
    RAFTER_CHECK(rows.rows.size() <= reference.rows.size() && !rows.rows.empty());
    const float* const expected = reference.rows.data() + (reference.rows.size() - rows.rows.size());
    check.passed = std::memcmp(rows.rows.data(), expected, rows.rows.size() * sizeof(float)) == 0;
    return check;
}

OutputCheck divergence(const TextLogits& logits, const TextLogits& reference, std::string against) {
    OutputCheck check{.kind = OutputCheck::Kind::kDivergence, .n_tokens = logits.n_tokens(), .against = std::move(against)};
    RAFTER_CHECK(logits.rows.size() == reference.rows.size() && !logits.rows.empty());
    engine::Divergence sums;
    for (std::size_t t = 0; t < logits.n_tokens(); ++t) sums.add(reference.row(t), logits.row(t), std::nullopt);
    const engine::DivergenceSummary summary = sums.summary();
    check.mean_kl = summary.mean_kl;
    check.max_kl = summary.max_kl;
    check.same_top = summary.same_top;
    check.passed = std::isfinite(check.mean_kl);
    return check;
}

}  // namespace rafter::planning
