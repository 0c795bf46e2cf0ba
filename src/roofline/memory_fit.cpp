// Sums over all devices: what is replicated counts as often as it is held.
#include "roofline/memory_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/units.h"
#include "roofline/engine.h"

namespace rafter::roofline {
namespace {

// The liveness plan of one row of each kind, times the rows; activations in the type that they have there.
double workspace_bytes(const PricedList& list, const NumberTypes& types, double n_tokens, double n_outputs) {
    return list.workspace_token_bytes * n_tokens * types.activation_bytes / 4 + list.workspace_output_bytes * n_outputs;
}

double elements(const CountedWeight& c) { return double{1} * c.weight.n_experts * c.weight.n_rows * c.weight.n_cols * c.count; }

// Of matrices that every device of a tensor-parallel group holds, the copies beyond the first.
double copied_weight_bytes(const PricedList& list, const Setup& setup) {
    if (setup.parallel.tp <= 1) return 0.0;
    double bytes = 0.0;
    for (const CountedWeight& c : list.weights) {
        if (is_replicated(setup, c.weight)) bytes += elements(c) * weight_bits(c, setup.types.cost_options()) / 8;
    }
    return bytes * list.weight_scale * (setup.parallel.tp - 1);
}

// Of all devices, with n sequences decoding.
double engine_bytes(const PricedList& list, const Setup& setup, const MemoryQuestion& q, double n_sequences) {
    const Parallel& p = setup.parallel;
    if (q.reserved_bytes) return *q.reserved_bytes * p.devices();
    const double n = n_sequences / p.ep / p.pp;
    if (setup.engine == EngineKind::kIdeal || setup.engine == EngineKind::kRafter)
        return workspace_bytes(list, setup.types, std::max(n, q.chunk_tokens), n) * p.devices();
    StepLimits limits = default_limits(setup.engine, setup.hardware);
    limits.n_tokens = q.step_tokens.value_or(limits.n_tokens);
    limits.n_sequences = q.max_sequences.value_or(limits.n_sequences);
    const EngineMemory m = engine_memory(list, setup, limits);
    // Only the last stage samples.
    const double last = 1 / p.pp;
    return (m.process + m.activations * (1 - last) + std::max(m.activations, m.logits) * last) * p.devices();
}

// available(n): bytes that are left for the cache with n sequences in a step, which falls as n grows.
template <typename Available>
CacheFit cache_fit(double bytes_per_sequence, double used_bytes, Available available) {
    CacheFit fit{.bytes_per_sequence = bytes_per_sequence};
    if (bytes_per_sequence <= 0) return fit;
    const auto room = [&](double n) { return std::floor(std::max(0.0, available(n)) / bytes_per_sequence * (1 + 1e-12)); };
    double low = 0.0;  // fits
    double high = room(1) + 1;
    while (high - low > 1 && high - low > 1e-12 * high) {
        const double n = std::floor((low + high) / 2);
        (room(n) >= n ? low : high) = n;
    }
    fit.max_sequences = low;
    fit.waste_fraction = std::max(0.0, 1 - used_bytes / bytes_per_sequence);
    return fit;
}

double in_blocks(double n, double block) { return std::ceil(n / block) * block; }

std::vector<std::string> remedies(const MemoryFit& fit, const PricedList& list, const Setup& setup, const MemoryQuestion& q) {
    std::vector<std::string> found;
    const double fixed = fit.weights_bytes + fit.workspace_bytes;
    const double per_device = fit.capacity_bytes / setup.parallel.devices();
    if (fit.paged.max_sequences >= 1) {
        found.push_back(fmt::format("--batch {}: that many sequences of {} tokens fit", report::plain(fit.paged.max_sequences),
                                    report::whole(q.n_context)));
    }
    if (setup.types.kv.key > 1 && fixed + fit.kv_bytes / setup.types.kv.key <= fit.capacity_bytes)
        found.emplace_back("--kv int8: half the cache");
    NumberTypes types = setup.types;
    for (const double bits : {8.0, 4.0}) {
        types.weight_bits = bits;
        types.expert_bits.reset();
        const double bytes = weight_bytes(list, types.cost_options());
        if (bytes < fit.weights_bytes && bytes + fit.workspace_bytes + fit.kv_bytes <= fit.capacity_bytes) {
            found.push_back(fmt::format("--weights int{:.0f}: {} of weights", bits, report::bytes(bytes)));
            break;
        }
    }
    const double needed =
        std::ceil((fit.weights_bytes + fit.kv_bytes) / std::max(1.0, per_device - fit.workspace_bytes / setup.parallel.devices()));
    if (needed > 1 && needed < 1e6) {
        double n = setup.parallel.devices();
        while (n < needed) n *= 2;
        found.push_back(fmt::format("--devices {:.0f}: {} of memory together", n, report::bytes(per_device * n)));
    }
    return found;
}

}  // namespace

MemoryFit fit_memory(const PricedList& list, const Setup& setup, const MemoryQuestion& q) {
    const Parallel& p = setup.parallel;
    const CostOptions options = setup.types.cost_options();
    MemoryFit fit;
    fit.capacity_bytes = setup.hardware.memory_bytes * driver_share(setup.engine) * p.devices() * q.memory_fraction;
    const double experts = expert_weight_bytes(list, options);
    // Each of ep's groups has its own copy of all but the experts.
    fit.weights_bytes = experts + (weight_bytes(list, options) - experts + copied_weight_bytes(list, setup)) * p.ep;
    const auto left = [&](double n) { return fit.capacity_bytes - fit.weights_bytes - engine_bytes(list, setup, q, n); };
    fit.workspace_bytes = engine_bytes(list, setup, q, q.n_sequences);
    fit.pool_bytes = left(q.n_sequences);
    const auto held = [&](double n_context) {
        return kv_bytes_per_sequence(list, setup.types.kv, n_context, [&](double n_kv_heads) { return cache_copies(setup, n_kv_heads); });
    };
    const double used = held(q.n_context);
    const double paged = held(in_blocks(q.n_context, q.block_size));
    const double contiguous = held(std::max(q.n_max_context, q.n_context));
    if (const double once = kv_bytes_per_sequence(list, setup.types.kv, q.n_context); once > 0) fit.kv_copies = used / once;
    fit.kv_bytes = used * q.n_sequences;
    fit.free_bytes = fit.pool_bytes - paged * q.n_sequences;
    fit.fits = fit.free_bytes >= 0;
    fit.paged = cache_fit(paged, used, left);
    fit.contiguous = cache_fit(contiguous, used, left);
    if (paged > 0) fit.max_tokens = std::floor(std::max(0.0, fit.pool_bytes) / paged * q.n_context);
    if (!fit.fits) fit.remedies = remedies(fit, list, setup, q);
    return fit;
}

}  // namespace rafter::roofline
