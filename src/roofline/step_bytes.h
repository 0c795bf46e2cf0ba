// Op × step shape → bytes that must come from memory: weights, and the keys and values of the cache. The rest of the roofline prices these;
// a summary divides them by the time to say how close to the memory roof a step ran.
#pragma once

#include <map>

#include "model/program.h"
#include "model/step_shape.h"

namespace rafter::roofline {

// Bytes an element takes in the cache.
struct KvElementBytes {
    double key = 2.0;
    double value = 2.0;
};

// Doubles, because which experts a token chooses is known only on average.
struct StepBytes {
    double weights = 0.0;
    double kv_read = 0.0;
    double kv_written = 0.0;

    [[nodiscard]] double read() const { return weights + kv_read; }
    StepBytes& operator+=(const StepBytes& other);
};

// Each byte counts once a step, however many of its rows use it: a weight matrix, an expert that some token chose, a position of the cache
// that some new token sees. Of an embedding table the rows of the step's tokens count. The program must be bound.
[[nodiscard]] StepBytes step_bytes(const model::Program& program, const model::Op& op, const model::StepShape& shape, KvElementBytes kv);
[[nodiscard]] StepBytes step_bytes(const model::Program& program, const model::StepShape& shape, KvElementBytes kv);

// The same weights by the type they are held in. Adds up to step_bytes().weights.
[[nodiscard]] std::map<tensor::DType, double> weight_bytes_by_type(const model::Program& program, const model::StepShape& shape);

// What one more position takes in the cache, in all layers.
[[nodiscard]] double kv_bytes_per_token(const model::ModelConfig& config, KvElementBytes kv);

// Of n_experts, how many are chosen by at least one of n_tokens that choose n_used each, were all choices alike: n_used for one token.
[[nodiscard]] double expected_experts(double n_experts, double n_used, double n_tokens);

}  // namespace rafter::roofline
