// What the hardware allows for a step, in about a microsecond: the roofline's price of each op, kept as tables over the step's tokens and
// outputs, and attention computed from each sequence's past.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "hardware/profile.h"
#include "model/program.h"
#include "model/step_shape.h"
#include "roofline/op_price.h"

namespace rafter::server {

// Of one step. Sums over its ops.
struct StepRoof {
    double flops = 0.0;
    double read_bytes = 0.0;            // weights and KV cache
    double read_seconds = 0.0;          // of read_bytes, at the best bandwidth
    double peak_seconds = 0.0;          // of flops, at the peak of the arithmetic units
    double memory_roof_seconds = 0.0;   // the least that ops can take which reading binds
    double compute_roof_seconds = 0.0;  // and that those can take which arithmetic binds
    double overhead_seconds = 0.0;      // predicted: beginning the step, barriers between ops

    [[nodiscard]] double roof_seconds() const { return memory_roof_seconds + compute_roof_seconds; }
    // kOverhead: beginning and barriers take longer than either roof.
    [[nodiscard]] roofline::PriceBound bound() const;
    StepRoof& operator+=(const StepRoof& other);
};

struct StepPricesOptions {
    std::uint32_t n_tokens = 512;   // a step has at most
    std::uint32_t n_outputs = 64;   // rows with logits, at most
    std::uint32_t context = 4096;   // tokens of a sequence, at most
    std::uint32_t n_sequences = 1;  // that run together, at most
};

// Immutable: for any thread.
class StepPrices {
  public:
    // Asks the backend for some hundred prices. program: bound and rewritten for the backend, and that of the engine whose steps come.
    StepPrices(const backend::Backend& backend, const model::Program& program, const hardware::Profile& machine,
               const roofline::PriceOptions& options, const StepPricesOptions& limits);

    [[nodiscard]] StepRoof of(const model::StepShape& shape) const;

    // The roofs of a chart: the best bandwidth for this model's weights, and the peak of a large step's mix of arithmetic.
    [[nodiscard]] double memory_bytes_per_s() const { return memory_bytes_per_s_; }
    [[nodiscard]] double flop_per_s() const { return flop_per_s_; }
    [[nodiscard]] const std::string& memory_level() const { return memory_level_; }  // where the weights lie: "memory", "L3 cache"
    [[nodiscard]] const std::string& arithmetic() const { return arithmetic_; }      // what has that peak: "VNNI int8"

  private:
    // Of the ops other than attention in a step of n rows.
    struct Row {
        double n = 0.0;
        double flops = 0.0;
        double read_bytes = 0.0;
        double peak_seconds = 0.0;
        double int8_seconds = 0.0;        // of peak_seconds
        double memory_bound_bytes = 0.0;  // of ops that reading binds
        double compute_bound_seconds = 0.0;
        double overhead_seconds = 0.0;
    };
    using Table = std::vector<Row>;  // ascending in n
    // Attention ops that are alike but for their layer.
    struct Attention {
        double n_ops = 0.0;
        double window = 0.0;  // positions that a token sees; 0: all
        double flops_per_pair = 0.0;
        double bytes_per_position = 0.0;
        double peak_flop_per_s = 0.0;
    };

    void add_attention(const model::Program& program, const roofline::PriceOptions& options, const roofline::StepPrice& price);
    void add_bandwidths(const backend::Backend& backend, const model::Program& program, const hardware::Profile& machine,
                        const roofline::PriceOptions& options, const StepPricesOptions& limits);
    static void add(StepRoof& roof, const Row& row, double bytes_per_s);
    [[nodiscard]] static Row look_up(const Table& table, double n);
    [[nodiscard]] double roof_bytes_per_s(double working_set_bytes) const;

    Table by_tokens_;
    Table by_outputs_;
    std::vector<Attention> attention_;
    std::vector<std::pair<double, double>> bandwidth_;  // logarithms of a working set's bytes, ascending, and of bytes a second at best
    double memory_bytes_per_s_ = 0.0;
    double flop_per_s_ = 0.0;
    std::string memory_level_;
    std::string arithmetic_;
};

}  // namespace rafter::server
