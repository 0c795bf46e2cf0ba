// A sequence's rows are its next n_new tokens, then the draft tokens.
#include "engine/runner.h"

namespace rafter::engine {

backend::StepOutput Runner::forward(const Plan& plan) {
    batch_.tokens.clear();
    batch_.positions.clear();
    batch_.output_rows.clear();
    batch_.hidden_rows.clear();
    batch_.sequences.resize(plan.sequences.size());
    batch_.copies = plan.copies;
    for (std::size_t i = 0; i < plan.sequences.size(); ++i) {
        const PlannedSequence& planned = plan.sequences[i];
        const Sequence& sequence = *planned.sequence;
        const std::uint32_t first = sequence.n_computed;
        const std::uint32_t n_known = planned.n_new;
        const auto first_row = static_cast<std::uint32_t>(batch_.tokens.size());
        backend::BatchSequence& rows = batch_.sequences[i];
        rows.step = planned.step();
        rows.first_row = first_row;
        const auto tables = sequence.blocks->tables();
        rows.block_tables.resize(tables.size());
        for (std::size_t group = 0; group < tables.size(); ++group) {
            rows.block_tables[group].assign(tables[group].begin(), tables[group].end());
        }
        for (std::uint32_t j = 0; j < rows.step.n_new; ++j) {
            const std::uint32_t position = first + j;
            batch_.tokens.push_back(j < n_known ? sequence.tokens[position] : planned.drafts[j - n_known]);
            batch_.positions.push_back(position);
        }
        auto& wanted = sequence.needs_logits() ? batch_.output_rows : batch_.hidden_rows;
        const std::uint32_t n_wanted = rows.step.n_outputs + rows.step.n_hidden;
        for (std::uint32_t j = 0; j < n_wanted; ++j) wanted.push_back(first_row + planned.first_output - first + j);
    }
    return model_.forward(batch_);
}

}  // namespace rafter::engine
