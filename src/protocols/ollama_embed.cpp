// A text that is cut keeps its end token: models of embeddings say there what the text means.
#include "protocols/ollama_embed.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_reader.h"
#include "protocols/embeddings.h"
#include "protocols/ollama_options.h"
#include "protocols/ollama_parameters.h"
#include "protocols/openai_prompts.h"
#include "protocols/openai_sampling.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;

Result<std::vector<std::string>> read_texts(const JsonReader& body, OllamaEmbedEndpoint endpoint) {
    std::vector<std::string> texts;
    if (endpoint == OllamaEmbedEndpoint::kEmbeddings) {
        RAFTER_TRY(auto prompt, read_text(body, parameters::kEmbedPrompt));
        if (prompt && !prompt->empty()) texts.push_back(*std::move(prompt));
        return texts;
    }
    const json* input = body.find(parameters::kEmbedInput.name);
    if (input == nullptr || *input == "") return texts;
    const std::string where = body.where() + ": input";
    if (input->is_string()) return std::vector<std::string>{input->get<std::string>()};
    if (!input->is_array()) return bad_input("{}: expected a text or a list of texts, found {}", where, shown_json(*input));
    if (input->size() > kMaxChoices) return bad_input("{}: expected at most {} texts, found {}", where, kMaxChoices, input->size());
    for (std::size_t i = 0; i < input->size(); ++i) {
        if (!(*input)[i].is_string()) return bad_input("{}[{}]: expected a text, found {}", where, i, shown_json((*input)[i]));
        texts.push_back((*input)[i].get<std::string>());
    }
    return texts;
}

// The text without what can never fit, cut between characters.
std::string_view bounded(std::string_view text, std::uint64_t max_bytes) {
    if (text.size() <= max_bytes) return text;
    std::size_t end = max_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return text.substr(0, end);
}

Result<std::vector<engine::TokenId>> tokens_within(std::string_view text, const engine::OpenedModel& opened, const OpenAiDefaults& defaults,
                                                   const std::string& where, bool truncate) {
    const text::SpecialIds& special = opened.tokenizer->special();
    const bool has_end = special.add_eos && special.eos;
    OpenAiDefaults limits = defaults;
    if (truncate) {
        if (defaults.max_prompt_bytes) text = bounded(text, *defaults.max_prompt_bytes);
        limits.context.reset();
    }
    RAFTER_TRY(auto tokens, prompt_tokens(json(std::string(text)), opened, limits, where, true));
    const std::size_t room = defaults.context ? *defaults.context - (has_end && *defaults.context > 1 ? 1 : 0) : tokens.size();
    if (truncate) tokens.resize(std::min(tokens.size(), room));
    if (has_end) tokens.push_back(*special.eos);
    RAFTER_TRY_VOID(check_prompt_tokens(tokens.size(), defaults, where));
    return tokens;
}

}  // namespace

Result<OllamaEmbedRequest> parse_ollama_embed(OllamaEmbedEndpoint endpoint, const json& body_json, const engine::OpenedModel& opened,
                                              const OpenAiDefaults& defaults) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    OllamaEmbedRequest request;
    request.endpoint = endpoint;
    RAFTER_TRY(request.model, read_text(body, parameters::kModel));
    RAFTER_TRY(request.keep_alive_seconds, read_keep_alive(body));
    RAFTER_TRY(OllamaOptions options, read_ollama_options(body, opened.config.n_vocab, defaults));
    request.warnings = std::move(options.warnings);
    RAFTER_TRY(request.priority, read_priority(body));
    RAFTER_TRY(request.max_ttft_seconds, read_number(body, parameters::kMaxTtftSeconds));
    RAFTER_TRY(const auto salt, read_text(body, parameters::kCacheSalt));
    bool truncate = true;
    Pooling pooling = file_pooling(opened);
    if (endpoint == OllamaEmbedEndpoint::kEmbed) {
        RAFTER_TRY(const auto cut, read_bool(body, parameters::kTruncate));
        truncate = cut.value_or(true);
        RAFTER_TRY(request.dimensions, read_dimensions(body, opened.config.d_model));
        RAFTER_TRY(pooling, read_pooling(body, opened));
    }
    RAFTER_TRY(const std::vector<std::string> texts, read_texts(body, endpoint));
    engine::Request sequence = embedding_sequence(pooling);
    sequence.priority = request.priority;
    sequence.cache_salt = salt.value_or("");
    const char* const key = endpoint == OllamaEmbedEndpoint::kEmbed ? "input" : "prompt";
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const std::string where = fmt::format("{}: {}{}", body.where(), key, texts.size() > 1 ? fmt::format("[{}]", i) : "");
        RAFTER_TRY(sequence.prompt, tokens_within(texts[i], opened, defaults, where, truncate));
        request.n_prompt_tokens += sequence.prompt.size();
        request.sequences.push_back(sequence);
    }
    request.unknown_keys = body.unknown_keys();
    request.unknown_keys.insert(request.unknown_keys.end(), options.unknown_keys.begin(), options.unknown_keys.end());
    return request;
}

std::string ollama_embed_answer(const OllamaEmbedRequest& request, std::span<const std::vector<float>> hidden, std::string_view model,
                                const AnswerTimings& timings) {
    std::string text;
    if (request.endpoint == OllamaEmbedEndpoint::kEmbeddings) {
        text = R"({"embedding":)";
        append_vector(text, hidden.empty() ? std::vector<float>() : normalized(hidden[0], std::nullopt));
        return text + "}";
    }
    const std::string name = json(std::string(model)).dump(-1, ' ', false, json::error_handler_t::replace);
    text = fmt::format(R"({{"model":{},"embeddings":[)", name);
    for (std::size_t i = 0; i < hidden.size(); ++i) {
        if (i > 0) text += ',';
        append_vector(text, normalized(hidden[i], request.dimensions));
    }
    const auto total = static_cast<std::int64_t>((timings.queue_seconds + timings.prefill_seconds) * 1e9);
    fmt::format_to(std::back_inserter(text), R"(],"total_duration":{},"load_duration":0,"prompt_eval_count":{}}})", total,
                   request.n_prompt_tokens);
    return text;
}

}  // namespace rafter::protocols
