// Rope tables: rotation speeds from a file's keys and tensors, with the context extensions that models ship with.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/arch/arch.h"
#include "tensor/formats/formats.h"

namespace rafter::model {
namespace {

// Divisors of each speed, [n_dims / 2], stored as a tensor.
Result<std::optional<std::vector<float>>> find_factors(const ArchKeys& keys, std::string_view name, std::size_t n) {
    const files::NamedTensor* tensor = keys.source().find_tensor(name);
    if (tensor == nullptr) return std::optional<std::vector<float>>();
    if (tensor->dtype != tensor::DType::kF32 || tensor->n_elements() != n) {
        return bad_input("{}: expected {} numbers of type F32, found {} of type {}", name, n, tensor->n_elements(),
                         tensor::format_of(tensor->dtype).name);
    }
    std::vector<float> factors(n);
    std::vector<std::byte> scratch(tensor->size_bytes());
    tensor::format_of(tensor::DType::kF32).decode(keys.source().rows(*tensor, 0, tensor->n_rows(), scratch).data(), factors.data(), n);
    for (const float f : factors) {
        if (!std::isfinite(f) || f <= 0) return bad_input("{}: expected numbers above 0, found {}", name, f);
    }
    return std::optional(std::move(factors));
}

// YaRN (https://arxiv.org/abs/2309.00071, section 3): speeds that turn more than beta_fast times within the original context stay, those
// that turn less than beta_slow times are divided by the factor, and a linear ramp over the dimensions joins them.
Result<void> scale_by_yarn(const ArchKeys& keys, float base, float factor, std::uint32_t original_context, YarnRounding rounding,
                           RopeTable& table) {
    RAFTER_TRY(const float beta_fast, keys.get_positive_or("rope.scaling.yarn_beta_fast", 32.0F));
    RAFTER_TRY(const float beta_slow, keys.get_positive_or("rope.scaling.yarn_beta_slow", 1.0F));
    const auto half = static_cast<double>(table.inverse_frequency.size());
    const auto dimension_of = [&](double turns) {
        return half * std::log(original_context / (turns * 2 * std::numbers::pi)) / std::log(static_cast<double>(base));
    };
    double low = dimension_of(beta_fast);
    double high = dimension_of(beta_slow);
    if (rounding == YarnRounding::kWhole) {
        low = std::floor(low);
        high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, 2 * half - 1);
    for (std::size_t i = 0; i < table.inverse_frequency.size(); ++i) {
        const double ramp = std::clamp((static_cast<double>(i) - low) / std::max(high - low, 0.001), 0.0, 1.0);
        const double own = table.inverse_frequency[i];
        table.inverse_frequency[i] = static_cast<float>(own / factor * ramp + own * (1 - ramp));
    }
    RAFTER_TRY(const float attention_factor, keys.get_positive_or("rope.scaling.attn_factor", 1.0F));
    table.magnitude = attention_factor * static_cast<float>(1.0 + 0.1 * std::log(static_cast<double>(factor)));
    return {};
}

// LongRoPE (https://arxiv.org/abs/2402.13753): two searched sets of divisors, one for contexts within the original length.
Result<void> scale_by_longrope(const ArchKeys& keys, std::uint32_t n_context, std::uint32_t original_context, RopeTable& table) {
    const std::uint32_t wanted = keys.options().context.value_or(n_context);
    const std::string_view name = wanted > original_context ? "rope_factors_long.weight" : "rope_factors_short.weight";
    RAFTER_TRY(const auto factors, find_factors(keys, name, table.inverse_frequency.size()));
    if (!factors) return bad_input("{}: expected the divisors of LongRoPE, found no such tensor", name);
    for (std::size_t i = 0; i < factors->size(); ++i) table.inverse_frequency[i] /= (*factors)[i];
    const double stretch = static_cast<double>(n_context) / original_context;
    const double own = stretch <= 1 ? 1.0 : std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(original_context)));
    RAFTER_TRY(table.magnitude, keys.get_positive_or("rope.scaling.attn_factor", static_cast<float>(own)));
    return {};
}

}  // namespace

RopeTable plain_rope(std::uint32_t n_dims, float base, RopePairing pairing) {
    RopeTable table{.inverse_frequency = std::vector<float>(n_dims / 2), .magnitude = 1.0F, .pairing = pairing};
    for (std::uint32_t i = 0; i < n_dims / 2; ++i) {
        table.inverse_frequency[i] = static_cast<float>(std::pow(static_cast<double>(base), -2.0 * i / n_dims));
    }
    return table;
}

Result<RopeTable> read_rope(const ArchKeys& keys, const ModelConfig& config, RopePairing pairing, YarnRounding rounding) {
    RAFTER_TRY(const std::uint32_t n_dims, keys.get_uint_or("rope.dimension_count", config.head_dim, 2, config.head_dim));
    if (n_dims % 2 != 0) return bad_input("{}: expected an even number, found {}", keys.key("rope.dimension_count"), n_dims);
    RAFTER_TRY(const float base, keys.get_positive_or("rope.freq_base", 10000.0F));
    if (base <= 1) return bad_input("{}: expected a number above 1, found {}", keys.key("rope.freq_base"), base);
    RopeTable table = plain_rope(n_dims, base, pairing);

    // Llama 3's scaling (and Mistral's, if any) comes as ready divisors.
    RAFTER_TRY(const auto factors, find_factors(keys, "rope_freqs.weight", n_dims / 2));
    if (factors) {
        for (std::size_t i = 0; i < factors->size(); ++i) table.inverse_frequency[i] /= (*factors)[i];
    }

    RAFTER_TRY(const float linear, keys.get_positive_or("rope.scale_linear", 1.0F));  // the older key
    RAFTER_TRY(const float factor, keys.get_positive_or("rope.scaling.factor", linear));
    RAFTER_TRY(std::uint32_t original_context, keys.get_uint_or("rope.scaling.original_context_length", config.n_context, 1, 1U << 30));
    const bool has_long = keys.has_tensor("rope_factors_long.weight") || keys.has_tensor("rope_factors_short.weight");
    RAFTER_TRY(const std::string type, keys.get_string_or("rope.scaling.type", has_long ? "longrope" : factor != 1.0F ? "linear" : "none"));
    if (type == "yarn") {
        RAFTER_TRY_VOID(scale_by_yarn(keys, base, factor, original_context, rounding, table));
    } else if (type == "longrope" || has_long) {
        RAFTER_TRY_VOID(scale_by_longrope(keys, config.n_context, original_context, table));
    } else if (type == "linear") {
        for (float& f : table.inverse_frequency) f /= factor;
    } else if (type != "none") {
        return bad_input("{}: expected none, linear, yarn or longrope, found \"{}\"", keys.key("rope.scaling.type"), type);
    }
    return table;
}

}  // namespace rafter::model
