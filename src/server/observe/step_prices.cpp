// Of the ops, those on rows of outputs depend on the number of outputs alone and all others but attention on the number of tokens, so two
// tables hold them: exact at the numbers that were asked for, a straight line between. Attention is what its window lets through.
#include "server/observe/step_prices.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <variant>

namespace rafter::server {
namespace {

constexpr double kEachUpTo = 64.0;  // every number up to here is in the tables: kernels change with their number of columns
constexpr double kGridFactor = 1.15;

using roofline::OpPrice;
using roofline::StepPrice;

std::vector<std::uint32_t> grid_to(std::uint32_t n_max) {
    std::vector<std::uint32_t> grid;
    for (double n = 1.0; n < n_max; n = n < kEachUpTo ? n + 1.0 : std::floor(n * kGridFactor))
        grid.push_back(static_cast<std::uint32_t>(n));
    grid.push_back(std::max(1U, n_max));
    return grid;
}

const model::AttentionOptions* attention_of(const model::Op& op) { return std::get_if<model::AttentionOptions>(&op.options); }

bool is_of_outputs(const model::Program& program, const model::Op& op) {
    const auto& values = op.outputs.empty() ? op.inputs : op.outputs;
    if (values.empty()) return false;
    const model::RowKind rows = program.values[values.front()].rows;
    return rows == model::RowKind::kOutputs || rows == model::RowKind::kHidden;
}

// Positions of the cache that some of a sequence's new tokens see, and pairs of a new token and such a position: as roofline/op_cost.
double positions_seen(const model::SequenceStep& s, double window) {
    const double all = static_cast<double>(s.n_past) + s.n_new;
    return window > 0.0 ? std::min(all, window + s.n_new - 1.0) : all;
}
double pairs_seen(const model::SequenceStep& s, double window) {
    const double n_new = s.n_new, n_past = s.n_past;
    if (window <= 0.0 || n_past + n_new <= window) return n_new * n_past + n_new * (n_new + 1) / 2;
    if (n_past >= window) return n_new * window;
    const double n_growing = window - n_past;  // tokens that still see everything
    return n_growing * n_past + n_growing * (n_growing + 1) / 2 + (n_new - n_growing) * window;
}

}  // namespace

roofline::PriceBound StepRoof::bound() const {
    if (overhead_seconds > std::max(memory_roof_seconds, compute_roof_seconds)) return roofline::PriceBound::kOverhead;
    return memory_roof_seconds >= compute_roof_seconds ? roofline::PriceBound::kMemory : roofline::PriceBound::kCompute;
}

StepRoof& StepRoof::operator+=(const StepRoof& other) {
    flops += other.flops;
    read_bytes += other.read_bytes;
    read_seconds += other.read_seconds;
    peak_seconds += other.peak_seconds;
    memory_roof_seconds += other.memory_roof_seconds;
    compute_roof_seconds += other.compute_roof_seconds;
    overhead_seconds += other.overhead_seconds;
    return *this;
}

StepPrices::StepPrices(const backend::Backend& backend, const model::Program& program, const hardware::Profile& machine,
                       const roofline::PriceOptions& options, const StepPricesOptions& limits) {
    const auto price = [&](const model::StepShape& shape) { return backend.price_step(program, shape, machine, options); };
    const auto row_of = [&](const StepPrice& priced, double n, bool of_outputs) {
        Row row{.n = n, .overhead_seconds = of_outputs ? 0.0 : priced.fixed_seconds};
        for (std::size_t i = 0; i < priced.ops.size(); ++i) {
            const OpPrice& op = priced.ops[i];
            if (is_of_outputs(program, program.ops[i]) != of_outputs) continue;
            row.overhead_seconds += op.overhead_seconds;
            if (attention_of(program.ops[i]) != nullptr) {  // of() adds what depends on the past
                row.read_bytes += op.cost.weight_bytes;
                row.memory_bound_bytes += op.cost.weight_bytes;
                continue;
            }
            const double bytes = op.cost.read_bytes();
            row.flops += op.cost.flops;
            row.read_bytes += bytes;
            const double peak_seconds = op.peak_flop_per_s > 0.0 ? op.cost.flops / op.peak_flop_per_s : 0.0;
            row.peak_seconds += peak_seconds;
            if (op.arithmetic == roofline::Arithmetic::kInt8) row.int8_seconds += peak_seconds;
            const bool reading_binds = op.roof_seconds * priced.roof_bytes_per_s <= bytes * (1.0 + 1e-9);
            (reading_binds ? row.memory_bound_bytes : row.compute_bound_seconds) += reading_binds ? bytes : op.roof_seconds;
        }
        return row;
    };
    for (const std::uint32_t n : grid_to(limits.n_tokens)) {
        const model::StepShape prompt{.sequences = {{.n_new = n, .n_past = 0, .n_outputs = 0}}};
        by_tokens_.push_back(row_of(price(prompt), n, false));
    }
    for (const std::uint32_t n : grid_to(std::min(limits.n_outputs, limits.n_tokens))) {
        const model::StepShape scored{.sequences = {{.n_new = n, .n_past = 0, .n_outputs = n}}};
        by_outputs_.push_back(row_of(price(scored), n, true));
    }
    const StepPrice one = price({.sequences = {{.n_new = 1, .n_past = 0, .n_outputs = 1}}});
    memory_bytes_per_s_ = one.roof_bytes_per_s;
    memory_level_ = one.level;
    add_attention(program, options, one);
    const Row& largest = by_tokens_.back();
    flop_per_s_ = largest.peak_seconds > 0.0 ? largest.flops / largest.peak_seconds : machine.float_flop_per_s;
    arithmetic_ = hardware::arithmetic_name(machine, largest.int8_seconds, largest.peak_seconds - largest.int8_seconds);
    add_bandwidths(backend, program, machine, options, limits);
}

// price: of a step of one token.
void StepPrices::add_attention(const model::Program& program, const roofline::PriceOptions& options, const StepPrice& price) {
    const model::SequenceStep probe{.n_new = 1, .n_past = 0, .n_outputs = 0};
    const roofline::Step step(model::StepShape{.sequences = {probe}});
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
        const model::AttentionOptions* const attention = attention_of(program.ops[i]);
        if (attention == nullptr) continue;
        const auto window = static_cast<double>(attention->window);
        const roofline::OpCost cost = roofline::op_cost(program, program.ops[i], step, options.cost);
        const Attention found{.n_ops = 1.0,
                              .window = window,
                              .flops_per_pair = cost.flops / pairs_seen(probe, window),
                              .bytes_per_position = cost.kv_read_bytes / positions_seen(probe, window),
                              .peak_flop_per_s = price.ops[i].peak_flop_per_s};
        const auto same = std::ranges::find_if(attention_, [&](const Attention& a) {
            return a.window == found.window && a.flops_per_pair == found.flops_per_pair &&
                   a.bytes_per_position == found.bytes_per_position && a.peak_flop_per_s == found.peak_flop_per_s;
        });
        if (same == attention_.end()) {
            attention_.push_back(found);
        } else {
            same->n_ops += 1.0;
        }
    }
}

// The best bandwidth depends on how much a step reads: a small model's weights lie in a cache, and its KV cache may not.
void StepPrices::add_bandwidths(const backend::Backend& backend, const model::Program& program, const hardware::Profile& machine,
                                const roofline::PriceOptions& options, const StepPricesOptions& limits) {
    for (double past = 0.0;; past = past == 0.0 ? 64.0 : past * 2.0) {
        const auto n_past = static_cast<std::uint32_t>(std::min<double>(past, limits.context));
        const std::uint32_t n_sequences = std::clamp(limits.n_sequences, 1U, limits.n_tokens);
        const auto add = [&](std::uint32_t n, std::uint32_t n_new) {
            const model::SequenceStep each{.n_new = n_new, .n_past = n_past, .n_outputs = 1};
            const StepPrice price = backend.price_step(program, model::StepShape{.sequences = std::vector(n, each)}, machine, options);
            bandwidth_.emplace_back(std::log(price.working_set_bytes), std::log(price.roof_bytes_per_s));
        };
        add(1, 1);
        add(n_sequences, 1);
        add(n_sequences, limits.n_tokens / n_sequences);  // where layers have windows, only new tokens see more
        if (past >= limits.context) break;
    }
    std::ranges::sort(bandwidth_);
}

// In logarithms, as the profile's own readings are joined.
double StepPrices::roof_bytes_per_s(double working_set_bytes) const {
    const double at = std::log(std::max(1.0, working_set_bytes));
    const auto above = std::lower_bound(bandwidth_.begin(), bandwidth_.end(), std::pair{at, 0.0});
    if (above == bandwidth_.begin()) return std::exp(above->second);
    if (above == bandwidth_.end()) return std::exp(bandwidth_.back().second);
    const auto below = std::prev(above);
    return std::exp(below->second + (above->second - below->second) * (at - below->first) / (above->first - below->first));
}

StepPrices::Row StepPrices::look_up(const Table& table, double n) {
    if (table.empty() || n <= 0.0) return {};
    const auto at = [&](const Row& low, const Row& high, double part) {
        const auto between = [part](double a, double b) { return a + (b - a) * part; };
        return Row{.n = n,
                   .flops = between(low.flops, high.flops),
                   .read_bytes = between(low.read_bytes, high.read_bytes),
                   .peak_seconds = between(low.peak_seconds, high.peak_seconds),
                   .int8_seconds = between(low.int8_seconds, high.int8_seconds),
                   .memory_bound_bytes = between(low.memory_bound_bytes, high.memory_bound_bytes),
                   .compute_bound_seconds = between(low.compute_bound_seconds, high.compute_bound_seconds),
                   .overhead_seconds = between(low.overhead_seconds, high.overhead_seconds)};
    };
    if (n >= table.back().n) return table.back();
    if (n <= kEachUpTo && n <= static_cast<double>(table.size())) return table[static_cast<std::size_t>(n) - 1];
    const auto above = std::lower_bound(table.begin(), table.end(), n, [](const Row& row, double m) { return row.n < m; });
    if (above == table.begin() || above->n == n) return *above;
    const auto below = std::prev(above);
    return at(*below, *above, (n - below->n) / (above->n - below->n));
}

void StepPrices::add(StepRoof& roof, const Row& row, double bytes_per_s) {
    roof.flops += row.flops;
    roof.read_bytes += row.read_bytes;
    roof.peak_seconds += row.peak_seconds;
    roof.memory_roof_seconds += row.memory_bound_bytes / bytes_per_s;
    roof.compute_roof_seconds += row.compute_bound_seconds;
    roof.overhead_seconds += row.overhead_seconds;
}

StepRoof StepPrices::of(const model::StepShape& shape) const {
    double n_tokens = 0.0, n_outputs = 0.0;
    for (const model::SequenceStep& s : shape.sequences) {
        n_tokens += s.n_new;
        n_outputs += s.n_outputs;
    }
    const Row tokens = look_up(by_tokens_, n_tokens);
    const Row outputs = look_up(by_outputs_, n_outputs);
    struct Seen {
        double flops = 0.0;
        double bytes = 0.0;
    };
    constexpr std::size_t kMaxKinds = 8;  // of attention; models have one or two
    std::array<Seen, kMaxKinds> seen{};
    const std::size_t n_kinds = std::min(kMaxKinds, attention_.size());
    double kv_bytes = 0.0;
    for (std::size_t i = 0; i < n_kinds; ++i) {
        const Attention& kind = attention_[i];
        double positions = 0.0, pairs = 0.0;
        for (const model::SequenceStep& s : shape.sequences) {
            positions += positions_seen(s, kind.window);
            pairs += pairs_seen(s, kind.window);
        }
        seen[i] = {.flops = kind.flops_per_pair * pairs, .bytes = kind.bytes_per_position * positions};
        kv_bytes += kind.n_ops * seen[i].bytes;
    }
    const double bytes_per_s = roof_bytes_per_s(tokens.read_bytes + outputs.read_bytes + kv_bytes);
    StepRoof roof;
    add(roof, tokens, bytes_per_s);
    add(roof, outputs, bytes_per_s);
    for (std::size_t i = 0; i < n_kinds; ++i) {
        const double n = attention_[i].n_ops;
        const double read = seen[i].bytes / bytes_per_s;
        const double peak = attention_[i].peak_flop_per_s > 0.0 ? seen[i].flops / attention_[i].peak_flop_per_s : 0.0;
        roof.flops += n * seen[i].flops;
        roof.read_bytes += n * seen[i].bytes;
        roof.peak_seconds += n * peak;
        (read >= peak ? roof.memory_roof_seconds : roof.compute_roof_seconds) += n * std::max(read, peak);
    }
    roof.read_seconds = roof.read_bytes / bytes_per_s;
    return roof;
}

}  // namespace rafter::server
