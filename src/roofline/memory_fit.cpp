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
    if (!has_overheads(setup.engine)) return workspace_bytes(list, setup.types, std::max(n, q.chunk_tokens), n) * p.devices();
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

MemoryFit fit_alone(const PricedList& list, const Setup& setup, const MemoryQuestion& q) {
    const Parallel& p = setup.parallel;
    const CostOptions options = setup.types.cost_options();
    MemoryFit fit;
    fit.capacity_bytes = setup.hardware.memory_bytes * driver_share(setup.engine) * p.devices() *
                         (q.follows_engine ? default_memory_fraction(setup.engine, setup.hardware, p) : q.memory_fraction);
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
    return fit;
}

// Each is the answer of a plan with those options.
class Remedies {
  public:
    Remedies(const MemoryFit& fit, const PricedList& list, const Setup& setup, const MemoryQuestion& q)
        : fit_(fit), list_(list), setup_(setup), q_(q) {}

    std::vector<std::string> run() && {
        if (fit_.paged.max_sequences >= 1) {
            found_.push_back(fmt::format("--batch {}: that many sequences of {} tokens fit", report::plain(fit_.paged.max_sequences),
                                         report::whole(q_.n_context)));
        }
        if (setup_.types.kv.key > 1) {
            Setup v = setup_;
            v.types.kv = {1.0, 1.0};
            if (fit_alone(list_, v, q_).fits) found_.emplace_back("--kv int8: half the cache");
        }
        narrower_weights();
        more_devices();
        return std::move(found_);
    }

  private:
    void narrower_weights() {
        for (const double bits : {8.0, 4.0}) {
            Setup v = setup_;
            set_weight_bits(v, bits);
            const MemoryFit after = fit_alone(list_, v, q_);
            if (after.weights_bytes >= fit_.weights_bytes) continue;
            if (after.fits) {
                found_.push_back(fmt::format("--weights int{:.0f}: {} of weights", bits, report::bytes(after.weights_bytes)));
                return;
            }
            if (fit_.paged.max_sequences >= 1 || after.paged.max_sequences < 1) continue;
            found_.push_back(fmt::format("--weights int{:.0f} --batch {}: {} of weights", bits, report::plain(after.paged.max_sequences),
                                         report::bytes(after.weights_bytes)));
            return;
        }
    }

    // The fewest, doubled; heads are shared first, as --devices alone would share them, or layers where the engine does so.
    void more_devices() {
        constexpr int kMaxDoublings = 8;
        const bool layers_first = setup_.engine == EngineKind::kLlamaCpp;
        for (int n = 1; n <= kMaxDoublings; ++n) {
            for (int i = 0; i <= n; ++i) {
                Setup v = setup_;
                Parallel& p = v.parallel;
                const int n_tensor = layers_first ? i : n - i;
                p.tp *= std::exp2(n_tensor);
                p.pp *= std::exp2(n - n_tensor);
                if (!check_parallel(list_, p)) continue;
                const MemoryFit after = fit_alone(list_, v, q_);
                if (!after.fits) continue;
                found_.push_back(fmt::format("--devices {:.0f} --parallel tp={:.0f},pp={:.0f}{}{}: {} of memory together", p.devices(),
                                             p.tp, p.pp, p.ep > 1 ? fmt::format(",ep={:.0f}", p.ep) : "",
                                             p.cp > 1 ? fmt::format(",cp={:.0f}", p.cp) : "", report::bytes(after.capacity_bytes)));
                return;
            }
        }
    }

    const MemoryFit& fit_;
    const PricedList& list_;
    const Setup& setup_;
    const MemoryQuestion& q_;
    std::vector<std::string> found_;
};

}  // namespace

MemoryFit fit_memory(const PricedList& list, const Setup& setup, const MemoryQuestion& q) {
    MemoryFit fit = fit_alone(list, setup, q);
    if (!fit.fits && q.with_remedies) fit.remedies = Remedies(fit, list, setup, q).run();
    return fit;
}

}  // namespace rafter::roofline
