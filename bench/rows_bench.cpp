// The kernels on rows that stay in the nearest cache, as the probe calls them: norms, RoPE, activations, quantising, storing keys and
// values, looking up embeddings.   row/avx2/rms_norm/2048: one row of so many elements.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "model/program.h"
#include "probe/row_bench.h"
#include "roofline/op_cost.h"
#include "roofs.h"
#include "tensor/formats/formats.h"

namespace rafter::bench {
namespace {

using backend::cpu::Isa;
using model::OpKind;
using probe::RowWork;

// Which op a kernel does, and how many rows of floats it reads.
struct RowShape {
    OpKind op;
    unsigned n_inputs;
};

RowShape shape_of(const std::string& kind) {
    if (kind == "rms_norm") return {OpKind::kRmsNorm, 2};
    if (kind == "add") return {OpKind::kAdd, 2};
    if (kind == "silu" || kind == "gelu" || kind == "swiglu") return {OpKind::kGatedActivation, 2};
    if (kind == "softcap") return {OpKind::kSoftcap, 1};
    if (kind == "rope") return {OpKind::kRope, 1};
    if (kind == "combine") return {OpKind::kCombineExperts, 1};
    if (kind == "route") return {OpKind::kRoute, 1};
    if (kind.starts_with("quantize_")) return {OpKind::kQuantize, 1};
    if (kind.starts_with("store_")) return {OpKind::kKvAppend, 2};
    if (kind.starts_with("embed_")) return {OpKind::kEmbed, 0};
    return {OpKind::kSelectOutputs, 1};  // "copy", "angles"
}

// By the cost of an op of that kind on one row.
CallCost cost_of(const std::string& kind, std::uint32_t width) {
    const RowShape shape = shape_of(kind);
    model::Program program;
    program.config.moe.n_experts_used = 1;  // "combine" reads all its ranks' elements
    program.values = {{.name = "x", .width = width}, {.name = "y", .width = width}};
    const model::Op op{.kind = shape.op, .name = kind, .inputs = {0}, .outputs = {1}, .weights = {}, .options = {}, .parts = {}};
    CallCost cost{.read_bytes = static_cast<double>(shape.n_inputs) * width * sizeof(float),
                  .ops = roofline::op_cost(program, op, roofline::decode_step(1, 1), {}).flops};
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (kind == "embed_" + std::string(format.name)) cost.read_bytes = static_cast<double>(format.row_bytes(width));
    }
    return cost;
}

void row(benchmark::State& state, Isa isa, const RowWork& work, std::uint32_t width) {
    const auto data = std::make_unique<probe::RowData>();
    measure(state, isa, cost_of(work.kind, width), [&] { work.run(*data, width); });
}

const int kRegistered = [] {
    for (const Isa isa : backend::cpu::available_isas()) {
        for (const RowWork& work : probe::row_work(isa)) {
            for (const std::uint32_t width : {512U, 2048U, 4096U}) {
                benchmark::RegisterBenchmark(("row/" + std::string(to_string(isa)) + "/" + work.kind + "/" + std::to_string(width)).c_str(),
                                             [=](benchmark::State& s) { row(s, isa, work, width); });
            }
        }
    }
    return 0;
}();

}  // namespace
}  // namespace rafter::bench
