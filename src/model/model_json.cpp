// Dimensions as given, and the classic transformer's where they are not.
#include "model/model_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/model_layers_json.h"

namespace rafter::model {
namespace {

constexpr std::uint32_t kMaxLayers = 1'000'000'000;
constexpr std::uint32_t kMaxJsonWidth = 1'000'000'000;
constexpr std::uint32_t kMaxJsonContext = 2'000'000'000;
constexpr double kMaxParameters = 1e24;

std::uint32_t rounded_to(double n, double unit) { return static_cast<std::uint32_t>(std::max(1.0, std::round(n / unit)) * unit); }

// The shape of a model of which only the size is known: P = 12 L d^2, d = 128 L (as published ones of 10 to 500 billion are about).
// Layers and heads are many times 16, so that the usual numbers of devices divide them.
void guess_shape(double parameters, std::optional<std::uint32_t>& n_layers, std::optional<std::uint32_t>& d_model) {
    const double depth = std::cbrt(parameters / (12.0 * 128 * 128));
    if (!n_layers && d_model) n_layers = rounded_to(parameters / (12.0 * *d_model * *d_model), 1);
    if (!n_layers) n_layers = std::min(1U << 20, rounded_to(depth, depth >= 16 ? 16 : 1));
    const double width = std::sqrt(parameters / (12.0 * *n_layers));
    if (!d_model) d_model = static_cast<std::uint32_t>(std::min(1e9, double{1} * rounded_to(width, width >= 2048 ? 2048 : 64)));
}

// Of a list of layers, as far as its counts are whole numbers: what is wrong with them, reading them says.
std::uint32_t count_layers(const nlohmann::json& layers) {
    std::uint64_t n = 0;
    for (const nlohmann::json& layer : layers) {
        const bool counts = layer.is_object() && layer.contains("count") && layer["count"].is_number_unsigned();
        n += counts ? std::clamp<std::uint64_t>(layer["count"].get<std::uint64_t>(), 1, kMaxShapedLayers) : 1;
    }
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, kMaxLayers));
}

Result<void> read_heads(const JsonReader& keys, ModelConfig& c, std::vector<std::string>& notes) {
    RAFTER_TRY(const auto n_heads, keys.find_uint("n_heads", 1, 1U << 24));
    RAFTER_TRY(const auto head_dim, keys.find_uint("head_dim", 1, 1U << 24));
    RAFTER_TRY(const auto n_kv_heads, keys.find_uint("n_kv_heads", 1, 1U << 24));
    if (head_dim) c.head_dim = *head_dim;
    if (n_heads) {
        c.n_heads = *n_heads;
        if (!head_dim) c.head_dim = std::max(1U, c.d_model / c.n_heads);
        if (!head_dim && c.d_model % c.n_heads != 0) {
            return bad_input("{}: n_heads: expected a divisor of d_model {}, or a head_dim beside, found {}", keys.where(), c.d_model,
                             c.n_heads);
        }
    } else {
        for (const std::uint32_t usual : {128U, 64U, 32U, 1U}) {
            if (head_dim || c.d_model % usual != 0) continue;
            c.head_dim = usual;
            break;
        }
        c.n_heads = std::max(1U, c.d_model / c.head_dim);
        if (n_kv_heads && c.n_heads % *n_kv_heads != 0) c.n_heads = *n_kv_heads * std::max(1U, c.n_heads / *n_kv_heads);
        notes.push_back(fmt::format("n_heads not given: {} heads of {} assumed", c.n_heads, c.head_dim));
    }
    c.n_kv_heads = n_kv_heads.value_or(c.n_heads);
    if (c.n_heads % c.n_kv_heads != 0) {
        return bad_input("{}: n_kv_heads: expected a divisor of the {} heads, found {}", keys.where(), c.n_heads, c.n_kv_heads);
    }
    return {};
}

Result<void> read_experts(const JsonReader& keys, ModelConfig& c) {
    RAFTER_TRY(const auto n_experts, keys.find_uint("n_experts", 0, 1U << 24));
    RAFTER_TRY(const auto n_used, keys.find_uint("n_experts_per_token", 1, 1U << 24));
    RAFTER_TRY(const auto d_ff_expert, keys.find_uint("d_ff_expert", 1, kMaxJsonWidth));
    RAFTER_TRY(const auto d_ff_shared, keys.find_uint("d_ff_shared", 0, kMaxJsonWidth));
    c.moe.n_experts = n_experts.value_or(0);
    if (c.moe.n_experts == 0) return {};
    if (!n_used) return bad_input("{}: n_experts_per_token: expected a number beside n_experts, found no such key", keys.where());
    if (*n_used > c.moe.n_experts) {
        return bad_input("{}: n_experts_per_token: expected at most the {} experts, found {}", keys.where(), c.moe.n_experts, *n_used);
    }
    c.moe.n_experts_used = *n_used;
    c.moe.d_ff_expert = d_ff_expert.value_or(c.d_ff);
    c.moe.d_ff_shared = d_ff_shared.value_or(0);
    return {};
}

Result<void> read_mla(const JsonReader& keys, DescribedModel& m) {
    RAFTER_TRY(const auto mla, keys.find_object("mla"));
    if (!mla) return {};
    MlaConfig& c = m.config.mla;
    RAFTER_TRY(c.kv_lora_rank, mla->get_uint("kv_lora_rank", 1, 1U << 24));
    RAFTER_TRY(c.rope_head_dim, mla->get_uint("rope_head_dim", 0, 1U << 24));
    RAFTER_TRY(const auto nope, mla->find_uint("nope_head_dim", 1, 1U << 24));
    RAFTER_TRY(const auto value, mla->find_uint("value_head_dim", 1, 1U << 24));
    RAFTER_TRY(const auto q_rank, mla->find_uint("q_lora_rank", 0, 1U << 24));
    c.nope_head_dim = nope.value_or(m.config.head_dim);
    c.value_head_dim = value.value_or(c.nope_head_dim);
    c.q_lora_rank = q_rank.value_or(0);
    for (std::string& key : mla->unknown_keys()) m.unknown_keys.push_back({"mla." + key, mla->known_keys()});
    return {};
}

}  // namespace

Result<DescribedModel> read_model_json(const nlohmann::json& json, std::string_view name) {
    RAFTER_TRY(const JsonReader keys, JsonReader::open(json, std::string(name)));
    DescribedModel m;
    ModelConfig& c = m.config;
    RAFTER_TRY(const auto own_name, keys.find_string("name"));
    m.name = own_name.value_or(std::string(name));
    m.source = std::string(name);
    c.architecture = "dimensions";
    c.name = m.name;
    RAFTER_TRY(m.parameters, keys.find_number("parameters", 1.0, kMaxParameters));
    RAFTER_TRY(auto n_layers, keys.find_uint("n_layers", 1, kMaxLayers));
    const nlohmann::json* layers = keys.find("layers");
    if (!n_layers && layers != nullptr && layers->is_array() && !layers->empty()) n_layers = count_layers(*layers);
    RAFTER_TRY(auto d_model, keys.find_uint("d_model", 1, kMaxJsonWidth));
    if (!m.parameters && !(n_layers && d_model)) {
        return bad_input("{}: {}: expected a whole number (n_layers and d_model, or parameters alone), found no such key", name,
                         n_layers ? "d_model" : "n_layers");
    }
    if (!n_layers || !d_model) {
        guess_shape(*m.parameters, n_layers, d_model);
        m.notes.push_back(fmt::format("not all dimensions given: {} layers of width {} assumed", *n_layers, *d_model));
    }
    c.d_model = *d_model;
    RAFTER_TRY(const auto d_ff, keys.find_uint("d_ff", 1, kMaxJsonWidth));
    c.d_ff = d_ff.value_or(std::min(kMaxJsonWidth, 4 * std::min(c.d_model, kMaxJsonWidth / 4)));
    RAFTER_TRY_VOID(read_heads(keys, c, m.notes));
    RAFTER_TRY(const auto n_vocab, keys.find_uint("n_vocab", 0, kMaxJsonWidth));
    c.n_vocab = n_vocab.value_or(0);
    RAFTER_TRY(const auto n_context, keys.find_uint("n_context", 1, kMaxJsonContext));
    c.n_context = n_context.value_or(0);
    RAFTER_TRY(const auto tied, keys.find_bool("tied_embeddings"));
    c.tied_embeddings = tied.value_or(false);
    RAFTER_TRY(const auto gated, keys.find_bool("gated_ffn"));
    c.gated_ffn = gated.value_or(false);
    RAFTER_TRY_VOID(read_experts(keys, c));
    RAFTER_TRY_VOID(read_mla(keys, m));
    if (!widths_fit(c)) return bad_input("{}: expected widths whose products stay below 2^31, found larger ones", name);
    RAFTER_TRY(const auto window, keys.find_uint("sliding_window", 0, kMaxJsonContext));
    RAFTER_TRY(const auto pattern, keys.find_uint("sliding_window_pattern", 0, 128));
    RAFTER_TRY(const auto n_dense, keys.find_uint("n_dense_layers", 0, kMaxListedLayers / 2));
    RAFTER_TRY(m.kv_bytes_per_token, keys.find_number("kv_bytes_per_token", 0.0, 1e18));
    RAFTER_TRY(const auto bits, keys.find_number("weight_bits", 0.1, 64.0));
    m.weight_type = bits ? fmt::format("{:g} bits", *bits) : "16 bits";
    m.weight_bits = bits.value_or(16.0);
    lay_out({.n_layers = double{1} * *n_layers,
             .window = window.value_or(0),
             .full_every = pattern.value_or(0),
             .n_dense = n_dense.value_or(0)},
            m);
    if (layers != nullptr) RAFTER_TRY_VOID(read_layers_json(*layers, m.source, m));
    for (std::string& key : keys.unknown_keys()) m.unknown_keys.push_back({std::move(key), keys.known_keys()});
    return m;
}

}  // namespace rafter::model
