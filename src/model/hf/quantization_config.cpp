// One case for each quant_method. Sizes are those of the checkpoints' own tensors: what a file takes and what an engine loads.
#include "model/hf/quantization_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/folded_name.h"
#include "base/quote.h"

namespace rafter::model::hf {
namespace {

class MethodReader {
  public:
    MethodReader(const JsonReader& keys, const nlohmann::json& json, DescribedModel& m) : keys_(keys), json_(json), m_(m) {
        q_.kept_bits = m.weight_bits;
    }

    Result<void> read() {
        RAFTER_TRY(const auto method, keys_.find_string("quant_method"));
        q_.method = lower_case(method.value_or(""));
        if (q_.method.empty() && json_.contains("bits") && json_.contains("group_size")) q_.method = "mlx";
        if (q_.method.empty() && json_.contains("quantization")) q_.method = "modelopt";  // hf_quant_config.json
        if (q_.method.empty() && (json_.contains("quant_algo") || json_.contains("quantized_layers"))) q_.method = "modelopt";
        for (const char* key : {"modules_to_not_convert", "ignore", "exclude_modules", "skip_modules", "llm_int8_skip_modules",
                                "ignored_layers", "exclude", "modules_in_block_to_quantize_exclude"}) {
            add_kept(json_, key);
        }
        RAFTER_TRY(const auto head, keys_.find_bool("lm_head"));
        q_.includes_head = head.value_or(false);
        RAFTER_TRY_VOID(read_method());
        if (error_) return *error_;
        say_cache();
        if (q_.rules.empty()) return {};
        const std::string& name = q_.rules.front().type.name;
        m_.weight_type = name == q_.method || q_.method == "mxfp4" ? name : fmt::format("{} ({})", name, q_.method);
        m_.weight_bits = q_.rules.front().type.bits;
        m_.quantization = std::move(q_);
        return {};
    }

  private:
    void add_kept(const nlohmann::json& json, const char* key) {
        if (!json.contains(key) || !json[key].is_array()) return;
        for (const nlohmann::json& item : json[key]) {
            if (item.is_string()) q_.kept.push_back(item.get<std::string>());
        }
    }
    void rule(StoredType type, std::vector<std::string> targets = {}) {
        q_.rules.push_back({.targets = std::move(targets), .type = std::move(type)});
    }
    double number(const nlohmann::json& json, const char* key, double fallback) {
        if (!json.is_object() || !json.contains(key) || json[key].is_null()) return fallback;
        const double n = json[key].is_number() ? json[key].get<double>() : std::nan("");
        if (std::isfinite(n) && n >= -1 && n <= 1e9) return n;
        if (!error_)
            error_ = bad_input("{}: {}: expected a number from -1 to 1,000,000,000, found {}", keys_.where(), key, shown_json(json[key]));
        return fallback;
    }
    double bits_of(const nlohmann::json& json, const char* key, double fallback) {
        const double bits = number(json, key, fallback);
        if (bits >= 1 && bits <= 32) return bits;
        if (!error_) error_ = bad_input("{}: {}: expected 1 to 32 bits, found {}", keys_.where(), key, bits);
        return fallback;
    }
    // Engines take the cache's type from the checkpoint, plans from --kv.
    void say_cache() {
        const nlohmann::json& inner = json_.contains("quantization") && json_["quantization"].is_object() ? json_["quantization"] : json_;
        std::string type = word(inner, "kv_cache_quant_algo");
        if (json_.contains("kv_cache_scheme") && json_["kv_cache_scheme"].is_object()) {
            const nlohmann::json& scheme = json_["kv_cache_scheme"];
            type = fmt::format("{}{:g}", word(scheme, "type") == "float" ? "FP" : "INT", number(scheme, "num_bits", 8));
        }
        if (type.empty()) return;
        m_.assumed.push_back(fmt::format("the checkpoint asks for a cache of type {}, which --kv plans: here it has the type shown", type));
    }
    bool flag(const nlohmann::json& json, const char* key, bool fallback) const {
        return json.is_object() && json.contains(key) && json[key].is_boolean() ? json[key].get<bool>() : fallback;
    }
    std::string word(const nlohmann::json& json, const char* key) const {
        return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
    }

    // Integers in groups with a 16-bit scale each, and a zero of the integers' own width.
    StoredType grouped(double bits, double group, bool has_zeros) const {
        StoredType type{.name = group > 0 ? fmt::format("int{:g}, groups of {:g}", bits, group) : fmt::format("int{:g}", bits),
                        .bits = bits};
        const double scale = 16.0 + (has_zeros ? bits : 0.0);
        if (group > 0) type.bits += scale / group;
        if (group <= 0) type.row_bits = scale;
        return type;
    }

    Result<void> read_method() {
        const std::string& by = q_.method;
        if (by == "awq" || by == "gptq" || by == "auto-round" || by == "intel/auto-round" || by == "autoround") return integers();
        if (by == "compressed-tensors") return compressed_tensors();
        if (by == "modelopt" || by == "modelopt_fp4") return modelopt();
        if (by == "bitsandbytes") return bitsandbytes();
        if (by == "hqq") return hqq();
        if (by == "mlx") return mlx();
        if (by == "quark") return quark();
        if (by == "torchao") return torchao();
        if (by == "fbgemm_fp8" || by == "fp8") m_.activation_type = "fp8";
        if (by == "fbgemm_fp8") {
            rule({.name = "fp8", .bits = 8.0, .row_bits = 32.0});
            return {};
        }
        if (by == "fp8") return fp8();
        if (by == "mxfp4") {
            q_.experts_only = m_.config.moe.n_experts > 0;
            rule({.name = q_.experts_only ? m_.weight_type + ", experts MXFP4" : "MXFP4", .bits = 4.25});
            m_.expert_bits = 4.25;
            return {};
        }
        if (by == "eetq") {
            rule({.name = "int8", .bits = 8.0, .row_bits = 16.0});
            return {};
        }
        if (by == "bitnet") {
            rule({.name = "ternary in 2 bits", .bits = 2.0});
            return {};
        }
        if (by == "quanto") {
            const std::string type = word(json_, "weights");
            const double bits = type == "int2" ? 2 : type == "int4" ? 4 : 8;
            rule(bits < 8 ? grouped(bits, 128, true) : StoredType{.name = type, .bits = 8.0, .row_bits = 16.0});
            return {};
        }
        return unknown();
    }

    Result<void> unknown() {
        RAFTER_TRY(const auto bits, keys_.find_number("bits", 1, 16));
        if (bits) {
            rule({.name = fmt::format("{:g} bits", *bits), .bits = *bits});
            m_.assumed.push_back(fmt::format("quantization_config: unknown method {}: {:g} bits a weight are counted, without scales",
                                             quote(q_.method), *bits));
        } else {
            m_.assumed.push_back(
                fmt::format("quantization_config: unknown method {}: weights are priced as {}", quote(q_.method), m_.weight_type));
        }
        return {};
    }

    Result<void> integers() {
        RAFTER_TRY(const auto bits, keys_.find_number("bits", 1, 16));
        RAFTER_TRY(const auto w_bit, keys_.find_number("w_bit", 1, 16));
        const double group = number(json_, "group_size", number(json_, "q_group_size", 128));
        StoredType type = grouped(bits.value_or(w_bit.value_or(4)), group, true);
        if (q_.method != "awq") type.column_bits = 32.0;  // g_idx
        const double column = type.column_bits;
        const auto own_type = [&](const nlohmann::json& own) {
            StoredType t = grouped(bits_of(own, "bits", bits.value_or(4)), number(own, "group_size", group), true);
            t.column_bits = column;
            return t;
        };
        // GPTQModel: "-:expression" leaves modules alone, "+:expression" gives them numbers of their own.
        if (json_.contains("dynamic") && json_["dynamic"].is_object()) {
            for (const auto& [key, own] : json_["dynamic"].items()) {
                const std::string expression = "re:" + (key.starts_with("-:") || key.starts_with("+:") ? key.substr(2) : key);
                if (key.starts_with("-:")) q_.kept.push_back(expression);
                if (!key.starts_with("-:")) rule(own_type(own), {expression});
            }
        }
        // AutoRound: modules by name.
        if (json_.contains("extra_config") && json_["extra_config"].is_object()) {
            for (const auto& [key, own] : json_["extra_config"].items()) {
                if (number(own, "bits", bits.value_or(4)) >= 16) q_.kept.push_back(key);
                if (number(own, "bits", bits.value_or(4)) < 16) rule(own_type(own), {key});
            }
        }
        if (word(json_, "data_type").find("fp") != std::string::npos) {
            m_.assumed.push_back(fmt::format("quantization_config: data_type {}: counted as integers of {:g} bits in groups",
                                             quote(word(json_, "data_type")), bits.value_or(4)));
        }
        std::vector<std::string> only;
        if (json_.contains("modules_in_block_to_quantize") && json_["modules_in_block_to_quantize"].is_array()) {
            for (const nlohmann::json& item : json_["modules_in_block_to_quantize"]) {
                if (item.is_string()) only.push_back(item.get<std::string>());
                if (!item.is_array()) continue;
                for (const nlohmann::json& name : item) {
                    if (name.is_string()) only.push_back(name.get<std::string>());
                }
            }
        }
        rule(std::move(type), std::move(only));
        return {};
    }

    // A scale and a bias of 16 bits a group; the embedding's table and the head as well. A module may have numbers of its own or none.
    Result<void> mlx() {
        q_.includes_head = q_.includes_table = true;
        const double bits = bits_of(json_, "bits", 4);
        const double group = number(json_, "group_size", 64);
        const auto type = [](double b, double g) {
            return StoredType{.name = fmt::format("int{:g}, groups of {:g}", b, g), .bits = b + (g > 0 ? 32.0 / g : 0.0)};
        };
        if (const std::string mode = word(json_, "mode"); !mode.empty() && mode != "affine") {
            m_.assumed.push_back(fmt::format("quantization: mode {}: counted as a scale and a bias a group", quote(mode)));
        }
        for (const auto& [key, own] : json_.items()) {
            if (own == false && key.find('.') != std::string::npos) q_.kept.push_back(key);
            if (own.is_object()) rule(type(bits_of(own, "bits", bits), number(own, "group_size", group)), {key});
        }
        rule(type(bits, group));
        return {};
    }

    std::optional<StoredType> quark_type(const nlohmann::json& layer) {
        if (!layer.is_object() || !layer.contains("weight") || !layer["weight"].is_object()) return std::nullopt;
        const nlohmann::json& weight = layer["weight"];
        const std::string type = word(weight, "dtype");
        const std::string scheme = word(weight, "qscheme");
        const double group = number(weight, "group_size", 0);
        const bool by_row = scheme == "per_channel";
        if (type == "fp4") return StoredType{.name = "MXFP4", .bits = 4.0 + 8.0 / (group > 0 ? group : 32)};
        if (type.starts_with("fp8")) return StoredType{.name = "fp8", .bits = 8.0, .row_bits = by_row ? 32.0 : 0.0};
        if (type == "int8" || type == "uint8") return StoredType{.name = "int8", .bits = 8.0, .row_bits = by_row ? 32.0 : 0.0};
        if (type == "int4" || type == "uint4") return grouped(4, by_row ? 0.0 : group, true);
        return std::nullopt;
    }
    Result<void> quark() {
        if (json_.contains("layer_quant_config") && json_["layer_quant_config"].is_object()) {
            for (const auto& [pattern, layer] : json_["layer_quant_config"].items()) {
                if (const auto type = quark_type(layer)) rule(*type, {pattern});
                if (!quark_type(layer)) q_.kept.push_back(pattern);
            }
        }
        const auto type = quark_type(json_.contains("global_quant_config") ? json_["global_quant_config"] : json_);
        if (!type && q_.rules.empty()) return unknown();
        if (type) rule(*type);
        return {};
    }

    Result<void> torchao() {
        std::string type = word(json_, "quant_type");
        double group = 128;
        if (json_.contains("quant_type") && json_["quant_type"].is_object() && json_["quant_type"].contains("default")) {
            const nlohmann::json& chosen = json_["quant_type"]["default"];
            type = word(chosen, "_type");
            if (chosen.is_object() && chosen.contains("_data")) group = number(chosen["_data"], "group_size", group);
        }
        if (json_.contains("quant_type_kwargs")) group = number(json_["quant_type_kwargs"], "group_size", group);
        std::erase(type, '_');
        type = lower_case(type);
        // A scale and a zero of 16 bits a group.
        if (type.starts_with("int4weightonly")) {
            StoredType stored = grouped(4, group, false);
            if (group > 0) stored.bits += 16.0 / group;
            rule(std::move(stored));
        } else if (type.starts_with("int8weightonly") || type.starts_with("int8dynamicactivationint8weight")) {
            if (type.find("activation") != std::string::npos) m_.activation_type = "int8";
            rule({.name = "int8", .bits = 8.0, .row_bits = 16.0});
        } else if (type.starts_with("float8weightonly") || type.starts_with("float8dynamicactivationfloat8weight")) {
            if (type.find("activation") != std::string::npos) m_.activation_type = "fp8";
            rule({.name = "fp8", .bits = 8.0, .row_bits = 32.0});
        } else {
            return unknown();
        }
        return {};
    }

    // Of one group of config_groups: integers or floats of num_bits, with scales by strategy.
    StoredType group_type(const nlohmann::json& weights) {
        const double bits = bits_of(weights, "num_bits", 8);
        const bool is_float = word(weights, "type") == "float";
        const std::string strategy = word(weights, "strategy");
        const double group = number(weights, "group_size", 0);
        if (is_float && bits == 4 && group == 32) return {.name = "MXFP4", .bits = 4.25};
        if (is_float && bits == 4) return {.name = "NVFP4", .bits = 4.0 + 8.0 / (group > 0 ? group : 16)};
        if (is_float && group > 0) return {.name = fmt::format("fp{:g}, groups of {:g}", bits, group), .bits = bits + 16.0 / group};
        if (is_float) {
            StoredType type{.name = fmt::format("fp{:g}", bits), .bits = bits};
            if (strategy == "channel") type.row_bits = 16.0;
            if (strategy == "block") type.bits += 16.0 / (128.0 * 128.0);
            return type;
        }
        const bool has_zeros = !flag(weights, "symmetric", true);
        if (strategy == "tensor") return {.name = fmt::format("int{:g}", bits), .bits = bits};
        return grouped(bits, strategy == "channel" ? 0.0 : group, has_zeros);
    }
    bool add_groups(const nlohmann::json& json) {
        if (!json.contains("config_groups") || !json["config_groups"].is_object()) return false;
        for (const auto& [name, group] : json["config_groups"].items()) {
            if (!group.is_object() || !group.contains("weights") || !group["weights"].is_object()) continue;
            std::vector<std::string> targets;
            bool all = true;
            if (group.contains("targets") && group["targets"].is_array()) {
                all = group["targets"].empty();
                for (const nlohmann::json& target : group["targets"]) {
                    if (!target.is_string()) continue;
                    all = all || target == "Linear";
                    targets.push_back(target.get<std::string>());
                }
            }
            if (group.contains("input_activations") && group["input_activations"].is_object()) {
                const nlohmann::json& input = group["input_activations"];
                m_.activation_type = fmt::format("{}{:g}", word(input, "type") == "float" ? "fp" : "int", number(input, "num_bits", 8));
            }
            rule(group_type(group["weights"]), all ? std::vector<std::string>{} : std::move(targets));
        }
        // A rule for all would hide the narrower ones behind it.
        std::ranges::stable_partition(q_.rules, [](const Quantization::Rule& r) { return !r.targets.empty(); });
        return !q_.rules.empty();
    }
    Result<void> compressed_tensors() {
        const std::string format = word(json_, "format");
        if (!add_groups(json_)) return unknown();
        if (format.find("sparse") != std::string::npos || format.find("24") != std::string::npos) {
            m_.assumed.push_back(
                fmt::format("quantization_config: format {} leaves out zeros: weights are priced as if all were kept", quote(format)));
        }
        return {};
    }

    Result<void> modelopt() {
        const nlohmann::json& inner = json_.contains("quantization") && json_["quantization"].is_object() ? json_["quantization"] : json_;
        if (&inner != &json_) {
            add_kept(inner, "exclude_modules");
            add_kept(inner, "ignore");
        }
        const std::string algorithm = word(inner, "quant_algo");
        const double group = number(inner, "group_size", 0);
        if (algorithm == "MIXED_PRECISION") {
            if (inner.contains("quantized_layers") && inner["quantized_layers"].is_object()) {
                for (const auto& [module, type] : inner["quantized_layers"].items()) {
                    if (const auto known = modelopt_type(word(type, "quant_algo"), number(type, "group_size", 0))) rule(*known, {module});
                }
            }
            if (!q_.rules.empty()) return {};
        }
        if (const auto type = modelopt_type(algorithm, group)) {
            if (algorithm.starts_with("FP8") || algorithm == "MXFP8") m_.activation_type = "fp8";
            if (algorithm == "NVFP4") m_.activation_type = "fp4";
            if (algorithm.starts_with("W8A8") || algorithm == "INT8_SQ") m_.activation_type = "int8";
            rule(*type);
            return {};
        }
        return add_groups(inner) ? Result<void>{} : unknown();
    }
    std::optional<StoredType> modelopt_type(const std::string& algorithm, double group) const {
        if (algorithm == "FP8") return StoredType{.name = "fp8", .bits = 8.0};
        if (algorithm == "FP8_PER_CHANNEL_PER_TOKEN") return StoredType{.name = "fp8", .bits = 8.0, .row_bits = 32.0};
        if (algorithm.starts_with("FP8_PB")) return StoredType{.name = "fp8", .bits = 8.0 + 32.0 / (128 * 128)};
        if (algorithm.starts_with("NVFP4") || algorithm == "W4A8_NVFP4_FP8")
            return StoredType{.name = "NVFP4", .bits = 4.0 + 8.0 / (group > 0 ? group : 16)};
        if (algorithm.starts_with("MXFP4") || algorithm == "W4A8_MXFP4_FP8") return StoredType{.name = "MXFP4", .bits = 4.25};
        if (algorithm == "MXFP8") return StoredType{.name = "MXFP8", .bits = 8.25};
        if (algorithm.starts_with("W4A16") || algorithm.starts_with("W4A8")) return grouped(4, group > 0 ? group : 128, false);
        if (algorithm == "W8A8_SQ_PER_CHANNEL" || algorithm == "INT8_SQ" || algorithm.starts_with("W8A"))
            return StoredType{.name = "int8", .bits = 8.0, .row_bits = 32.0};
        return std::nullopt;
    }

    // nf4 in blocks of 64 with a float each; with double quantisation that float is a byte, and blocks of 256 of them share two.
    Result<void> bitsandbytes() {
        RAFTER_TRY(const auto four, keys_.find_bool("load_in_4bit"));
        RAFTER_TRY(const auto also_four, keys_.find_bool("_load_in_4bit"));
        RAFTER_TRY(const auto twice, keys_.find_bool("bnb_4bit_use_double_quant"));
        RAFTER_TRY(const auto kind, keys_.find_string("bnb_4bit_quant_type"));
        RAFTER_TRY(const auto eight, keys_.find_bool("load_in_8bit"));
        if (four && eight && !*four && !*eight) {
            m_.assumed.emplace_back("quantization_config: bitsandbytes with neither 4 nor 8 bits: weights are priced as not quantised");
            return {};
        }
        if (four.value_or(also_four.value_or(false))) {
            const double scale = twice.value_or(false) ? 8.0 / 64 + 32.0 / (64 * 256) : 32.0 / 64;
            rule({.name = kind.value_or("fp4"), .bits = 4.0 + scale});
        } else {
            rule({.name = "int8", .bits = 8.0, .row_bits = 32.0});
        }
        return {};
    }

    Result<void> hqq() {
        const nlohmann::json& config = json_.contains("quant_config") && json_["quant_config"].is_object() ? json_["quant_config"] : json_;
        const nlohmann::json& params =
            config.contains("weight_quant_params") && config["weight_quant_params"].is_object() ? config["weight_quant_params"] : config;
        const double bits = bits_of(params, "nbits", number(params, "bits", 4));
        const double group = number(params, "group_size", 64);
        // A scale and a zero of 16 bits a group.
        StoredType type{.name = fmt::format("int{:g}, groups of {:g}", bits, group), .bits = bits};
        if (group > 0) type.bits += 32.0 / group;
        if (group <= 0) type.row_bits = 32.0;
        bool by_layer = false;
        for (const auto& [key, value] : config.items()) by_layer = by_layer || key.find("_proj") != std::string::npos;
        if (by_layer) {
            for (const auto& [key, value] : config.items()) {
                if (key.find("_proj") == std::string::npos || !value.is_object()) continue;
                const nlohmann::json& own = value.contains("weight_quant_params") ? value["weight_quant_params"] : value;
                const double own_bits = bits_of(own, "nbits", bits);
                const double own_group = std::max(1.0, number(own, "group_size", 64));
                rule({.name = fmt::format("int{:g}, groups of {:g}", own_bits, own_group), .bits = own_bits + 32.0 / own_group}, {key});
            }
            return {};
        }
        rule(std::move(type));
        return {};
    }

    Result<void> fp8() {
        StoredType type{.name = "fp8", .bits = 8.0};
        if (json_.contains("weight_block_size") && json_["weight_block_size"].is_array() && json_["weight_block_size"].size() == 2) {
            const nlohmann::json& block = json_["weight_block_size"];
            const double area = block[0].is_number() && block[1].is_number() ? block[0].get<double>() * block[1].get<double>() : 0.0;
            if (area >= 1) type.bits += 32.0 / area;
        }
        rule(std::move(type));
        return {};
    }

    std::optional<Error> error_;
    const JsonReader& keys_;
    const nlohmann::json& json_;
    DescribedModel& m_;
    Quantization q_;
};

}  // namespace

Result<void> read_quantization(const nlohmann::json& config, std::string_view name, DescribedModel& model) {
    RAFTER_TRY(const JsonReader keys, JsonReader::open(config, std::string(name)));
    return MethodReader(keys, config, model).read();
}

}  // namespace rafter::model::hf
