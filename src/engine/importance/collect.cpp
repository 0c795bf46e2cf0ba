// Batches made by hand, one window at a time: no scheduler and no sampling is needed where nothing is answered.
#include "engine/importance/collect.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/check.h"

namespace rafter::engine {
namespace {

Result<files::ImportanceEntry> entry_of(const backend::Observed& observed) {
    files::ImportanceEntry entry{.n_matrices = static_cast<std::uint32_t>(observed.n_rows.size()), .sum_squares = {}, .counts = {}};
    const std::size_t n_cols = observed.sum_squares.size() / observed.n_rows.size();
    for (std::size_t i = 0; i < observed.sum_squares.size(); ++i) {
        const auto sum = static_cast<float>(observed.sum_squares[i]);
        if (!std::isfinite(sum)) {
            return bad_input("column {}: expected finite inputs, found a sum of squares of {}: are weights of the model damaged?",
                             i % n_cols, sum);
        }
        entry.sum_squares.push_back(sum);
    }
    for (const std::uint64_t n : observed.n_rows) entry.counts.push_back(static_cast<float>(n));
    return entry;
}

}  // namespace

// Block b of a sequence lies in block b of the cache; a sliding window's group has fewer, and its blocks take turns.
std::vector<std::vector<backend::BlockId>> ImportanceCollector::block_tables(std::uint32_t n_positions) const {
    std::vector<std::vector<backend::BlockId>> tables;
    const std::uint32_t size = model_.scheduler.block_size;
    for (const std::uint32_t n_blocks : model_.scheduler.n_blocks) {
        std::vector<backend::BlockId>& table = tables.emplace_back();
        for (std::uint32_t b = 0; b * size < n_positions; ++b) table.push_back(b % n_blocks);
    }
    return tables;
}

void ImportanceCollector::add(std::span<const TokenId> window) {
    const auto n = static_cast<std::uint32_t>(window.size());
    RAFTER_CHECK(n <= model_.scheduler.context, "a window of {} tokens, context {}", n, model_.scheduler.context);
    const std::uint32_t chunk = std::min(model_.scheduler.limits.n_tokens, model_.scheduler.limits.n_outputs);
    for (std::uint32_t at = 0; at < n; at += chunk) {
        const std::uint32_t n_new = std::min(chunk, n - at);
        backend::Batch batch;
        batch.sequences.push_back(
            {.step = {.n_new = n_new, .n_past = at, .n_outputs = n_new}, .first_row = 0, .block_tables = block_tables(at + n_new)});
        for (std::uint32_t i = 0; i < n_new; ++i) {
            batch.tokens.push_back(window[at + i]);
            batch.positions.push_back(at + i);
            batch.output_rows.push_back(i);  // the head's inputs are observed too
        }
        (void)model_.device->forward(batch);
    }
    ++n_windows_;
    window_tokens_ = std::max(window_tokens_, n);
}

Result<files::ImportanceMatrix> ImportanceCollector::result() const {
    files::ImportanceMatrix matrix{.entries = {}, .datasets = {}, .chunk_tokens = window_tokens_, .n_chunks = n_windows_};
    const model::Program& program = model_.device->program();
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
        const auto* const observe = std::get_if<model::ObserveOptions>(&program.ops[i].options);
        if (observe == nullptr) continue;
        const auto entry = entry_of(model_.device->observed(i));
        if (!entry) return entry.error().within(observe->tensors.front());
        for (const std::string& tensor : observe->tensors) matrix.entries.emplace(tensor, *entry);
    }
    RAFTER_CHECK(!matrix.entries.empty(), "a model that observes nothing");
    return matrix;
}

}  // namespace rafter::engine
