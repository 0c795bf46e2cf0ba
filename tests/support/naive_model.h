// A program interpreted op by op in float64, one whole sequence at a time, no cache, nothing fused: the slow and simple counterpart of a
// backend. Shares no arithmetic with it; only the meaning of the ops.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "files/gguf.h"
#include "model/program.h"

namespace rafter::backend {

class NaiveModel {
  public:
    using Rows = std::vector<std::vector<double>>;

    // The program must be as build() made it, bound to the file. Keys and values are rounded to the types of the cache that is compared.
    NaiveModel(const model::Program& program, const files::TensorSource& source, KvType key_type, KvType value_type);

    // Logits after each of the tokens: [n_tokens][n_vocab].
    [[nodiscard]] Rows logits(const std::vector<std::int32_t>& tokens) const;
    // Hidden states after the last norm: [n_tokens][d_model].
    [[nodiscard]] Rows hidden(const std::vector<std::int32_t>& tokens) const;

    // Any value of the program: [rows][width].
    [[nodiscard]] Rows value(model::ValueId id, const std::vector<std::int32_t>& tokens) const;

  private:
    struct Run;

    model::Program program_;
    std::vector<std::vector<double>> weights_;  // [n_weights]: all elements, decoded
    KvType key_type_;
    KvType value_type_;
};

}  // namespace rafter::backend
