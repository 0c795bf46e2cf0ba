// Matrices that share an input are one op of the real program; here each has an op, and so a price, of its own.
#include "engine/quantize/decode_price.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "engine/quantize/encoded_source.h"
#include "model/model_file.h"
#include "roofline/plan.h"
#include "tensor/formats/formats.h"

namespace rafter::engine {
namespace {

// Ops that differ in nothing else cost the same, whatever their layer.
using OpLook = std::tuple<model::OpKind, std::vector<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, tensor::DType>>>;
OpLook look_of(const model::Program& program, const model::Op& op) {
    OpLook look{op.kind, {}};
    for (const model::WeightId id : op.weights) {
        const model::Weight& w = program.weights[id];
        std::get<1>(look).emplace_back(w.n_experts, w.n_rows, w.n_cols, w.dtype);
    }
    return look;
}

}  // namespace

struct DecodePrices::Step {
    model::Program program;
    std::vector<double> op_seconds;  // [n_ops]; of ops without weights 0 where nobody asks for them
    double seconds = 0.0;
};

Result<OpenedModel> DecodePrices::typed(const TensorTypes& types) const {
    auto source = std::make_unique<EncodedSource>(*opened_.source);
    for (const auto& [name, type] : types) source->set(name, type);
    return opened_with(opened_, std::move(source));
}

std::uint32_t DecodePrices::context() const { return std::min(kPricedContext, opened_.config.n_context); }

Result<DecodePrices::Step> DecodePrices::price_here(const TensorTypes& types, bool is_fused) const {
    RAFTER_TRY(const OpenedModel model, typed(types));
    LoadModelOptions load;
    load.context = context();
    if (!is_fused) load.without_fusions = {"linears"};
    RAFTER_TRY(PreparedModel prepared, prepare_model(backend_, model, load));
    roofline::PriceOptions options;
    options.cost.kv = prepared.kv_element_bytes;
    Step step{.program = std::move(prepared.program), .op_seconds = {}};
    model::StepShape shape;
    shape.sequences.push_back({.n_new = 1, .n_past = context() - 1, .n_outputs = 1});
    const roofline::StepPrice price = backend_.price_step(step.program, shape, machine_.profile, options);
    if (!price.complete) return bad_input("the machine's profile has no speed of some of the types: `rafter probe` measures them");
    for (const roofline::OpPrice& op : price.ops) step.op_seconds.push_back(op.seconds);
    step.seconds = price.seconds;
    return step;
}

// As a plan prices a decode step of one sequence on one such device.
Result<DecodePrices::Step> DecodePrices::price_device(const TensorTypes& types, bool is_fused) const {
    RAFTER_TRY(const OpenedModel model, typed(types));
    RAFTER_TRY(model::Program program, model::bind(model::build(model.config), *model.source));
    roofline::PlannedModel planned = roofline::plan_bound(std::move(program), {});
    roofline::Setup setup{.hardware = *machine_.device, .efficiency = machine_.efficiency, .types = planned.native, .fused = is_fused};
    const roofline::Step decode = roofline::decode_step(1, context());
    Step step;
    step.seconds = roofline::price_step(planned.list(is_fused), setup, decode).seconds;
    if (is_fused) return step;
    step.program = std::move(planned.unfused.program);
    std::map<OpLook, double> known;
    for (const model::Op& op : step.program.ops) {
        if (op.weights.empty()) {
            step.op_seconds.push_back(0.0);
            continue;
        }
        const auto [found, is_new] = known.try_emplace(look_of(step.program, op), 0.0);
        if (is_new) {
            model::Program alone = step.program;
            alone.ops = {op};
            const roofline::PricedList list = roofline::make_list(std::move(alone));
            found->second = roofline::price_step(list, setup, decode, roofline::Detail::kOps).ops.front().seconds;
        }
        step.op_seconds.push_back(found->second);
    }
    return step;
}

Result<double> DecodePrices::step_seconds(const TensorTypes& types) const {
    RAFTER_TRY(const Step step, machine_.device ? price_device(types, true) : price_here(types, true));
    return step.seconds;
}

Result<void> DecodePrices::price_types(std::span<MatrixChoices> matrices) const {
    std::set<tensor::DType> all;
    for (const MatrixChoices& matrix : matrices) {
        for (const TypeChoice& choice : matrix.types) all.insert(choice.dtype);
    }
    for (const tensor::DType type : all) {
        TensorTypes types;
        for (const MatrixChoices& matrix : matrices) {
            // Where this type does not fit, any other: its price is not read.
            const auto fits = std::ranges::find(matrix.types, type, &TypeChoice::dtype);
            types[matrix.tensor] = fits != matrix.types.end() ? type : matrix.types.front().dtype;
        }
        RAFTER_TRY(const Step step, machine_.device ? price_device(types, false) : price_here(types, false));
        std::map<std::string, double, std::less<>> seconds;
        for (std::size_t i = 0; i < step.program.ops.size(); ++i) {
            const model::Op& op = step.program.ops[i];
            if (op.kind == model::OpKind::kEmbed) continue;  // a row of the table: the head's op, where it is the same tensor, is its price
            for (const model::WeightId id : op.weights) {
                seconds[step.program.weights[id].tensor] += step.op_seconds[i] / static_cast<double>(op.weights.size());
            }
        }
        for (MatrixChoices& matrix : matrices) {
            const auto found = std::ranges::find(matrix.types, type, &TypeChoice::dtype);
            if (found != matrix.types.end()) found->seconds = seconds[matrix.tensor];
        }
    }
    return {};
}

}  // namespace rafter::engine
