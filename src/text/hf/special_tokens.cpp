// A token is a text or an object with its content.
#include "text/hf/special_tokens.h"

#include "text/hf/json_values.h"

namespace rafter::text::hf {

Result<TokenizerConfig> read_tokenizer_config(std::string_view text) {
    constexpr std::string_view kFile = "tokenizer_config.json";
    TokenizerConfig config;
    if (text.empty()) return config;
    RAFTER_TRY(const nlohmann::json json, parse_json(text, kFile));
    if (!json.is_object()) return bad_input("{}: expected an object, found {}", kFile, shown_json(json));
    for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "mask_token"}) {
        const nlohmann::json& value = member(json, name);
        if (value.is_string()) config.tokens[name] = value.get<std::string>();
        if (!value.is_object()) continue;
        RAFTER_TRY(std::string content, text_or(value, "content", "", std::string(kFile) + ": " + name));
        if (!content.empty()) config.tokens[name] = std::move(content);
    }
    for (const auto& [key, flag] : {std::pair("add_bos_token", &config.add_bos), std::pair("add_eos_token", &config.add_eos)}) {
        if (!member(json, key).is_boolean()) continue;
        *flag = member(json, key).get<bool>();
    }
    return config;
}

}  // namespace rafter::text::hf
