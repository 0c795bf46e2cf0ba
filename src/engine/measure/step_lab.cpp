// Sequence i has the i-th part of the blocks of each cache group, in order.
#include "engine/measure/step_lab.h"

#include <algorithm>
#include <numeric>

#include "base/clock.h"

namespace rafter::engine {

namespace {

// A permutation of 0 .. n - 1: multiples of a number without a common factor with n.
std::uint32_t scattered(std::uint32_t i, std::uint32_t n) {
    std::uint64_t factor = n / 2 + 1;
    while (std::gcd(factor, std::uint64_t{n}) != 1) ++factor;
    return static_cast<std::uint32_t>((i * factor) % n);
}

}  // namespace

std::vector<model::StepShape> LabShape::steps(std::uint32_t most_tokens) const {
    std::vector<model::StepShape> shapes;
    if (std::uint64_t{n_sequences} * n_new <= most_tokens) {
        model::StepShape shape;
        for (std::uint32_t i = 0; i < n_sequences; ++i) shape.sequences.push_back({.n_new = n_new, .n_past = n_past, .n_outputs = 1});
        return {shape};
    }
    for (std::uint32_t i = 0; i < n_sequences; ++i) {
        for (std::uint32_t done = 0; done < n_new;) {
            const std::uint32_t n = std::min(most_tokens, n_new - done);
            model::StepShape shape;
            shape.sequences.push_back({.n_new = n, .n_past = n_past + done, .n_outputs = done + n == n_new ? 1U : 0U});
            shapes.push_back(shape);
            done += n;
        }
    }
    return shapes;
}

double LabResult::undisturbed() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    return sorted.empty() ? 0.0 : sorted[(sorted.size() - 1) / 10];
}

StepLab::StepLab(LoadedModel& model) : model_(model) { model_.device->touch_cache(); }

backend::Batch StepLab::batch_of(const model::StepShape& shape, bool scattered_blocks) const {
    const SchedulerOptions& scheduler = model_.scheduler;
    const std::uint32_t n_vocab = model_.device->program().config.n_vocab;
    const auto n_sequences = static_cast<std::uint32_t>(shape.sequences.size());
    backend::Batch batch;
    for (std::uint32_t i = 0; i < shape.sequences.size(); ++i) {
        const model::SequenceStep& step = shape.sequences[i];
        backend::BatchSequence sequence{.step = step, .first_row = static_cast<std::uint32_t>(batch.tokens.size()), .block_tables = {}};
        const std::uint32_t n_blocks = (step.n_past + step.n_new + scheduler.block_size - 1) / scheduler.block_size;
        for (std::size_t group = 0; group < scheduler.n_blocks.size(); ++group) {
            // A window's group has room for the window and a step: its blocks are used in turn.
            const std::uint32_t n_each = std::min(n_blocks, scheduler.n_blocks[group] / n_sequences);
            std::vector<backend::BlockId> table;
            for (std::uint32_t b = 0; b < n_blocks; ++b) {
                const std::uint32_t slot = i * n_each + b % n_each;
                table.push_back(scattered_blocks ? scattered(slot, n_each * n_sequences) : slot);
            }
            sequence.block_tables.push_back(std::move(table));
        }
        for (std::uint32_t t = 0; t < step.n_new; ++t) {
            batch.tokens.push_back(static_cast<std::int32_t>((7919U * (i + 1) + 104729U * t) % n_vocab));
            batch.positions.push_back(step.n_past + t);
        }
        if (step.n_outputs > 0) batch.output_rows.push_back(sequence.first_row + step.n_new - 1);
        batch.sequences.push_back(std::move(sequence));
    }
    return batch;
}

Result<LabResult> StepLab::run(const LabShape& shape, const Options& options) {
    const SchedulerOptions& scheduler = model_.scheduler;
    const std::uint64_t n_positions = std::uint64_t{shape.n_past} + shape.n_new;
    const std::uint64_t n_blocks = (n_positions + scheduler.block_size - 1) / scheduler.block_size * shape.n_sequences;
    std::uint32_t most_blocks = ~0U;
    for (std::size_t group = 0; group < scheduler.n_blocks.size(); ++group) {
        if (scheduler.windows[group] == 0) most_blocks = std::min(most_blocks, scheduler.n_blocks[group]);
    }
    if (shape.n_sequences == 0 || shape.n_new == 0 || n_positions > scheduler.context || n_blocks > most_blocks ||
        shape.n_sequences > scheduler.limits.n_outputs || shape.n_sequences > scheduler.limits.n_tokens) {
        return bad_input("{} sequences of {} tokens: expected at most {} of {}", shape.n_sequences, n_positions, scheduler.limits.n_outputs,
                         scheduler.context);
    }
    std::vector<backend::Batch> batches;
    for (const model::StepShape& step : shape.steps(scheduler.limits.n_tokens)) batches.push_back(batch_of(step, options.scattered_blocks));
    backend::DeviceModel& device = *model_.device;
    device.set_timing(options.timing);
    LabResult result;
    const std::size_t n_ops = options.timing ? device.program().ops.size() : 0;
    std::vector<std::vector<double>> op_samples;  // [repeat][n_ops]
    const std::int64_t start_ns = monotonic_ns();
    // The first round, dropped, finds cold caches and code.
    for (std::uint32_t repeat = 0;; ++repeat) {
        const double spent = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
        if (repeat > options.n_repeats && spent >= options.least_seconds) break;
        double seconds = 0.0;
        std::vector<double> op_seconds(n_ops);
        for (const backend::Batch& batch : batches) {
            const std::int64_t step_start_ns = monotonic_ns();
            (void)device.forward(batch);
            seconds += static_cast<double>(monotonic_ns() - step_start_ns) * 1e-9;
            for (std::size_t i = 0; i < op_seconds.size(); ++i) op_seconds[i] += device.op_seconds()[i];
        }
        if (repeat == 0) continue;
        result.seconds.push_back(seconds);
        op_samples.push_back(std::move(op_seconds));
    }
    device.set_timing(false);
    if (options.timing) {
        const auto typical = std::find(result.seconds.begin(), result.seconds.end(), result.undisturbed());
        result.op_seconds = op_samples[static_cast<std::size_t>(typical - result.seconds.begin())];
    }
    return result;
}

}  // namespace rafter::engine
