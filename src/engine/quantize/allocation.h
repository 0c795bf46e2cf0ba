// Which matrix gets how many bits: plain numbers in, a choice out. Losses of single matrices add up, so that the least loss for a cost is
// found matrix by matrix with one multiplier, the loss that a unit of cost must save.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace rafter::engine {

struct TypeChoice {
    tensor::DType dtype = tensor::DType::kF16;
    double bytes = 0.0;    // of the whole matrix
    double seconds = 0.0;  // a decoded token takes, where a target asks for it
    double error = 0.0;    // weighted squared error over the weighted sum of squares
    double kl = 0.0;       // that the model's output loses with this matrix alone in this type, nats a token
};
struct MatrixChoices {
    std::string tensor;
    double n_weights = 0.0;
    std::vector<TypeChoice> types;  // one at least
};

enum class CostKind { kBytes, kSeconds };

struct Allocation {
    std::vector<std::size_t> chosen;  // [matrices]: index of types
    double bytes = 0.0;
    double seconds = 0.0;
    double kl = 0.0;

    [[nodiscard]] double cost(CostKind kind) const { return kind == CostKind::kBytes ? bytes : seconds; }
};

// The sums of a choice, whoever made it.
[[nodiscard]] Allocation allocation_of(std::span<const MatrixChoices> matrices, std::vector<std::size_t> chosen);
// The least kl + price * cost of each matrix; of equals the cheaper.
[[nodiscard]] Allocation allocate_at(std::span<const MatrixChoices> matrices, CostKind kind, double price);
// The least loss found within the budget: by the multiplier, then whatever improvement still fits, the best for its cost first. None: even
// the cheapest of all costs more.
[[nodiscard]] std::optional<Allocation> allocate_within(std::span<const MatrixChoices> matrices, CostKind kind, double budget);
// Those that no other betters in both cost and loss, from the cheapest on, about n of them evenly over the range of costs.
[[nodiscard]] std::vector<Allocation> pareto_front(std::span<const MatrixChoices> matrices, CostKind kind, std::size_t n);

}  // namespace rafter::engine
