// Matrices that share an input are one op of the real program; here each has an op, and so a price, of its own.
#include "engine/quantize/decode_price.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "engine/quantize/encoded_source.h"
#include "tensor/formats/formats.h"

namespace rafter::engine {

struct DecodePrices::Step {
    model::Program program;
    roofline::StepPrice price;
};

Result<DecodePrices::Step> DecodePrices::price(const TensorTypes& types, bool is_fused) const {
    auto source = std::make_unique<EncodedSource>(*opened_.source);
    for (const auto& [name, type] : types) source->set(name, type);
    RAFTER_TRY(text::ChatTemplate no_template, text::ChatTemplate::parse("", "no template"));
    const OpenedModel typed{
        .source = std::move(source), .tokenizer = nullptr, .config = opened_.config, .chat_template = std::move(no_template)};
    LoadModelOptions load;
    load.context = std::min(kPricedContext, opened_.config.n_context);
    if (!is_fused) load.without_fusions = {"linears"};
    RAFTER_TRY(PreparedModel prepared, prepare_model(backend_, typed, load));
    roofline::PriceOptions options;
    options.cost.kv = prepared.kv_element_bytes;
    Step step{.program = std::move(prepared.program), .price = {}};
    model::StepShape shape;
    shape.sequences.push_back({.n_new = 1, .n_past = *load.context - 1, .n_outputs = 1});
    step.price = backend_.price_step(step.program, shape, machine_, options);
    if (!step.price.complete) return bad_input("the machine's profile has no speed of some of the types: `rafter probe` measures them");
    return step;
}

Result<double> DecodePrices::step_seconds(const TensorTypes& types) const {
    RAFTER_TRY(const Step step, price(types, true));
    return step.price.seconds;
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
        RAFTER_TRY(const Step step, price(types, false));
        std::map<std::string, double, std::less<>> seconds;
        for (std::size_t i = 0; i < step.program.ops.size(); ++i) {
            const model::Op& op = step.program.ops[i];
            if (op.kind == model::OpKind::kEmbed) continue;  // a row of the table: the head's op, where it is the same tensor, is its price
            for (const model::WeightId id : op.weights) {
                seconds[step.program.weights[id].tensor] += step.price.ops[i].seconds / static_cast<double>(op.weights.size());
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
