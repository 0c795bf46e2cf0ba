// Folders of this machine are nobody's business: a path is told by its last part.
#include "protocols/model_info.h"

#include <fmt/format.h>

#include "text/utf8_stream.h"

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;

template <typename T>
ordered_json known_value(const std::optional<T>& value) {
    return value ? ordered_json(*value) : ordered_json();
}

std::string text_of(const text::Tokenizer& tokenizer, std::optional<text::TokenId> id) {
    return id ? text::valid_utf8(tokenizer.piece(*id, text::SpecialTokens::kParse)) : "";
}

}  // namespace

ordered_json model_answer(const ModelInfo& model) {
    const std::optional<std::uint32_t> context = model.context > 0 ? std::optional(model.context) : std::nullopt;
    ordered_json answer{{"id", text::valid_utf8(model.name)},
                        {"object", "model"},
                        {"created", model.created_unix_s},
                        {"owned_by", "rafter"},
                        {"state", std::string(model.state)},
                        {"planned_bytes", known_value(model.planned_bytes)},
                        {"max_model_len", known_value(context)},
                        {"meta",
                         {{"n_vocab", known_value(model.n_vocab)},
                          {"n_ctx", known_value(context)},
                          {"n_embd", known_value(model.d_model)},
                          {"n_params", known_value(model.n_parameters)},
                          {"size", known_value(model.size_bytes)}}}};
    if (!model.error.empty()) answer["error"] = text::valid_utf8(model.error);
    return answer;
}

ordered_json models_answer(std::span<const ModelInfo> models) {
    ordered_json list = ordered_json::array();
    for (const ModelInfo& model : models) list.push_back(model_answer(model));
    return {{"object", "list"}, {"data", std::move(list)}};
}

ordered_json props_answer(const ModelInfo& model, const text::Tokenizer& tokenizer) {
    const std::string file = model.path.substr(model.path.find_last_of('/') + 1);
    // OpenAI's defaults, which hold where a request says nothing.
    const ordered_json sampling{{"temperature", 1.0},
                                {"top_k", 0},
                                {"top_p", 1.0},
                                {"min_p", 0.0},
                                {"typical_p", 1.0},
                                {"repeat_penalty", 1.0},
                                {"presence_penalty", 0.0},
                                {"frequency_penalty", 0.0}};
    return {{"default_generation_settings", {{"n_ctx", model.context}, {"params", sampling}}},
            {"n_ctx", model.context},
            {"total_slots", model.n_together},
            {"model_alias", text::valid_utf8(model.name)},
            {"model_path", text::valid_utf8(file)},
            {"chat_template", text::valid_utf8(model.chat_template)},
            {"bos_token", text_of(tokenizer, tokenizer.special().bos)},
            {"eos_token", text_of(tokenizer, tokenizer.special().eos)},
            {"modalities", {{"vision", false}, {"audio", false}}},
            {"build_info", fmt::format("rafter {}", model.version)}};
}

ordered_json version_answer(std::string_view version) { return {{"version", std::string(version)}}; }

}  // namespace rafter::protocols
