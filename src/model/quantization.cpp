// Names of modules, and which of them a scheme covers.
#include "model/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <regex>
#include <utility>

namespace rafter::model {
namespace {

// This program's name of a tensor, and the modules that checkpoints keep it in.
constexpr std::pair<std::string_view, std::string_view> kModules[] = {
    {"attn_q", "self_attn.q_proj self_attn.qkv_proj"},
    {"attn_k", "self_attn.k_proj self_attn.qkv_proj"},
    {"attn_v", "self_attn.v_proj self_attn.qkv_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_gate", "self_attn.q_proj self_attn.g_proj"},
    {"attn_q_a", "self_attn.q_a_proj"},
    {"attn_q_b", "self_attn.q_b_proj"},
    {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    {"attn_k_b", "self_attn.kv_b_proj"},
    {"attn_v_b", "self_attn.kv_b_proj"},
    {"ffn_gate", "mlp.gate_proj mlp.gate_up_proj feed_forward.gate_proj"},
    {"ffn_up", "mlp.up_proj mlp.gate_up_proj feed_forward.up_proj"},
    {"ffn_down", "mlp.down_proj feed_forward.down_proj"},
    {"ffn_gate_inp", "mlp.gate mlp.router block_sparse_moe.gate feed_forward.router"},
    {"ffn_gate_exps", "mlp.experts.0.gate_proj block_sparse_moe.experts.0.w1 feed_forward.experts.gate_up_proj"},
    {"ffn_up_exps", "mlp.experts.0.up_proj block_sparse_moe.experts.0.w3 feed_forward.experts.gate_up_proj"},
    {"ffn_down_exps", "mlp.experts.0.down_proj block_sparse_moe.experts.0.w2 feed_forward.experts.down_proj"},
    {"ffn_gate_shexp", "mlp.shared_experts.gate_proj mlp.shared_expert.gate_proj feed_forward.shared_expert.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_experts.up_proj mlp.shared_expert.up_proj feed_forward.shared_expert.up_proj"},
    {"ffn_down_shexp", "mlp.shared_experts.down_proj mlp.shared_expert.down_proj feed_forward.shared_expert.down_proj"},
    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
};

// '*' stands for any letters, '?' for one, as in file names.
bool fits_wildcard(std::string_view pattern, std::string_view text) {
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t star = std::string_view::npos;
    std::size_t after_star = 0;
    while (t < text.size()) {
        if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            after_star = t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++after_star;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

// Whole segments: "mlp.gate" is part of "model.layers.3.mlp.gate" and not of "model.layers.3.mlp.gate_proj".
bool is_part(std::string_view part, std::string_view path) {
    for (std::size_t at = path.find(part); at != std::string_view::npos; at = path.find(part, at + 1)) {
        const std::size_t end = at + part.size();
        if ((at == 0 || path[at - 1] == '.') && (end == path.size() || path[end] == '.')) return true;
    }
    return false;
}

bool names(std::string_view pattern, const std::vector<std::string>& paths) {
    while (pattern.ends_with('.')) pattern.remove_suffix(1);
    if (pattern.empty()) return false;
    if (pattern.starts_with("re:")) {
        try {
            const std::regex expression(std::string(pattern.substr(3)), std::regex::ECMAScript);
            const auto found = [&](const std::string& path) {
                return std::regex_search(path, expression, std::regex_constants::match_continuous);
            };
            return std::ranges::any_of(paths, found);
        } catch (const std::regex_error&) {
            return false;
        }
    }
    if (pattern.find_first_of("*?") != std::string_view::npos) {
        return std::ranges::any_of(paths, [&](const std::string& path) { return fits_wildcard(pattern, path); });
    }
    return std::ranges::any_of(paths, [&](const std::string& path) { return is_part(pattern, path); });
}

bool is_router(std::string_view tensor) {
    return tensor.find("ffn_gate_inp") != std::string_view::npos || tensor.find("weights_proj") != std::string_view::npos;
}

double bits_of(const StoredType& type, const Weight& w) {
    double bits = type.bits;
    if (w.n_cols > 0) bits += type.row_bits / w.n_cols;
    if (w.n_rows > 0) bits += type.column_bits / w.n_rows;
    return bits;
}

}  // namespace

std::vector<std::string> module_paths(std::string_view tensor) {
    std::string_view name = tensor;
    if (name.ends_with(".weight")) name.remove_suffix(7);
    if (name == "output") return {"lm_head"};
    if (name == "token_embd") return {"model.embed_tokens", "lm_head"};
    if (!name.starts_with("blk.")) return {std::string(name)};
    const std::size_t dot = name.find('.', 4);
    if (dot == std::string_view::npos) return {std::string(name)};
    const std::string layer(name.substr(4, dot - 4));
    const std::string_view part = name.substr(dot + 1);
    std::string modules(part);
    for (const auto& [ours, theirs] : kModules) {
        if (part == ours) modules = theirs;
    }
    std::vector<std::string> paths;
    std::size_t at = 0;
    while (at < modules.size()) {
        const std::size_t blank = std::min(modules.find(' ', at), modules.size());
        const std::string module = modules.substr(at, blank - at);
        for (const char* root : {"model.layers", "model.language_model.layers", "language_model.model.layers", "backbone.layers"})
            paths.push_back(fmt::format("{}.{}.{}", root, layer, module));
        at = blank + 1;
    }
    return paths;
}

bool names_module(const std::vector<std::string>& patterns, const std::vector<std::string>& paths) {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) { return names(pattern, paths); });
}

double stored_bits(const Quantization& q, const Weight& weight) {
    const bool is_table = q.includes_table && weight.tensor.starts_with("token_embd");
    const bool matrix = weight.kind == WeightKind::kMatrix || weight.kind == WeightKind::kExperts || is_table;
    if (!matrix || is_router(weight.tensor)) return q.kept_bits;
    if (q.experts_only && weight.kind != WeightKind::kExperts) return q.kept_bits;
    const bool head = weight.tensor.starts_with("output") || weight.tensor.starts_with("token_embd");
    const bool table = weight.tensor.starts_with("token_embd");
    if (head && !(table ? q.includes_table : q.includes_head)) return q.kept_bits;
    const std::vector<std::string> paths = module_paths(weight.tensor);
    if (names_module(q.kept, paths)) return q.kept_bits;
    for (const Quantization::Rule& rule : q.rules) {
        if (rule.targets.empty() || names_module(rule.targets, paths)) return bits_of(rule.type, weight);
    }
    return q.kept_bits;
}

}  // namespace rafter::model
