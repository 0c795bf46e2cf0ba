// Sharding rules and collectives.
#include "roofline/parallel.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "report/units.h"

namespace rafter::roofline {
namespace {

bool divides(double n, double whole) { return n >= 1 && std::fmod(whole, n) == 0.0; }

// Whether n devices can share the model, and how; see choose_parallel().
std::optional<Parallel> shared_by(const PricedList& list, double n) {
    const model::ModelConfig& c = list.program.config;
    if (divides(n, c.n_heads)) return Parallel{.tp = n};
    // As much of n as divides the heads, the rest in stages.
    for (double tp = std::min(n, double{1} * c.n_heads); tp >= 1; --tp) {
        const double pp = n / tp;
        if (divides(tp, n) && divides(tp, c.n_heads) && divides(pp, list.n_layers)) return Parallel{.tp = tp, .pp = pp};
    }
    // Matrices can be split along both sides (Pope et al., https://arxiv.org/abs/2211.05102) with some devices short of a head.
    if (divides(n, c.d_model) && divides(n, c.d_ff)) return Parallel{.tp = n};
    return std::nullopt;
}

double over_link(double bytes, const Link& link) { return link.bytes_per_s > 0 ? bytes / link.bytes_per_s : 0.0; }

}  // namespace

Link link_of(const hardware::Hardware& hardware, double fraction) {
    return {hardware.link_bandwidth_bytes_per_s.value_or(0.0) * fraction, hardware.link_latency_s.value_or(0.0)};
}

double all_reduce_seconds(double bytes, double n, const Link& link, Collective collective) {
    if (n <= 1) return 0.0;
    if (collective == Collective::kFlat) return 2 * std::max(link.latency_s, over_link(bytes, link));
    return 2 * (n - 1) / n * over_link(bytes, link) + 2 * (n - 1) * link.latency_s;
}

double all_to_all_seconds(double bytes, double n, const Link& link, Collective collective) {
    if (n <= 1) return 0.0;
    const double wire = (n - 1) / n * over_link(bytes, link);
    return collective == Collective::kFlat ? std::max(link.latency_s, wire) : link.latency_s + wire;
}

double send_seconds(double bytes, const Link& link) { return link.latency_s + over_link(bytes, link); }

double engine_all_reduce_seconds(double bytes, double n, const Link& link) {
    if (n <= 1) return 0.0;
    return std::min(all_reduce_seconds(bytes, n, link, Collective::kRing), (n - 1) * over_link(bytes, link) + 2 * link.latency_s);
}

double expected_devices(double n, double n_used) { return n > 0 ? n * (1 - std::pow(1 - 1 / n, n_used)) : 0.0; }

double expert_imbalance(const ExpertLoad& load, double n) {
    if (n <= 1 || load.n_chosen <= 0 || load.n_experts <= 0) return 1.0;
    const double variance = 1 / load.n_chosen + load.skew * load.skew / load.n_experts;
    return std::min(n, 1 + std::sqrt(2 * std::log(n) * variance));
}

double all_reduces_per_layer(const model::ModelConfig& config) { return config.tensors.no_ffn_norm ? 1.0 : 2.0; }

Result<void> check_parallel(const PricedList& list, const Parallel& p) {
    const model::ModelConfig& c = list.program.config;
    for (const auto& [name, n] : {std::pair{"tp", p.tp}, {"pp", p.pp}, {"ep", p.ep}, {"cp", p.cp}}) {
        if (!(n >= 1 && n <= 1e6) || n != std::floor(n))
            return bad_input("--parallel {}: expected a whole number from 1 to 1,000,000, found {}", name,
                             n >= 1e6 ? report::whole(n) : report::plain(n));
    }
    if (!divides(p.tp, c.n_heads) && !divides(p.tp, list.n_layers)) {
        return bad_input("--parallel: {} devices (tp) cannot share {} heads or {} layers evenly", report::whole(p.tp),
                         report::whole(c.n_heads), report::whole(list.n_layers));
    }
    if (!divides(p.cp, p.tp))
        return bad_input("--parallel cp: expected a divisor of tp={}, found {}", report::whole(p.tp), report::whole(p.cp));
    if (p.pp > list.n_layers)
        return bad_input("--parallel pp: expected at most the {} layers, found {}", report::whole(list.n_layers), report::whole(p.pp));
    if (p.ep > 1 && c.moe.n_experts == 0) return bad_input("--parallel ep: expected a model with experts, found one without");
    if (p.ep > 1 && p.ep > c.moe.n_experts)
        return bad_input("--parallel ep: expected at most the {} experts, found {}", c.moe.n_experts, report::whole(p.ep));
    return {};
}

Result<Parallel> choose_parallel(const PricedList& list, double n) {
    const model::ModelConfig& c = list.program.config;
    if (const auto shared = shared_by(list, n)) return *shared;
    // The nearest numbers that can, below and above.
    constexpr double kFar = 64;
    const auto nearest = [&](double step) -> std::string {
        for (double at = n + step; at >= 1 && std::abs(at - n) <= kFar; at += step) {
            if (shared_by(list, at)) return report::whole(at);
        }
        return {};
    };
    const std::string below = nearest(-1);
    const std::string above = nearest(1);
    const std::string can = below + (below.empty() || above.empty() ? "" : " or ") + above;
    return bad_input("--devices: {} devices cannot share {} heads and {} layers evenly{}", report::whole(n), report::whole(c.n_heads),
                     report::whole(list.n_layers), can.empty() ? "" : "; " + can + " can");
}

double head_imbalance(const model::ModelConfig& config, double tp) { return std::ceil(config.n_heads / tp) / (config.n_heads / tp); }

}  // namespace rafter::roofline
