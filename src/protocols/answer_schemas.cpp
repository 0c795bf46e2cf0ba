// Answers as compact descriptions: a key, its type, "?" behind the type where it may be null, "?" before the key where it may be missing.
#include "protocols/answer_schemas.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;

ordered_json reference(std::string_view name) { return {{"$ref", "#/components/schemas/" + std::string(name)}}; }
ordered_json list_of(ordered_json items) { return {{"type", "array"}, {"items", std::move(items)}}; }
ordered_json or_null(ordered_json schema) { return {{"anyOf", ordered_json::array({std::move(schema), {{"type", "null"}}})}}; }
ordered_json constant(std::string_view text) { return {{"const", std::string(text)}}; }
ordered_json one_of(std::initializer_list<const char*> texts) { return {{"type", "string"}, {"enum", texts}}; }

// "string", "number?", "integer", "boolean", "object".
ordered_json simple(std::string_view type) {
    const bool may_be_null = type.ends_with('?');
    if (may_be_null) type.remove_suffix(1);
    ordered_json schema;
    schema["type"] = may_be_null ? ordered_json{std::string(type), "null"} : ordered_json(std::string(type));
    return schema;
}

struct Key {
    Key(const char* key, const char* type) : name(key), schema(simple(type)) {}
    Key(const char* key, ordered_json given) : name(key), schema(std::move(given)) {}
    std::string_view name;  // "?" before it: may be missing
    ordered_json schema;
};

ordered_json object(std::initializer_list<Key> keys) {
    ordered_json schema{{"type", "object"}, {"properties", ordered_json::object()}, {"required", ordered_json::array()}};
    for (const Key& key : keys) {
        const bool may_be_missing = key.name.starts_with('?');
        const std::string name(key.name.substr(may_be_missing ? 1 : 0));
        schema["properties"][name] = key.schema;
        if (!may_be_missing) schema["required"].push_back(name);
    }
    return schema;
}

ordered_json finish_reason() { return {{"enum", {"stop", "length", "tool_calls", "timeout", "cancelled", nullptr}}}; }

ordered_json timings() {
    return object({{"queue_seconds", "number"},
                   {"prefill_seconds", "number"},
                   {"decode_seconds", "number"},
                   {"first_token_seconds", "number?"},
                   {"predicted_first_token_seconds", "number?"},
                   {"predicted_last_token_seconds", "number?"},
                   {"bound", "string?"},
                   {"roof_fraction", "number?"},
                   {"prompt_tokens", "integer"},
                   {"cached_tokens", "integer"},
                   {"generated_tokens", "integer"},
                   {"prefill_tokens_per_second", "number?"},
                   {"decode_tokens_per_second", "number?"},
                   {"draft_tokens", "integer?"},
                   {"accepted_draft_tokens", "integer?"},
                   {"preemptions", "integer"}});
}

ordered_json usage() {
    return object({{"prompt_tokens", "integer"},
                   {"completion_tokens", "integer"},
                   {"total_tokens", "integer"},
                   {"?prompt_tokens_details", object({{"cached_tokens", "integer"}})},
                   {"completion_tokens_details", object({{"reasoning_tokens", "integer"}})}});
}

ordered_json token_logprob(bool with_top) {
    ordered_json schema = object({{"token", "string"}, {"logprob", "number"}, {"bytes", list_of(simple("integer"))}});
    if (with_top) schema["properties"]["top_logprobs"] = list_of(token_logprob(false));
    return schema;
}

ordered_json chat_logprobs() { return or_null(object({{"content", list_of(token_logprob(true))}, {"refusal", "string?"}})); }

ordered_json completion_logprobs() {
    return or_null(object({{"tokens", list_of(simple("string"))},
                           {"token_logprobs", list_of(simple("number?"))},
                           {"top_logprobs", list_of(simple("object?"))},
                           {"text_offset", list_of(simple("integer"))}}));
}

ordered_json prompt_logprobs() {
    const ordered_json one = object({{"logprob", "number"}, {"rank", "integer?"}, {"decoded_token", "string"}});
    return list_of(or_null({{"type", "object"}, {"additionalProperties", one}}));
}

void add_completions(ordered_json& schemas) {
    const ordered_json call =
        object({{"id", "string"}, {"type", constant("function")}, {"function", object({{"name", "string"}, {"arguments", "string"}})}});
    const ordered_json message = object({{"role", constant("assistant")},
                                         {"content", "string?"},
                                         {"refusal", "string?"},
                                         {"?reasoning_content", "string"},
                                         {"?tool_calls", list_of(call)}});
    schemas["ChatCompletion"] = object(
        {{"id", "string"},
         {"object", constant("chat.completion")},
         {"created", "integer"},
         {"model", "string"},
         {"choices",
          list_of(object({{"index", "integer"}, {"message", message}, {"logprobs", chat_logprobs()}, {"finish_reason", finish_reason()}}))},
         {"usage", reference("Usage")},
         {"?prompt_logprobs", prompt_logprobs()},
         {"?timings", reference("Timings")}});
    const ordered_json call_delta = object({{"index", "integer"},
                                            {"?id", "string"},
                                            {"?type", constant("function")},
                                            {"function", object({{"?name", "string"}, {"arguments", "string"}})}});
    const ordered_json delta = object({{"?role", constant("assistant")},
                                       {"?content", "string"},
                                       {"?refusal", "string?"},
                                       {"?reasoning_content", "string"},
                                       {"?tool_calls", list_of(call_delta)}});
    schemas["ChatCompletionChunk"] = object(
        {{"id", "string"},
         {"object", constant("chat.completion.chunk")},
         {"created", "integer"},
         {"model", "string"},
         {"choices",
          list_of(object({{"index", "integer"}, {"delta", delta}, {"logprobs", chat_logprobs()}, {"finish_reason", finish_reason()}}))},
         {"?usage", or_null(reference("Usage"))},
         {"?timings", reference("Timings")}});
    schemas["Completion"] = object({{"id", "string"},
                                    {"object", constant("text_completion")},
                                    {"created", "integer"},
                                    {"model", "string"},
                                    {"choices", list_of(object({{"index", "integer"},
                                                                {"text", "string"},
                                                                {"logprobs", completion_logprobs()},
                                                                {"finish_reason", finish_reason()},
                                                                {"?prompt_logprobs", prompt_logprobs()}}))},
                                    {"?usage", or_null(reference("Usage"))},
                                    {"?timings", reference("Timings")}});
}

void add_responses(ordered_json& schemas) {
    const ordered_json part = object({{"type", constant("output_text")},
                                      {"text", "string"},
                                      {"annotations", list_of(ordered_json::object())},
                                      {"logprobs", list_of(token_logprob(true))}});
    const ordered_json message = object({{"id", "string"},
                                         {"type", constant("message")},
                                         {"status", one_of({"in_progress", "completed", "incomplete"})},
                                         {"role", constant("assistant")},
                                         {"content", list_of(part)}});
    const ordered_json thought = object({{"id", "string"},
                                         {"type", constant("reasoning")},
                                         {"summary", list_of(ordered_json::object())},
                                         {"content", list_of(object({{"type", constant("reasoning_text")}, {"text", "string"}}))},
                                         {"status", "string"}});
    const ordered_json call = object({{"id", "string"},
                                      {"type", constant("function_call")},
                                      {"status", "string"},
                                      {"call_id", "string"},
                                      {"name", "string"},
                                      {"arguments", "string"}});
    const ordered_json item = {{"anyOf", ordered_json::array({message, thought, call})}};
    const ordered_json response_usage = object({{"input_tokens", "integer"},
                                                {"input_tokens_details", object({{"cached_tokens", "integer"}})},
                                                {"output_tokens", "integer"},
                                                {"output_tokens_details", object({{"reasoning_tokens", "integer"}})},
                                                {"total_tokens", "integer"}});
    schemas["Response"] = object({{"id", "string"},
                                  {"object", constant("response")},
                                  {"created_at", "integer"},
                                  {"status", one_of({"in_progress", "completed", "incomplete", "failed"})},
                                  {"error", or_null(object({{"code", "string"}, {"message", "string"}}))},
                                  {"incomplete_details", or_null(object({{"reason", "string"}}))},
                                  {"instructions", "string?"},
                                  {"max_output_tokens", "integer?"},
                                  {"model", "string"},
                                  {"output", list_of(item)},
                                  {"temperature", "number"},
                                  {"top_p", "number"},
                                  {"store", {{"const", false}}},
                                  {"metadata", "object"},
                                  {"usage", or_null(response_usage)},
                                  {"?timings", reference("Timings")}});
    schemas["ResponseEvent"] = object({{"type", "string"}, {"sequence_number", "integer"}, {"?response", reference("Response")}});
}

void add_messages(ordered_json& schemas) {
    const ordered_json text = object({{"type", constant("text")}, {"text", "string"}});
    const ordered_json thought = object({{"type", constant("thinking")}, {"thinking", "string"}, {"signature", "string"}});
    const ordered_json call = object({{"type", constant("tool_use")}, {"id", "string"}, {"name", "string"}, {"input", "object"}});
    const ordered_json block = {{"anyOf", ordered_json::array({text, thought, call})}};
    const ordered_json stop_reason = {
        {"enum",
         {"end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded", "timeout", "cancelled", nullptr}}};
    const ordered_json message_usage = object({{"input_tokens", "integer"},
                                               {"cache_creation_input_tokens", "integer"},
                                               {"cache_read_input_tokens", "integer"},
                                               {"output_tokens", "integer"}});
    schemas["Message"] = object({{"id", "string"},
                                 {"type", constant("message")},
                                 {"role", constant("assistant")},
                                 {"model", "string"},
                                 {"content", list_of(block)},
                                 {"stop_reason", stop_reason},
                                 {"stop_sequence", "string?"},
                                 {"usage", message_usage},
                                 {"?timings", reference("Timings")}});
    const ordered_json delta = object({{"?type", "string"},
                                       {"?text", "string"},
                                       {"?thinking", "string"},
                                       {"?signature", "string"},
                                       {"?partial_json", "string"},
                                       {"?stop_reason", stop_reason},
                                       {"?stop_sequence", "string?"}});
    schemas["MessageEvent"] = object({{"type", "string"},
                                      {"?message", reference("Message")},
                                      {"?index", "integer"},
                                      {"?content_block", block},
                                      {"?delta", delta},
                                      {"?usage", message_usage},
                                      {"?timings", reference("Timings")}});
    schemas["MessageTokens"] = object({{"input_tokens", "integer"}});
    schemas["AnthropicError"] =
        object({{"type", constant("error")}, {"error", object({{"type", "string"}, {"message", "string"}})}, {"request_id", "string?"}});
}

void add_texts(ordered_json& schemas) {
    const ordered_json vector = {{"anyOf", ordered_json::array({list_of(simple("number")), simple("string")})}};
    schemas["EmbeddingList"] =
        object({{"object", constant("list")},
                {"data", list_of(object({{"object", constant("embedding")}, {"index", "integer"}, {"embedding", vector}}))},
                {"model", "string"},
                {"usage", object({{"prompt_tokens", "integer"}, {"total_tokens", "integer"}})},
                {"?timings", reference("Timings")}});
    const ordered_json method = one_of({"yes_no", "embedding"});
    const ordered_json read_usage = object({{"prompt_tokens", "integer"}, {"total_tokens", "integer"}});
    schemas["Ranking"] = object(
        {{"id", "string"},
         {"created", "integer"},
         {"model", "string"},
         {"method", method},
         {"results", list_of(object({{"index", "integer"}, {"relevance_score", "number"}, {"?document", object({{"text", "string"}})}}))},
         {"usage", read_usage},
         {"?timings", reference("Timings")}});
    schemas["ScoreList"] = object({{"id", "string"},
                                   {"object", constant("list")},
                                   {"created", "integer"},
                                   {"model", "string"},
                                   {"method", method},
                                   {"data", list_of(object({{"index", "integer"}, {"object", constant("score")}, {"score", "number"}}))},
                                   {"usage", read_usage},
                                   {"?timings", reference("Timings")}});
    const ordered_json piece = object({{"id", "integer"}, {"piece", {{"type", {"string", "array"}}}}});
    const ordered_json tokens = list_of({{"anyOf", ordered_json::array({simple("integer"), piece})}});
    schemas["TokenizeAnswer"] = object(
        {{"tokens", tokens}, {"?count", "integer"}, {"?max_model_len", "integer?"}, {"?token_strs", or_null(list_of(simple("string")))}});
    schemas["DetokenizeAnswer"] = object({{"prompt", "string"}, {"content", "string"}});
    schemas["ApplyTemplateAnswer"] = object({{"prompt", "string"}});
}

void add_service(ordered_json& schemas) {
    schemas["Model"] = object({{"id", "string"},
                               {"object", constant("model")},
                               {"created", "integer"},
                               {"owned_by", "string"},
                               {"max_model_len", "integer"},
                               {"?meta", "object"}});
    schemas["ModelList"] = object({{"object", constant("list")}, {"data", list_of(reference("Model"))}});
    schemas["Props"] = object({{"default_generation_settings", object({{"n_ctx", "integer"}, {"params", "object"}})},
                               {"n_ctx", "integer"},
                               {"total_slots", "integer"},
                               {"model_alias", "string"},
                               {"model_path", "string"},
                               {"chat_template", "string"},
                               {"bos_token", "string"},
                               {"eos_token", "string"},
                               {"modalities", "object"},
                               {"build_info", "string"}});
    schemas["Version"] = object({{"version", "string"}});
    schemas["Status"] = object({{"status", "string"}});
    schemas["Load"] = object({{"ready", "boolean"},
                              {"n_running", "integer"},
                              {"n_queued", "integer"},
                              {"n_waiting", "integer"},
                              {"queued_seconds", "number"},
                              {"first_token_seconds", "number?"},
                              {"n_blocks", "integer"},
                              {"n_free_blocks", "integer"}});
    schemas["Roofline"] = object({{"machine", "object?"},
                                  {"model", "string"},
                                  {"now", "object"},
                                  {"steps", list_of(simple("object"))},
                                  {"verdict", or_null(object({{"headline", "string"}, {"lines", list_of(simple("string"))}}))}});
    schemas["Explanation"] = simple("object");
    const ordered_json error = object({{"message", "string"}, {"type", "string"}, {"param", "string?"}, {"code", "string?"}});
    schemas["Error"] = object({{"error", error}});
}

void add_ollama(ordered_json& schemas) {
    const ordered_json call =
        object({{"id", "string"}, {"function", object({{"index", "integer"}, {"name", "string"}, {"arguments", "object"}})}});
    const ordered_json message =
        object({{"role", constant("assistant")}, {"content", "string"}, {"?thinking", "string"}, {"?tool_calls", list_of(call)}});
    const auto answer = [](std::initializer_list<Key> parts) {
        ordered_json schema = object(parts);
        const ordered_json end = object({{"model", "string"},
                                         {"created_at", "string"},
                                         {"done", "boolean"},
                                         {"done_reason", "string"},
                                         {"?logprobs", list_of(token_logprob(true))},
                                         {"?total_duration", "integer"},
                                         {"?load_duration", "integer"},
                                         {"?prompt_eval_count", "integer"},
                                         {"?prompt_eval_duration", "integer"},
                                         {"?eval_count", "integer"},
                                         {"?eval_duration", "integer"}});
        for (const auto& [key, value] : end["properties"].items()) schema["properties"][key] = value;
        for (const auto& key : end["required"]) schema["required"].push_back(key);
        return schema;
    };
    schemas["OllamaChat"] = answer({{"message", message}});
    schemas["OllamaGenerate"] = answer({{"response", "string"}, {"?thinking", "string"}, {"?context", list_of(simple("integer"))}});
    schemas["OllamaEmbed"] = object({{"model", "string"},
                                     {"embeddings", list_of(list_of(simple("number")))},
                                     {"total_duration", "integer"},
                                     {"load_duration", "integer"},
                                     {"prompt_eval_count", "integer"}});
    schemas["OllamaEmbeddings"] = object({{"embedding", list_of(simple("number"))}});
    const ordered_json details = object({{"parent_model", "string"},
                                         {"format", "string"},
                                         {"family", "string"},
                                         {"families", list_of(simple("string"))},
                                         {"parameter_size", "string"},
                                         {"quantization_level", "string"}});
    schemas["OllamaModels"] = object({{"models", list_of(object({{"name", "string"},
                                                                 {"model", "string"},
                                                                 {"size", "integer"},
                                                                 {"digest", "string"},
                                                                 {"details", details},
                                                                 {"?modified_at", "string"},
                                                                 {"?expires_at", "string"},
                                                                 {"?size_vram", "integer"},
                                                                 {"?context_length", "integer"}}))}});
    schemas["OllamaShow"] = object({{"modelfile", "string"},
                                    {"parameters", "string"},
                                    {"template", "string"},
                                    {"details", details},
                                    {"model_info", "object"},
                                    {"capabilities", list_of(simple("string"))},
                                    {"modified_at", "string"},
                                    {"?license", "string"}});
    schemas["OllamaError"] = object({{"error", "string"}});
}

}  // namespace

ordered_json answer_schemas() {
    ordered_json schemas;
    schemas["Timings"] = timings();
    schemas["Usage"] = usage();
    add_completions(schemas);
    add_responses(schemas);
    add_messages(schemas);
    add_texts(schemas);
    add_service(schemas);
    add_ollama(schemas);
    return schemas;
}

}  // namespace rafter::protocols
