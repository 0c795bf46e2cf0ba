// Bisection on the multiplier: cost falls as the price of a unit rises.
#include "engine/quantize/allocation.h"

#include <cmath>
#include <limits>

namespace rafter::engine {
namespace {

double cost_of(const TypeChoice& choice, CostKind kind) { return kind == CostKind::kBytes ? choice.bytes : choice.seconds; }

// Beyond these prices nothing changes: every matrix has its cheapest type, or its best.
constexpr double kLogPriceRange = 120.0;

struct Improvement {
    std::size_t matrix = 0;
    std::size_t type = 0;
    double gain = 0.0;
    double cost = 0.0;
};
std::optional<Improvement> best_improvement(std::span<const MatrixChoices> matrices, const Allocation& now, CostKind kind, double room) {
    std::optional<Improvement> best;
    for (std::size_t m = 0; m < matrices.size(); ++m) {
        const TypeChoice& has = matrices[m].types[now.chosen[m]];
        for (std::size_t t = 0; t < matrices[m].types.size(); ++t) {
            const TypeChoice& other = matrices[m].types[t];
            const double cost = cost_of(other, kind) - cost_of(has, kind);
            const double gain = has.kl - other.kl;
            if (gain <= 0.0 || cost > room) continue;
            // What is better and costs nothing goes first.
            const double cost_at_least = std::max(cost, 1e-300);
            if (!best || gain * best->cost > best->gain * cost_at_least) best = {m, t, gain, cost_at_least};
        }
    }
    return best;
}

}  // namespace

Allocation allocation_of(std::span<const MatrixChoices> matrices, std::vector<std::size_t> chosen) {
    Allocation sum{.chosen = std::move(chosen)};
    for (std::size_t m = 0; m < matrices.size(); ++m) {
        const TypeChoice& choice = matrices[m].types[sum.chosen[m]];
        sum.bytes += choice.bytes;
        sum.seconds += choice.seconds;
        sum.kl += choice.kl;
    }
    return sum;
}

Allocation allocate_at(std::span<const MatrixChoices> matrices, CostKind kind, double price) {
    std::vector<std::size_t> chosen;
    for (const MatrixChoices& matrix : matrices) {
        std::size_t best = 0;
        for (std::size_t t = 1; t < matrix.types.size(); ++t) {
            const double cost = cost_of(matrix.types[t], kind);
            const double best_cost = cost_of(matrix.types[best], kind);
            const double total = matrix.types[t].kl + price * cost;
            const double best_total = matrix.types[best].kl + price * best_cost;
            if (total < best_total || (total == best_total && cost < best_cost)) best = t;
        }
        chosen.push_back(best);
    }
    return allocation_of(matrices, std::move(chosen));
}

std::optional<Allocation> allocate_within(std::span<const MatrixChoices> matrices, CostKind kind, double budget) {
    double low = -kLogPriceRange;
    double high = kLogPriceRange;
    Allocation found = allocate_at(matrices, kind, std::exp(high));
    if (found.cost(kind) > budget) return std::nullopt;
    for (int i = 0; i < 100; ++i) {
        const double middle = 0.5 * (low + high);
        Allocation at = allocate_at(matrices, kind, std::exp(middle));
        if (at.cost(kind) <= budget) {
            high = middle;
            found = std::move(at);
        } else {
            low = middle;
        }
    }
    while (const auto better = best_improvement(matrices, found, kind, budget - found.cost(kind))) {
        std::vector<std::size_t> chosen = found.chosen;
        chosen[better->matrix] = better->type;
        found = allocation_of(matrices, std::move(chosen));
    }
    return found;
}

std::vector<Allocation> pareto_front(std::span<const MatrixChoices> matrices, CostKind kind, std::size_t n) {
    const double least = allocate_at(matrices, kind, std::exp(kLogPriceRange)).cost(kind);
    const double most = allocate_at(matrices, kind, std::exp(-kLogPriceRange)).cost(kind);
    std::vector<Allocation> front;
    for (std::size_t i = 0; i < n; ++i) {
        const double part = n > 1 ? static_cast<double>(i) / static_cast<double>(n - 1) : 1.0;
        auto at = allocate_within(matrices, kind, least * std::pow(most / least, part) * (1.0 + 1e-12));
        if (!at) continue;
        if (!front.empty() && at->kl >= front.back().kl) continue;
        front.push_back(*std::move(at));
    }
    return front;
}

}  // namespace rafter::engine
