// What a server says of its models in Ollama's words: /api/tags, /api/ps and /api/show.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "protocols/answers/answer_format.h"
#include "protocols/model_info.h"

namespace rafter::protocols {

struct OllamaModel {
    ModelInfo info;
    std::string quantization;                     // "Q4_1"; "": not known
    const engine::OpenedModel* opened = nullptr;  // null: it is not in memory, and little is known of it
    std::optional<std::int64_t> expires_unix_us;  // when it leaves memory, if nobody asks for it until then; none: it stays
};

// models: all; those in memory.
[[nodiscard]] nlohmann::ordered_json ollama_tags(std::span<const OllamaModel> models);
[[nodiscard]] nlohmann::ordered_json ollama_ps(std::span<const OllamaModel> models);

struct OllamaShowRequest {
    std::optional<std::string> model;
    bool verbose = false;  // with lists of the file's metadata
    std::vector<std::string> unknown_keys;
};
// body: any JSON value.
[[nodiscard]] Result<OllamaShowRequest> parse_ollama_show(const nlohmann::json& body);
// The file's metadata, its template, and what the model can do. Fails on names of parsers that are none.
// model: in memory.
[[nodiscard]] Result<nlohmann::ordered_json> ollama_show(const OllamaShowRequest& request, const OllamaModel& model,
                                                         const AnswerFormatNames& names);

// The same name with or without ":latest".
[[nodiscard]] std::string_view without_latest(std::string_view name);

}  // namespace rafter::protocols
