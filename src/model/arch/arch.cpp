// The list of architectures, and the reading of what they share.
#include "model/arch/arch.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace rafter::model {
namespace {

constexpr std::array kArchitectures = {
    Architecture{"llama", read_llama},       Architecture{"qwen2", read_qwen2},     Architecture{"qwen3", read_qwen3},
    Architecture{"gemma2", read_gemma2},     Architecture{"gemma3", read_gemma3},   Architecture{"phi3", read_phi3},
    Architecture{"qwen3moe", read_qwen3moe}, Architecture{"gpt-oss", read_gpt_oss},
};

// No model comes near these; products of two of them fit in 64 bits, and of the checked ones in 32.
constexpr std::uint32_t kMaxWidth = 1U << 20;
constexpr std::uint32_t kMaxHeads = 1U << 12;
constexpr std::uint32_t kMaxHeadDim = 1U << 12;
constexpr std::uint32_t kMaxContext = 1U << 30;

Error out_of_range(const std::string& key, std::uint64_t low, std::uint64_t high, std::uint64_t found) {
    return bad_input("{}: expected {} to {}, found {}", key, low, high, found);
}

// A count that some writers store as an array with an entry a layer: accepted when all entries agree.
Result<std::optional<std::uint64_t>> find_uniform(const files::Metadata& metadata, const std::string& key) {
    if (auto single = metadata.find_uint(key); single) return single;
    RAFTER_TRY(const auto list, metadata.find_ints(key));
    if (!list || list->empty()) return bad_input("{}: expected a number or a list of them, found an empty list", key);
    for (const std::int64_t n : *list) {
        if (n != list->front()) return bad_input("{}: expected the same number in every layer, found {} and {}", key, list->front(), n);
    }
    if (list->front() < 0) return bad_input("{}: expected a positive number, found {}", key, list->front());
    return std::optional<std::uint64_t>(static_cast<std::uint64_t>(list->front()));
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

std::vector<std::string_view> known_architectures() {
    std::vector<std::string_view> names;
    for (const Architecture& a : kArchitectures) names.push_back(a.name);
    return names;
}

Result<std::uint32_t> ArchKeys::get_uint_or(std::string_view name, std::uint32_t fallback, std::uint32_t low, std::uint32_t high) const {
    RAFTER_TRY(const auto found, find_uniform(source_->metadata(), key(name)));
    if (!found) return fallback;
    if (*found < low || *found > high) return out_of_range(key(name), low, high, *found);
    return static_cast<std::uint32_t>(*found);
}

Result<std::uint32_t> ArchKeys::get_uint(std::string_view name, std::uint32_t low, std::uint32_t high) const {
    if (!source_->metadata().has(key(name))) return bad_input("{}: expected a number, found no such key", key(name));
    return get_uint_or(name, 0, low, high);
}

Result<float> ArchKeys::get_float_or(std::string_view name, float fallback) const {
    RAFTER_TRY(const auto found, source_->metadata().find_float(key(name)));
    if (!found) return fallback;
    const auto value = static_cast<float>(*found);
    if (!std::isfinite(value)) return bad_input("{}: expected a finite number, found {}", key(name), *found);
    return value;
}

Result<float> ArchKeys::get_positive_or(std::string_view name, float fallback) const {
    RAFTER_TRY(const float value, get_float_or(name, fallback));
    if (value <= 0) return bad_input("{}: expected a number above 0, found {}", key(name), value);
    return value;
}

Result<std::string> ArchKeys::get_string_or(std::string_view name, std::string_view fallback) const {
    RAFTER_TRY(const auto found, source_->metadata().find_string(key(name)));
    return std::string(found.value_or(fallback));
}

Result<ModelConfig> read_common(const ArchKeys& keys, RopePairing pairing) {
    ModelConfig c;
    c.architecture = keys.architecture();
    RAFTER_TRY(const auto name, keys.source().metadata().find_string("general.name"));
    c.name = name.value_or(c.architecture);

    // A layer has several tensors, so the file's own count of tensors bounds what a hostile block_count can make us build.
    const auto n_tensors = static_cast<std::uint32_t>(std::min<std::size_t>(keys.source().tensors().size(), kMaxContext));
    RAFTER_TRY(c.n_layers, keys.get_uint("block_count", 1, kMaxContext));
    if (c.n_layers > n_tensors) {
        return bad_input("{}: expected tensors for each layer, found {} layers and {} tensors", keys.key("block_count"), c.n_layers,
                         n_tensors);
    }
    RAFTER_TRY(c.d_model, keys.get_uint("embedding_length", 1, kMaxWidth));
    RAFTER_TRY(c.d_ff, keys.get_uint_or("feed_forward_length", 0, 1, kMaxWidth));
    RAFTER_TRY(c.n_heads, keys.get_uint("attention.head_count", 1, kMaxHeads));
    RAFTER_TRY(c.n_kv_heads, keys.get_uint_or("attention.head_count_kv", c.n_heads, 1, kMaxHeads));
    if (c.n_heads % c.n_kv_heads != 0) {
        return bad_input("{}: expected a divisor of the {} query heads, found {}", keys.key("attention.head_count_kv"), c.n_heads,
                         c.n_kv_heads);
    }
    if (!keys.source().metadata().has(keys.key("attention.key_length")) && c.d_model % c.n_heads != 0) {
        return bad_input("{}: expected a divisor of embedding_length {}, found {}", keys.key("attention.head_count"), c.d_model, c.n_heads);
    }
    RAFTER_TRY(c.head_dim, keys.get_uint_or("attention.key_length", c.d_model / c.n_heads, 1, kMaxHeadDim));
    RAFTER_TRY(const std::uint32_t value_length, keys.get_uint_or("attention.value_length", c.head_dim, 1, kMaxHeadDim));
    if (value_length != c.head_dim) {
        return bad_input("{}: expected the key length {}, found {}", keys.key("attention.value_length"), c.head_dim, value_length);
    }
    if (std::uint64_t{c.n_heads} * c.head_dim > kMaxWidth) {
        return bad_input("{}: expected heads of together at most {} elements, found {} of {}", keys.key("attention.head_count"), kMaxWidth,
                         c.n_heads, c.head_dim);
    }
    RAFTER_TRY(c.n_context, keys.get_uint("context_length", 1, kMaxContext));
    RAFTER_TRY(c.norm_epsilon, keys.get_positive_or("attention.layer_norm_rms_epsilon", 1e-5F));

    const files::NamedTensor* table = keys.source().find_tensor("token_embd.weight");
    if (table == nullptr) return bad_input("token_embd.weight: expected the token embeddings, found no such tensor");
    if (table->shape.size() != 2 || table->shape[0] > kMaxContext) {
        return bad_input("token_embd.weight: expected [n_vocab, {}], found [{}]", c.d_model, fmt::join(table->shape, ", "));
    }
    c.n_vocab = static_cast<std::uint32_t>(table->shape[0]);
    c.tied_embeddings = !keys.has_tensor("output.weight");

    c.attention_scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim));
    c.layers.assign(c.n_layers, LayerConfig{});
    RAFTER_TRY(RopeTable table0, read_rope(keys, c, pairing));
    c.rope_tables.push_back(std::move(table0));
    return c;
}

Result<void> read_experts(const ArchKeys& keys, ModelConfig& c) {
    RAFTER_TRY(c.moe.n_experts, keys.get_uint_or("expert_count", 0, 0, 1U << 16));
    if (c.moe.n_experts == 0) return {};
    RAFTER_TRY(c.moe.n_experts_used, keys.get_uint("expert_used_count", 1, c.moe.n_experts));
    RAFTER_TRY(c.moe.d_ff_expert, keys.get_uint_or("expert_feed_forward_length", c.d_ff, 1, kMaxWidth));
    for (LayerConfig& layer : c.layers) layer.moe = true;
    return {};
}

Result<ModelConfig> read_config(const files::TensorSource& source, const ConfigOptions& options) {
    RAFTER_TRY(const std::string_view name, source.metadata().get_string("general.architecture"));
    for (const Architecture& architecture : kArchitectures) {
        if (architecture.name != name) continue;
        const ArchKeys keys(source, std::string(name), options);
        RAFTER_TRY(ModelConfig config, architecture.read(keys));
        const bool dense = std::ranges::any_of(config.layers, [](const LayerConfig& layer) { return !layer.moe; });
        if (dense && config.d_ff == 0) return bad_input("{}: expected a number, found no such key", keys.key("feed_forward_length"));
        return config;
    }
    return bad_input("general.architecture: expected one of {}, found \"{}\"", fmt::join(known_architectures(), ", "), name);
}

}  // namespace rafter::model
