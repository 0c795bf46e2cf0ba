// rafter info: what a model file holds and what running it will read, counted from its tensors.
#include <fmt/format.h>

#include <fmt/ranges.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "base/quote.h"
#include "engine/loading/model_source.h"
#include "model/model_file.h"
#include "report/table.h"
#include "report/units.h"
#include "roofline/op_cost.h"
#include "roofline/priced_list.h"
#include "tensor/formats/formats.h"
#include "text/utf8_stream.h"

namespace rafter::apps {
namespace {

using nlohmann::ordered_json;

struct InfoOptions {
    std::string model;
    bool json = false;
    bool tensors = false;
};

struct TypeCount {
    std::uint64_t n_tensors = 0;
    double n_elements = 0.0;
    double file_bytes = 0.0;
    double bytes_per_token = 0.0;
};

// What is known of the file. A vocabulary alone, or an architecture that cannot be run, still has the rest.
struct ModelInfo {
    std::string path;
    double file_bytes = 0.0;
    std::string architecture;
    std::string name;
    std::string licence;
    std::optional<model::ModelConfig> config;
    std::string why_no_config;
    std::optional<model::Program> program;
    std::string why_no_program;
    std::string tokenizer;
    std::optional<std::size_t> n_template_bytes;
    std::map<tensor::DType, TypeCount> types;
    double n_parameters = 0.0;
    double n_active = 0.0;
};

constexpr roofline::KvElementBytes kDefaultKv{};  // F16, as `run` takes unless told otherwise

// A token's keys and values in all layers, scales included.
double kv_bytes(const model::ModelConfig& config, backend::KvType type) {
    const double element = static_cast<double>(backend::kv_row_bytes(type, config.head_dim)) / config.head_dim;
    return roofline::kv_bytes_per_token(config, {.key = element, .value = element});
}

std::string shown(std::string_view untrusted) {
    std::string text = text::valid_utf8(untrusted);
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
    }
    return text;
}

std::string text_of(const files::Metadata& metadata, std::string_view key) {
    const auto value = metadata.find_string(key);
    return value && *value ? shown(**value) : std::string();
}

// One token at the start of a sequence: all weights, next to no cache.
model::StepShape decode_step(std::uint32_t n_past) { return {{{.n_new = 1, .n_past = n_past, .n_outputs = 1}}}; }

void count_tensors(const files::TensorSource& file, ModelInfo& info) {
    for (const files::NamedTensor& tensor : file.tensors()) {
        TypeCount& type = info.types[tensor.dtype];
        ++type.n_tensors;
        type.n_elements += static_cast<double>(tensor.n_elements());
        type.file_bytes += static_cast<double>(tensor.size_bytes());
        info.n_parameters += static_cast<double>(tensor.n_elements());
    }
    info.n_active = info.n_parameters;
    if (!info.program) return;
    for (const auto& [type, bytes] : roofline::weight_bytes_by_type(*info.program, decode_step(0)))
        info.types[type].bytes_per_token = bytes;
    const model::MoeConfig& moe = info.program->config.moe;
    for (const model::Weight& weight : info.program->weights) {
        const bool per_expert = weight.kind == model::WeightKind::kExperts || weight.kind == model::WeightKind::kVectors;
        if (per_expert) info.n_active -= static_cast<double>(moe.n_experts - moe.n_experts_used) * weight.n_rows * weight.n_cols;
    }
}

Result<ModelInfo> inspect(const files::TensorSource& file) {
    ModelInfo info;
    info.path = file.name();
    info.file_bytes = static_cast<double>(file.size_bytes());
    const files::Metadata& metadata = file.metadata();
    info.architecture = text_of(metadata, "general.architecture");
    info.name = text_of(metadata, "general.name");
    info.licence = text_of(metadata, "general.license");
    if (const auto chat = metadata.find_string("tokenizer.chat_template"); chat && *chat) info.n_template_bytes = (*chat)->size();
    if (const auto tokenizer = text::Tokenizer::load(metadata)) {
        info.tokenizer = (*tokenizer)->description();
    } else {
        info.tokenizer = "unusable: " + tokenizer.error().message;
    }
    auto config = model::read_config(file, {});
    if (config) {
        auto program = model::bind(model::build(*config), file);
        if (program) {
            info.program = *std::move(program);
        } else {
            info.why_no_program = program.error().message;
        }
        info.config = *std::move(config);
    } else {
        info.why_no_config = config.error().message;
    }
    count_tensors(file, info);
    return info;
}

std::string layers_fact(const model::ModelConfig& config) {
    std::map<std::uint32_t, int> windows;
    for (const model::LayerConfig& layer : config.layers) ++windows[layer.window];
    std::string text = fmt::format("{}", config.n_layers);
    if (windows.size() == 1 && windows.begin()->first == 0) return text;
    std::vector<std::string> parts;
    for (const auto& [window, n] : windows) {
        parts.push_back(window == 0 ? fmt::format("{} see everything", n)
                                    : fmt::format("{} the last {} positions", n, report::grouped(window)));
    }
    return fmt::format("{}: {}", text, fmt::join(parts, ", "));
}

std::string facts_text(const ModelInfo& info, const report::Style& style) {
    report::Facts facts;
    const auto or_none = [](const std::string& text) { return text.empty() ? std::string("not said") : text; };
    facts.add("model", style.bold(or_none(info.name)));
    facts.add("file", fmt::format("{}, {}", info.path, report::bytes(info.file_bytes)));
    facts.add("architecture", or_none(info.architecture));
    const std::string active = info.n_active == info.n_parameters ? "all active" : report::count(info.n_active) + " active a token";
    facts.add("parameters", fmt::format("{}, {}", report::count(info.n_parameters), active));
    if (info.config) {
        const model::ModelConfig& c = *info.config;
        facts.add("layers", layers_fact(c));
        facts.add("width", fmt::format("{}, {} in the feed-forward", report::grouped(c.d_model),
                                       report::grouped(c.moe.n_experts > 0 ? c.moe.d_ff_expert : c.d_ff)));
        facts.add("attention", fmt::format("{} query heads, {} key-value heads of {}", c.n_heads, c.n_kv_heads, c.head_dim));
        if (c.moe.n_experts > 0) facts.add("experts", fmt::format("{}, {} of them a token", c.moe.n_experts, c.moe.n_experts_used));
        facts.add("context", fmt::format("{} tokens", report::grouped(c.n_context)));
        const double kv = roofline::kv_bytes_per_token(c, kDefaultKv);
        facts.add("KV cache",
                  fmt::format("{} a token in F16 ({} in q8, {} in q4), {} at full context", report::bytes(kv),
                              report::bytes(kv_bytes(c, backend::KvType::kQ8)), report::bytes(kv_bytes(c, backend::KvType::kQ4)),
                              report::bytes(roofline::kv_bytes_per_sequence(c, kDefaultKv, c.n_context))));
    } else {
        facts.add("runs", "no: " + info.why_no_config);
    }
    if (!info.why_no_program.empty()) facts.add("runs", "no: " + info.why_no_program);
    if (info.program) {
        const double read = roofline::step_cost(*info.program, decode_step(0), {.kv = kDefaultKv}).read_bytes();
        facts.add("read a token", fmt::format("{} of weights, plus the KV cache", report::bytes(read)));
    }
    facts.add("tokenizer", info.tokenizer);
    facts.add("chat template",
              info.n_template_bytes ? fmt::format("{} bytes", report::grouped(*info.n_template_bytes)) : "none in the file");
    facts.add("licence", or_none(info.licence));
    return facts.render(style);
}

std::string types_text(const ModelInfo& info, const report::Style& style) {
    report::Table table({{"type"},
                         {"tensors", report::Align::kRight},
                         {"parameters", report::Align::kRight},
                         {"in the file", report::Align::kRight},
                         {"read a token", report::Align::kRight}});
    TypeCount all;
    for (const auto& [type, count] : info.types) {
        table.add({std::string(tensor::format_of(type).name), report::grouped(count.n_tensors), report::count(count.n_elements),
                   report::bytes(count.file_bytes), report::bytes(count.bytes_per_token)});
        all.n_tensors += count.n_tensors;
        all.n_elements += count.n_elements;
        all.file_bytes += count.file_bytes;
        all.bytes_per_token += count.bytes_per_token;
    }
    table.add_total({"all", report::grouped(all.n_tensors), report::count(all.n_elements), report::bytes(all.file_bytes),
                     report::bytes(all.bytes_per_token)});
    return table.render(style);
}

std::string tensors_text(const files::TensorSource& file, const report::Style& style) {
    report::Table table({{"tensor"}, {"type"}, {"shape"}, {"size", report::Align::kRight}});
    for (const files::NamedTensor& tensor : file.tensors()) {
        table.add({shown(tensor.name), std::string(tensor::format_of(tensor.dtype).name),
                   fmt::format("[{}]", fmt::join(tensor.shape, ", ")), report::bytes(static_cast<double>(tensor.size_bytes()))});
    }
    return table.render(style);
}

ordered_json info_json(const ModelInfo& info, const files::TensorSource& file, bool with_tensors) {
    ordered_json result{{"path", info.path},
                        {"name", info.name},
                        {"architecture", info.architecture},
                        {"licence", info.licence},
                        {"file_bytes", static_cast<std::uint64_t>(info.file_bytes)},
                        {"parameters", static_cast<std::uint64_t>(info.n_parameters)},
                        {"active_parameters", static_cast<std::uint64_t>(info.n_active)},
                        {"tokenizer", info.tokenizer},
                        {"has_chat_template", info.n_template_bytes.has_value()},
                        {"runs", info.program.has_value()}};
    if (info.config) {
        const model::ModelConfig& c = *info.config;
        result["config"] = {{"n_layers", c.n_layers},
                            {"d_model", c.d_model},
                            {"d_ff", c.d_ff},
                            {"n_heads", c.n_heads},
                            {"n_kv_heads", c.n_kv_heads},
                            {"head_dim", c.head_dim},
                            {"n_vocab", c.n_vocab},
                            {"n_context", c.n_context},
                            {"n_experts", c.moe.n_experts},
                            {"n_experts_used", c.moe.n_experts_used}};
        result["kv_bytes_per_token"] = roofline::kv_bytes_per_token(c, kDefaultKv);
        result["kv_bytes_at_full_context"] = roofline::kv_bytes_per_sequence(c, kDefaultKv, c.n_context);
        for (const backend::KvType type : backend::kv_types())
            result["kv_bytes_per_token_by_type"][std::string(to_string(type))] = kv_bytes(c, type);
    }
    if (info.program) result["bytes_per_token"] = roofline::step_cost(*info.program, decode_step(0), {.kv = kDefaultKv}).read_bytes();
    for (const std::string& why : {info.why_no_config, info.why_no_program}) {
        if (!why.empty()) result["why_not"] = shown(why);
    }
    result["types"] = ordered_json::object();
    for (const auto& [type, count] : info.types) {
        result["types"][std::string(tensor::format_of(type).name)] = {{"tensors", count.n_tensors},
                                                                      {"parameters", static_cast<std::uint64_t>(count.n_elements)},
                                                                      {"file_bytes", static_cast<std::uint64_t>(count.file_bytes)},
                                                                      {"bytes_per_token", count.bytes_per_token}};
    }
    if (!with_tensors) return result;
    result["tensors"] = ordered_json::array();
    for (const files::NamedTensor& tensor : file.tensors()) {
        result["tensors"].push_back({{"name", shown(tensor.name)},
                                     {"type", tensor::format_of(tensor.dtype).name},
                                     {"shape", tensor.shape},
                                     {"bytes", tensor.size_bytes()}});
    }
    return result;
}

Result<int> show(const InfoOptions& options, const Environment& environment) {
    RAFTER_TRY(const std::filesystem::path path, find_model(environment, options.model));
    RAFTER_TRY(const auto source, engine::open_source(path));
    RAFTER_TRY(const ModelInfo info, inspect(*source));
    if (options.json) {
        RAFTER_TRY_VOID(write_stdout(json_text(info_json(info, *source, options.tensors)) + "\n"));
        return 0;
    }
    const report::Style style = stdout_style(environment);
    std::string text = facts_text(info, style);
    if (!info.types.empty()) text += "\n" + types_text(info, style);
    if (options.tensors) text += "\n" + tensors_text(*source, style);
    RAFTER_TRY_VOID(write_stdout(text));
    return 0;
}

}  // namespace

void add_info(CLI::App& app, Cli& cli) {
    const auto info_options = std::make_shared<InfoOptions>();
    Verb verb{.name = "info", .summary = "Show what a model file holds and what running it reads"};
    verb.options.add("model", info_options->model, {.required = true});
    verb.options.add("tensors", info_options->tensors);
    verb.options.add("json", info_options->json);
    verb.run = [info_options](const Environment& environment) { return show(*info_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
