// Rules as data: which part of which layers gets which type.
#include "engine/quantize/mixes.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/folded_name.h"
#include "engine/convert/tensor_types.h"
#include "tensor/formats/formats.h"

namespace rafter::engine {
namespace {

using tensor::DType;

constexpr std::array kMixes = {
    Mix{"Q2_K_S", DType::kQ2_K, 21}, Mix{"Q3_K_S", DType::kQ3_K, 11}, Mix{"Q3_K_M", DType::kQ3_K, 12}, Mix{"Q3_K_L", DType::kQ3_K, 13},
    Mix{"Q4_K_S", DType::kQ4_K, 14}, Mix{"Q4_K_M", DType::kQ4_K, 15}, Mix{"Q5_K_S", DType::kQ5_K, 16}, Mix{"Q5_K_M", DType::kQ5_K, 17},
};

enum class Part {
    kHead,    // the output matrix, or the table that takes its place
    kValues,  // of attention, alone or together with queries or keys
    kAttentionOut,
    kDown,  // of the feed-forward part
    kOther,
};

Part part_of(std::string_view name, bool has_head) {
    if (name == "output.weight" || (!has_head && name == "token_embd.weight")) return Part::kHead;
    for (const std::string_view values : {"attn_v.weight", "attn_qkv.weight", "attn_kv_b.weight"}) {
        if (name.find(values) != name.npos) return Part::kValues;
    }
    if (name.find("attn_output.weight") != name.npos) return Part::kAttentionOut;
    if (name.find("ffn_down") != name.npos) return Part::kDown;
    return Part::kOther;
}

enum class Layers { kAll, kFirst2, kFirst4, kFirst16th, kFirst8th, kSensitive };

bool is_among(Layers layers, std::uint32_t layer, std::uint32_t n_layers) {
    switch (layers) {
        case Layers::kAll:
            return true;
        case Layers::kFirst2:
            return layer < 2;
        case Layers::kFirst4:
            return layer < 4;
        case Layers::kFirst16th:
            return layer < n_layers / 16;
        case Layers::kFirst8th:
            return layer < n_layers / 8;
        case Layers::kSensitive:  // the first and the last eighth, and every third between
            return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
    }
    return false;
}

struct PartRule {
    std::string_view mix;
    Part part;
    Layers layers;
    DType type;
    bool needs_shared_values = false;  // four heads or more share a value
};
// The first that fits holds.
constexpr std::array kRules = {
    PartRule{"Q2_K_S", Part::kValues, Layers::kAll, DType::kQ4_K, true},
    PartRule{"Q2_K_S", Part::kDown, Layers::kFirst8th, DType::kQ4_K},
    PartRule{"Q3_K_M", Part::kValues, Layers::kFirst2, DType::kQ5_K},
    PartRule{"Q3_K_M", Part::kValues, Layers::kAll, DType::kQ4_K},
    PartRule{"Q3_K_M", Part::kDown, Layers::kFirst16th, DType::kQ5_K},
    PartRule{"Q3_K_M", Part::kDown, Layers::kAll, DType::kQ4_K},
    PartRule{"Q3_K_M", Part::kAttentionOut, Layers::kAll, DType::kQ4_K},
    PartRule{"Q3_K_L", Part::kValues, Layers::kAll, DType::kQ5_K},
    PartRule{"Q3_K_L", Part::kDown, Layers::kAll, DType::kQ5_K},
    PartRule{"Q3_K_L", Part::kAttentionOut, Layers::kAll, DType::kQ5_K},
    PartRule{"Q4_K_S", Part::kValues, Layers::kFirst4, DType::kQ5_K},
    PartRule{"Q4_K_S", Part::kDown, Layers::kFirst8th, DType::kQ5_K},
    PartRule{"Q4_K_M", Part::kValues, Layers::kSensitive, DType::kQ6_K},
    PartRule{"Q4_K_M", Part::kDown, Layers::kSensitive, DType::kQ6_K},
    PartRule{"Q5_K_M", Part::kValues, Layers::kSensitive, DType::kQ6_K},
    PartRule{"Q5_K_M", Part::kDown, Layers::kSensitive, DType::kQ6_K},
};

// "blk.12.ffn_down.weight": 12. None outside of the layers.
std::optional<std::uint32_t> layer_of(std::string_view name) {
    constexpr std::string_view kPrefix = "blk.";
    if (!name.starts_with(kPrefix)) return std::nullopt;
    name.remove_prefix(kPrefix.size());
    std::uint32_t layer = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), layer);
    if (failed != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
    return layer;
}

// The names' own numbers, not the metadata's: they are what is there.
std::uint32_t count_layers(const files::TensorSource& source) {
    std::uint32_t n = 0;
    for (const files::NamedTensor& tensor : source.tensors()) {
        if (const auto layer = layer_of(tensor.name)) n = std::max(n, *layer + 1);
    }
    return n;
}

std::uint64_t n_rows_of(const files::TensorSource& source, std::string_view name) {
    const files::NamedTensor* const tensor = source.find_tensor(name);
    return tensor == nullptr ? 0 : tensor->n_rows();
}

// With * for any characters and ? for one. Goes back to the last * alone, so that no pattern takes longer than its length times the name's.
bool fits(std::string_view pattern, std::string_view name) {
    std::size_t p = 0;
    std::size_t n = 0;
    std::size_t star = pattern.npos;
    std::size_t star_name = 0;
    while (n < name.size()) {
        if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n]) && pattern[p] != '*') {
            ++p;
            ++n;
        } else if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            star_name = n;
        } else if (star != pattern.npos) {
            p = star + 1;
            n = ++star_name;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == pattern.npos;
}

bool names(const TypeRule& rule, std::string_view name) {
    if (rule.pattern.find_first_of("*?") == std::string::npos) return name.find(rule.pattern) != name.npos;
    return fits(rule.pattern, name);
}

}  // namespace

std::span<const Mix> mixes() { return kMixes; }

const Mix* mix_from_name(std::string_view name) {
    const auto found = std::ranges::find_if(kMixes, [&](const Mix& mix) { return folded_name(mix.name) == folded_name(name); });
    return found == kMixes.end() ? nullptr : &*found;
}

TensorTypes types_of_mix(const Mix& mix, const files::TensorSource& source) {
    const bool has_head = source.find_tensor("output.weight") != nullptr;
    const std::uint32_t n_layers = count_layers(source);
    const std::uint64_t n_value_rows = n_rows_of(source, "blk.0.attn_v.weight");
    const bool shares_values = n_value_rows > 0 && n_rows_of(source, "blk.0.attn_q.weight") / n_value_rows >= 4;
    TensorTypes types;
    for (const files::NamedTensor& tensor : source.tensors()) {
        if (!is_converted_matrix(tensor)) continue;
        const Part part = part_of(tensor.name, has_head);
        DType type = part == Part::kHead ? DType::kQ6_K : mix.base;
        const std::uint32_t layer = layer_of(tensor.name).value_or(0);
        for (const PartRule& rule : kRules) {
            if (rule.mix != mix.name || rule.part != part || !is_among(rule.layers, layer, n_layers)) continue;
            if (rule.needs_shared_values && !shares_values) continue;
            type = rule.type;
            break;
        }
        types[tensor.name] = type;
    }
    return types;
}

std::uint32_t main_file_type(const files::TensorSource& source, const TensorTypes& types) {
    std::map<DType, std::uint64_t> n_weights;
    for (const auto& [name, type] : types) n_weights[type] += source.find_tensor(name)->n_elements();
    const auto most = std::ranges::max_element(n_weights, {}, &std::pair<const DType, std::uint64_t>::second);
    return file_type_of(most == n_weights.end() ? DType::kF32 : most->first);
}

Result<TypeRule> parse_type_rule(std::string_view text) {
    const std::size_t equals = text.rfind('=');
    const auto wrong = [text] {
        return Error{fmt::format("--tensor: expected PATTERN=TYPE, such as attn_v=Q8_0, found \"{}\"", text), ErrorKind::kUsage};
    };
    if (equals == text.npos || equals == 0) return wrong();
    const auto type = tensor::dtype_from_name(text.substr(equals + 1));
    if (!type || tensor::format_of(*type).encode == nullptr) return wrong();
    return TypeRule{std::string(text.substr(0, equals)), *type};
}

Result<void> apply_rules(std::span<const TypeRule> rules, const files::TensorSource& source, TensorTypes& types) {
    for (const TypeRule& rule : rules) {
        bool is_used = false;
        for (const files::NamedTensor& tensor : source.tensors()) {
            if (!is_converted_matrix(tensor) || !names(rule, tensor.name)) continue;
            types[tensor.name] = rule.type;
            is_used = true;
        }
        if (is_used) continue;
        return bad_input("--tensor: expected a pattern that names a matrix of {}, found \"{}\"", source.name(), rule.pattern);
    }
    return {};
}

}  // namespace rafter::engine
