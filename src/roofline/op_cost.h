// Op × step shape → arithmetic and bytes: what the rest of the roofline prices, what a run's summary divides by its time, and what a
// profile compares with the clock. One case for each kind of op; a fused op is the sum of its parts without what stays inside.
#pragma once

#include <map>
#include <optional>

#include "model/program.h"
#include "roofline/step.h"
#include "tensor/dtype.h"

namespace rafter::roofline {

// Bytes an element takes in the cache.
struct KvElementBytes {
    double key = 2.0;
    double value = 2.0;
};

struct CostOptions {
    KvElementBytes kv;
    double activation_bytes = 4.0;  // an element of a float value, as it goes from op to op
    // Bits a weight, where they are not those of its bound type: of all weights, and of experts' weights.
    std::optional<double> weight_bits;
    std::optional<double> expert_bits;
    std::optional<double> table_bits;  // of the embedding's table and the head's matrix
};

// Doubles, because which experts a token chooses is known only on average. A multiply and add are two flops.
struct OpCost {
    double flops = 0.0;
    double weight_bytes = 0.0;  // read
    double kv_read_bytes = 0.0;
    double kv_written_bytes = 0.0;
    double activation_bytes = 0.0;  // read and written at the op's border

    [[nodiscard]] double bytes() const { return weight_bytes + kv_read_bytes + kv_written_bytes + activation_bytes; }
    // What must come from memory however well the op is written.
    [[nodiscard]] double read_bytes() const { return weight_bytes + kv_read_bytes; }
    // Flops a byte.
    [[nodiscard]] double intensity() const { return bytes() > 0.0 ? flops / bytes() : 0.0; }

    OpCost& operator+=(const OpCost& other);
    [[nodiscard]] OpCost scaled(double factor) const;
};

// Each byte counts once a step, however many of its rows use it: a weight matrix, an expert that some token chose, a position of the cache
// that some new token sees. Of an embedding table the rows of the step's tokens count. Where options leave the weights' bits open, the
// program must be bound.
[[nodiscard]] OpCost op_cost(const model::Program& program, const model::Op& op, const Step& step, const CostOptions& options);
[[nodiscard]] OpCost step_cost(const model::Program& program, const Step& step, const CostOptions& options);

// The weights of step_cost() by the type they are held in.
[[nodiscard]] std::map<tensor::DType, double> weight_bytes_by_type(const model::Program& program, const Step& step);

// Bits an element of a weight takes: as options say, or as its type does. Vectors are held as float in a bound program.
[[nodiscard]] double weight_bits(const model::Weight& weight, const CostOptions& options);

// What one more position takes in the cache: in one layer, and in all.
[[nodiscard]] double position_bytes(const model::ModelConfig& config, KvElementBytes kv);
[[nodiscard]] double kv_bytes_per_token(const model::ModelConfig& config, KvElementBytes kv);

// Of n_experts, how many are chosen by at least one of n_tokens that choose n_used each, were all choices alike: n_used for one token.
[[nodiscard]] double expected_experts(double n_experts, double n_used, double n_tokens);

// Pairs of a new token and a position that it sees, in a causal layer. window 0: all positions.
[[nodiscard]] double attention_pairs(const Step& step, double window);

}  // namespace rafter::roofline
