// What a server says of its model: /v1/models, /props (llama-server's) and /version.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace rafter::protocols {

struct ModelInfo {
    std::string name;                   // as clients call it
    std::string_view state = "loaded";  // or "loading", "unloading", "unloaded": then little else is known
    std::string error;                  // why it could not be loaded the last time; "": it could, or nobody tried
    std::string path;                   // of its file: only its last part is told
    std::int64_t created_unix_s = 0;
    std::uint32_t context = 0;       // tokens that a sequence may have
    std::uint32_t n_together = 0;    // sequences that run at once
    std::string_view chat_template;  // its source; "": not known
    std::string_view version;        // of this program
    std::optional<std::uint32_t> n_vocab, d_model;
    std::optional<std::uint64_t> n_parameters, size_bytes;
    std::optional<std::uint64_t> planned_bytes;  // of memory, with the KV cache; none: it is not in memory
};

// {"object": "list", "data": [...]}, as OpenAI's with vLLM's max_model_len and llama-server's meta.
[[nodiscard]] nlohmann::ordered_json models_answer(std::span<const ModelInfo> models);
// One of them, for /v1/models/NAME.
[[nodiscard]] nlohmann::ordered_json model_answer(const ModelInfo& model);
[[nodiscard]] nlohmann::ordered_json props_answer(const ModelInfo& model, const text::Tokenizer& tokenizer);
[[nodiscard]] nlohmann::ordered_json version_answer(std::string_view version);

}  // namespace rafter::protocols
