// Metadata is any file's: texts need not be UTF-8, and lists can have as many elements as a vocabulary.
#include "protocols/ollama_models.h"

#include <fmt/format.h>

#include <variant>

#include "base/json_reader.h"
#include "base/xxh3.h"
#include "protocols/ollama_answer.h"
#include "protocols/ollama_parameters.h"
#include "text/utf8_stream.h"

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kLatest = ":latest";
// Of models that stay: some clients want a date all the same.
constexpr std::string_view kNever = "9999-12-31T23:59:59Z";
constexpr std::int64_t kMicroseconds = 1'000'000;

std::string architecture_of(const engine::OpenedModel& opened) {
    const auto architecture = opened.source->metadata().find_string("general.architecture");
    return architecture && *architecture ? text::valid_utf8(**architecture) : "";
}

// "134.52M", "1.7B".
std::string parameter_size(std::uint64_t n) {
    const auto count = static_cast<double>(n);
    if (n >= 1'000'000'000) return fmt::format("{:.1f}B", count * 1e-9);
    if (n >= 1'000'000) return fmt::format("{:.2f}M", count * 1e-6);
    if (n >= 1'000) return fmt::format("{:.0f}K", count * 1e-3);
    return fmt::format("{}", n);
}

ordered_json details(const OllamaModel& model) {
    const std::string family = model.opened != nullptr ? architecture_of(*model.opened) : "";
    return {{"parent_model", ""},
            {"format", "gguf"},
            {"family", family},
            {"families", ordered_json::array({family})},
            {"parameter_size", parameter_size(model.info.n_parameters.value_or(0))},
            {"quantization_level", model.quantization}};
}

// Tells files apart by their name, size and tensors; no checksum of their bytes, which would take reading all of them.
std::string digest(const OllamaModel& model) {
    if (model.opened == nullptr) return "";
    std::uint64_t hash = xxh3(model.info.path);
    hash = xxh3(model.info.size_bytes.value_or(0), hash);
    for (const auto& tensor : model.opened->source->tensors()) hash = xxh3(tensor.size_bytes(), xxh3(tensor.name, hash));
    std::string digits;
    for (std::uint64_t i = 0; i < 4; ++i) digits += fmt::format("{:016x}", xxh3(i, hash));
    return digits;
}

ordered_json entry(const OllamaModel& model) {
    const std::string name = text::valid_utf8(model.info.name);
    return {{"name", name},
            {"model", name},
            {"size", model.info.size_bytes.value_or(0)},
            {"digest", digest(model)},
            {"details", details(model)}};
}

ordered_json value_json(const files::MetadataValue& value, bool verbose) {
    return std::visit(
        [verbose](const auto& known) -> ordered_json {
            using Known = std::decay_t<decltype(known)>;
            if constexpr (std::is_same_v<Known, std::string_view>) {
                return text::valid_utf8(known);
            } else if constexpr (std::is_same_v<Known, files::MetadataArray>) {
                if (!verbose) return nullptr;
                ordered_json list = ordered_json::array();
                std::visit(
                    [&list](const auto& elements) {
                        for (const auto& element : elements) {
                            if constexpr (std::is_same_v<std::decay_t<decltype(elements)>, std::vector<std::string_view>>) {
                                list.push_back(text::valid_utf8(element));
                            } else {
                                list.push_back(static_cast<typename std::decay_t<decltype(elements)>::value_type>(element));
                            }
                        }
                    },
                    known);
                return list;
            } else {
                return known;
            }
        },
        value);
}

Result<ordered_json> capabilities(const engine::OpenedModel& opened, const AnswerFormatNames& names) {
    RAFTER_TRY(const AnswerFormat format, answer_format(opened.chat_template.source(), *opened.tokenizer, names));
    ordered_json list = ordered_json::array({"completion"});
    if (format.template_has_tools) list.push_back("tools");
    if (format.thought != ThoughtForm::kNone) list.push_back("thinking");
    if (opened.source->metadata().has(architecture_of(opened) + ".pooling_type")) list.push_back("embedding");
    return list;
}

}  // namespace

std::string_view without_latest(std::string_view name) {
    if (name.ends_with(kLatest)) name.remove_suffix(kLatest.size());
    return name;
}

ordered_json ollama_tags(std::span<const OllamaModel> models) {
    ordered_json list = ordered_json::array();
    for (const OllamaModel& model : models) {
        list.push_back(entry(model));
        list.back()["modified_at"] = rfc3339(model.info.created_unix_s * kMicroseconds);
    }
    return {{"models", std::move(list)}};
}

ordered_json ollama_ps(std::span<const OllamaModel> models) {
    ordered_json list = ordered_json::array();
    for (const OllamaModel& model : models) {
        list.push_back(entry(model));
        list.back()["expires_at"] = model.expires_unix_us ? rfc3339(*model.expires_unix_us) : std::string(kNever);
        list.back()["size_vram"] = 0;
        list.back()["context_length"] = model.info.context;
    }
    return {{"models", std::move(list)}};
}

Result<OllamaShowRequest> parse_ollama_show(const nlohmann::json& body_json) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    OllamaShowRequest request;
    RAFTER_TRY(request.model, read_text(body, parameters::kModel));
    RAFTER_TRY(const auto name, read_text(body, parameters::kShowName));
    RAFTER_TRY(const auto verbose, read_bool(body, parameters::kVerbose));
    if (!request.model || request.model->empty()) request.model = name;
    request.verbose = verbose.value_or(false);
    request.unknown_keys = body.unknown_keys();
    return request;
}

Result<ordered_json> ollama_show(const OllamaShowRequest& request, const OllamaModel& model, const AnswerFormatNames& names) {
    const engine::OpenedModel& opened = *model.opened;
    RAFTER_TRY(ordered_json can, capabilities(opened, names));
    const files::Metadata& metadata = opened.source->metadata();
    ordered_json facts = ordered_json::object();
    std::string license;
    for (const auto& [key, value] : metadata.entries()) {
        if (key.starts_with("tokenizer.chat_template")) continue;
        const auto* text = std::get_if<std::string_view>(&value);
        if (key == "general.license" && text != nullptr) license = text::valid_utf8(*text);
        facts[text::valid_utf8(key)] = value_json(value, request.verbose);
    }
    facts["general.parameter_count"] = model.info.n_parameters.value_or(0);
    const std::string file = model.info.path.substr(model.info.path.find_last_of('/') + 1);
    ordered_json answer{{"modelfile", fmt::format("FROM {}\n", text::valid_utf8(file))},
                        {"parameters", fmt::format("num_ctx {}", model.info.context)},
                        {"template", text::valid_utf8(opened.chat_template.source())},
                        {"details", details(model)},
                        {"model_info", std::move(facts)},
                        {"capabilities", std::move(can)},
                        {"modified_at", rfc3339(model.info.created_unix_s * kMicroseconds)}};
    if (!license.empty()) answer["license"] = license;
    return answer;
}

}  // namespace rafter::protocols
