// Where OpenAI allows a narrower range than the engine, the engine's range holds. A key whose value is null counts as missing, as with
// OpenAI.
#include "protocols/openai_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/json_reader.h"
#include "base/quote.h"
#include "engine/conversation.h"
#include "engine/sampling/noise.h"

namespace rafter::protocols {
namespace {

using engine::TokenId;
struct Prompts {
    std::vector<std::vector<TokenId>> tokens;
    std::vector<OpenAiEcho> echoes;
    bool system_moved = false;  // the template takes no system message
};

constexpr double kMaxWeight = 1e6;  // of temperature, penalties and biases: as engine::validate() has it
constexpr std::uint32_t kMaxN = 128;
constexpr std::size_t kMaxChoices = 2048;  // n times prompts
constexpr std::size_t kMaxStops = 64;
constexpr std::uint32_t kMaxLogprobs = 20;

// Keys of OpenAI and of other servers that would change the answer. Empty values of them change nothing.
constexpr std::array kNotSupported = {"audio",           "function_call",      "functions",        "grammar",
                                      "guided_choice",   "guided_grammar",     "guided_json",      "guided_regex",
                                      "json_schema",     "structured_outputs", "suffix",           "tools",
                                      "use_beam_search", "web_search_options", "logits_processors"};
// Keys that do not change the answer.
constexpr std::array kWithoutEffect = {
    "user",           "metadata",           "store", "service_tier", "prediction", "prompt_cache_key", "safety_identifier",
    "stream_options", "parallel_tool_calls"};

bool is_empty_text(const nlohmann::json& value) { return value.is_string() && value.get_ref<const std::string&>().empty(); }

bool says_nothing(const nlohmann::json& value) {
    if (value.is_string()) return is_empty_text(value);
    if (value.is_array() || value.is_object()) return value.empty();
    return value.is_null() || value == false || value == 0;
}

Error not_supported(const JsonReader& body, std::string_view key, const nlohmann::json& value, std::string_view expected = "no such key") {
    return bad_input("{}: {}: expected {}: this is not supported; found {}", body.where(), key, expected, shown_json(value));
}

Result<void> refuse_unsupported(const JsonReader& body) {
    for (const char* key : kNotSupported) {
        const nlohmann::json* value = body.find(key);
        if (value != nullptr && !says_nothing(*value)) return not_supported(body, key, *value);
    }
    if (const nlohmann::json* value = body.find("best_of"); value != nullptr && *value != 1)
        return not_supported(body, "best_of", *value, "1");
    if (const nlohmann::json* value = body.find("tool_choice"); value != nullptr && *value != "none" && *value != "auto") {
        return not_supported(body, "tool_choice", *value, "\"none\"");
    }
    if (const nlohmann::json* value = body.find("modalities"); value != nullptr && *value != nlohmann::json::array({"text"})) {
        return not_supported(body, "modalities", *value, "[\"text\"]");
    }
    RAFTER_TRY(const auto format, body.find_object("response_format"));
    if (format) {
        const nlohmann::json* type = format->find("type");
        if (type == nullptr || *type != "text") {
            return not_supported(*format, "type", type == nullptr ? nlohmann::json() : *type, "\"text\"");
        }
    }
    return {};
}

Result<std::vector<std::string>> read_stops(const JsonReader& body) {
    const nlohmann::json* stop = body.find("stop");
    std::vector<std::string> stops;
    if (stop == nullptr) return stops;
    if (!stop->is_string() && !stop->is_array()) {
        return bad_input("{}: stop: expected a text or a list of texts, found {}", body.where(), shown_json(*stop));
    }
    const nlohmann::json list = stop->is_array() ? *stop : nlohmann::json::array({*stop});
    if (list.size() > kMaxStops) return bad_input("{}: stop: expected at most {} texts, found {}", body.where(), kMaxStops, list.size());
    for (const nlohmann::json& text : list) {
        if (!text.is_string() || is_empty_text(text)) {
            return bad_input("{}: stop: expected texts that are not empty, found {}", body.where(), shown_json(text));
        }
        stops.push_back(text.get<std::string>());
    }
    return stops;
}

Result<std::vector<std::pair<TokenId, float>>> read_logit_bias(const JsonReader& body, std::size_t n_vocab) {
    std::vector<std::pair<TokenId, float>> biases;
    RAFTER_TRY(const auto found, body.find_object("logit_bias"));
    if (!found) return biases;
    for (const std::string& key : found->unknown_keys()) {
        TokenId token = -1;
        const auto read = std::from_chars(key.data(), key.data() + key.size(), token);
        if (read.ec != std::errc() || read.ptr != key.data() + key.size() || token < 0 || static_cast<std::size_t>(token) >= n_vocab) {
            return bad_input("{}: expected token ids from 0 to {} as keys, found {}", found->where(), n_vocab - 1, quote(key));
        }
        RAFTER_TRY(const double bias, found->get_number(key, -kMaxWeight, kMaxWeight));
        biases.emplace_back(token, static_cast<float>(bias));
    }
    return biases;
}

// Any 64-bit number; a negative one becomes its two's complement.
Result<std::uint64_t> read_seed(const JsonReader& body, std::uint64_t otherwise) {
    const nlohmann::json* seed = body.find("seed");
    if (seed == nullptr) return otherwise;
    if (seed->is_number_unsigned()) return seed->get<std::uint64_t>();
    if (seed->is_number_integer()) return static_cast<std::uint64_t>(seed->get<std::int64_t>());
    return bad_input("{}: seed: expected a whole number of at most 64 bits, found {}", body.where(), shown_json(*seed));
}

Result<engine::SamplingOptions> read_sampling(const JsonReader& body, std::size_t n_vocab, std::uint64_t default_seed) {
    engine::SamplingOptions sampling;
    RAFTER_TRY(const auto temperature, body.find_number("temperature", 0.0, kMaxWeight));
    RAFTER_TRY(const auto top_p, body.find_number("top_p", 0.0, 1.0));
    RAFTER_TRY(const auto min_p, body.find_number("min_p", 0.0, 1.0));
    RAFTER_TRY(const auto presence, body.find_number("presence_penalty", -kMaxWeight, kMaxWeight));
    RAFTER_TRY(const auto frequency, body.find_number("frequency_penalty", -kMaxWeight, kMaxWeight));
    RAFTER_TRY(const auto repetition, body.find_number("repetition_penalty", 1.0 / kMaxWeight, kMaxWeight));
    const nlohmann::json* top_k = body.find("top_k");
    if (top_k != nullptr && *top_k != -1) {  // -1: all, as vLLM has it
        RAFTER_TRY(const auto k, body.find_uint("top_k", 0, UINT32_MAX));
        sampling.top_k = *k;
    }
    sampling.temperature = temperature.value_or(1.0);
    sampling.top_p = top_p.value_or(1.0);
    sampling.min_p = min_p.value_or(0.0);
    sampling.presence_penalty = presence.value_or(0.0);
    sampling.frequency_penalty = frequency.value_or(0.0);
    sampling.repeat_penalty = repetition.value_or(1.0);
    RAFTER_TRY(sampling.logit_bias, read_logit_bias(body, n_vocab));
    RAFTER_TRY(sampling.seed, read_seed(body, default_seed));
    return sampling;
}

// With echo an answer may have no tokens: then only the prompt is scored.
Result<std::uint32_t> read_max_tokens(const JsonReader& body, OpenAiEndpoint endpoint, bool echo, std::uint32_t otherwise) {
    RAFTER_TRY(auto most, body.find_uint("max_tokens", echo ? 0 : 1, UINT32_MAX));
    if (endpoint == OpenAiEndpoint::kChatCompletions) {
        RAFTER_TRY(const auto completion, body.find_uint("max_completion_tokens", 1, UINT32_MAX));
        if (completion && most && *completion != *most) {
            return bad_input("{}: max_completion_tokens: expected max_tokens's {} or only one of the two, found {}", body.where(), *most,
                             *completion);
        }
        if (completion) most = completion;
    }
    return most.value_or(otherwise);
}

// A key of vLLM and other servers that OpenAI does not have.
Result<std::uint32_t> read_min_tokens(const JsonReader& body, std::uint32_t max_tokens) {
    RAFTER_TRY(const auto least, body.find_uint("min_tokens", 0, UINT32_MAX));
    if (least.value_or(0) > max_tokens) {
        return bad_input("{}: min_tokens: expected at most the {} of max_tokens, found {}", body.where(), max_tokens, *least);
    }
    return least.value_or(0);
}

Result<std::optional<std::uint32_t>> read_logprobs(const JsonReader& body, OpenAiEndpoint endpoint) {
    if (endpoint == OpenAiEndpoint::kCompletions) return body.find_uint("logprobs", 0, kMaxLogprobs);
    RAFTER_TRY(const auto wanted, body.find_bool("logprobs"));
    RAFTER_TRY(const auto n, body.find_uint("top_logprobs", 0, kMaxLogprobs));
    if (n.value_or(0) > 0 && !wanted.value_or(false)) {
        return bad_input("{}: top_logprobs: expected logprobs to be true with it, found {}", body.where(),
                         wanted ? "false" : "no such key");
    }
    if (!wanted.value_or(false)) return std::optional<std::uint32_t>();
    return std::optional<std::uint32_t>(n.value_or(0));
}

// The content is a text, or a list of parts that are texts; parts are joined by line ends.
Result<std::string> read_content(const JsonReader& message) {
    const nlohmann::json* content = message.find("content");
    if (content == nullptr) return bad_input("{}: content: expected a text or a list of parts, found no such key", message.where());
    if (content->is_string()) return content->get<std::string>();
    if (!content->is_array()) {
        return bad_input("{}: content: expected a text or a list of parts, found {}", message.where(), shown_json(*content));
    }
    std::string text;
    for (std::size_t i = 0; i < content->size(); ++i) {
        RAFTER_TRY(const JsonReader part, JsonReader::open((*content)[i], fmt::format("{}: content[{}]", message.where(), i)));
        const nlohmann::json* type = part.find("type");
        if (type == nullptr || *type != "text") return not_supported(part, "type", type == nullptr ? nlohmann::json() : *type, "\"text\"");
        RAFTER_TRY(const auto piece, part.find_string("text"));
        if (!piece) return bad_input("{}: text: expected a text, found no such key", part.where());
        if (i > 0) text += '\n';
        text += *piece;
    }
    return text;
}

Result<nlohmann::ordered_json> read_message(const JsonReader& message) {
    RAFTER_TRY(const auto role, message.find_string("role"));
    constexpr std::array<std::string_view, 4> kRoles = {"system", "developer", "user", "assistant"};
    if (!role || std::find(kRoles.begin(), kRoles.end(), *role) == kRoles.end()) {
        return bad_input("{}: role: expected system, developer, user or assistant, found {}", message.where(),
                         role ? quote(*role) : "no such key");
    }
    for (const char* key : {"tool_calls", "function_call", "audio"}) {
        const nlohmann::json* value = message.find(key);
        if (value != nullptr && !says_nothing(*value)) return not_supported(message, key, *value);
    }
    RAFTER_TRY(std::string content, read_content(message));
    // Templates know "system", the older name of "developer".
    return nlohmann::ordered_json{{"role", *role == "developer" ? "system" : *role}, {"content", std::move(content)}};
}

// known: the prompt's tokens from an earlier parse, or null.
Result<Prompts> chat_prompts(const JsonReader& body, const engine::OpenedModel& opened, const std::vector<std::vector<TokenId>>* known) {
    const nlohmann::json* messages = body.find("messages");
    if (messages == nullptr || !messages->is_array() || messages->empty()) {
        return bad_input("{}: messages: expected a list of at least one message, found {}", body.where(),
                         messages == nullptr ? "no such key" : shown_json(*messages));
    }
    text::ChatTemplateInput input;
    for (std::size_t i = 0; i < messages->size(); ++i) {
        RAFTER_TRY(const JsonReader message, JsonReader::open((*messages)[i], fmt::format("{}: messages[{}]", body.where(), i)));
        RAFTER_TRY(auto read, read_message(message));
        input.messages.push_back(std::move(read));
    }
    RAFTER_TRY(const auto effort, body.find_string("reasoning_effort"));
    if (effort) input.variables["reasoning_effort"] = *effort;
    RAFTER_TRY(const auto variables, body.find_object("chat_template_kwargs"));
    if (variables) {
        for (const std::string& key : variables->unknown_keys()) {
            const nlohmann::json* value = variables->find(key);
            input.variables[key] = value == nullptr ? nlohmann::ordered_json() : nlohmann::ordered_json(*value);
        }
    }
    if (known != nullptr) return Prompts{.tokens = *known};
    const auto prompt = opened.chat_template.render_any_system(input);
    if (!prompt) return prompt.error().within(fmt::format("{}: messages", body.where()));
    return Prompts{.tokens = {opened.tokenizer->encode(prompt->text, text::SpecialTokens::kParse)},
                   .echoes = {},
                   .system_moved = prompt->system_moved};
}

Result<std::vector<TokenId>> token_prompt(const nlohmann::json& list, std::size_t n_vocab, const std::string& where) {
    std::vector<TokenId> tokens;
    tokens.reserve(list.size());
    for (const nlohmann::json& id : list) {
        const double token = id.is_number() ? id.get<double>() : -1.0;
        if (!(token >= 0 && token < static_cast<double>(n_vocab)) || token != std::floor(token)) {
            return bad_input("{}: expected token ids from 0 to {}, found {}", where, n_vocab - 1, shown_json(id));
        }
        tokens.push_back(static_cast<TokenId>(token));
    }
    if (tokens.empty()) return bad_input("{}: expected at least one token, found none", where);
    return tokens;
}

// A prompt is a text or a list of token ids; a list of prompts is several. known: their tokens from an earlier parse, or null.
Result<Prompts> completion_prompts(const JsonReader& body, const engine::OpenedModel& opened,
                                   const std::vector<std::vector<TokenId>>* known, bool echo) {
    const nlohmann::json* prompt = body.find("prompt");
    const std::string where = body.where() + ": prompt";
    if (prompt == nullptr) return bad_input("{}: expected a text or token ids, found no such key", where);
    const bool is_list = prompt->is_array() && (prompt->empty() || !prompt->front().is_number());
    const nlohmann::json list = is_list ? *prompt : nlohmann::json::array({*prompt});
    if (list.empty()) return bad_input("{}: expected at least one prompt, found []", where);
    Prompts prompts;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::string place = is_list ? fmt::format("{}[{}]", where, i) : where;
        if (!list[i].is_string() && !list[i].is_array()) {
            return bad_input("{}: expected a text or token ids, found {}", place, shown_json(list[i]));
        }
        Result<std::vector<TokenId>> tokens = std::vector<TokenId>();
        if (known != nullptr) {
            tokens = known->at(i);
        } else if (list[i].is_string()) {
            tokens = engine::encode_prompt(opened, list[i].get_ref<const std::string&>());
            if (!tokens) return tokens.error().within(place);
        } else {
            tokens = token_prompt(list[i], opened.config.n_vocab, place);
            if (!tokens) return tokens.error();
        }
        if (!echo) {
            prompts.tokens.push_back(*std::move(tokens));
            continue;
        }
        const auto has_text = [&](TokenId id) { return static_cast<std::size_t>(id) < opened.tokenizer->n_tokens(); };
        if (!std::ranges::all_of(*tokens, has_text)) {
            return bad_input("{}: expected token ids from 0 to {}, which have texts to echo, found others", place,
                             opened.tokenizer->n_tokens() - 1);
        }
        if (list[i].is_string()) {
            prompts.echoes.push_back({.text = list[i].get<std::string>(), .shown = text::SpecialTokens::kParse, .tokens = {}});
        } else {
            prompts.echoes.push_back({.text = opened.tokenizer->decode(*tokens, text::SpecialTokens::kAsText), .tokens = {}});
        }
        prompts.tokens.push_back(*std::move(tokens));
    }
    return prompts;
}

// A chat has no echo.
Result<bool> read_echo(const JsonReader& body, OpenAiEndpoint endpoint) {
    if (const nlohmann::json* value = body.find("echo"); value == nullptr || says_nothing(*value)) return false;
    RAFTER_TRY(const auto echo, body.find_bool("echo"));
    if (endpoint == OpenAiEndpoint::kChatCompletions && echo.value_or(false)) return not_supported(body, "echo", true);
    return echo.value_or(false);
}

Result<void> read_stream(const JsonReader& body, OpenAiRequest& request) {
    RAFTER_TRY(const auto stream, body.find_bool("stream"));
    request.stream = stream.value_or(false);
    RAFTER_TRY(const auto options, body.find_object("stream_options"));
    if (!options) return {};
    RAFTER_TRY(const auto usage, options->find_bool("include_usage"));
    request.stream_usage = usage.value_or(false);
    return {};
}

}  // namespace

std::optional<OpenAiEndpoint> find_openai_endpoint(std::string_view path) {
    if (path == "/v1/chat/completions") return OpenAiEndpoint::kChatCompletions;
    if (path == "/v1/completions") return OpenAiEndpoint::kCompletions;
    return std::nullopt;
}

Result<OpenAiRequest> parse_openai_request(OpenAiEndpoint endpoint, const nlohmann::json& body_json, const engine::OpenedModel& opened,
                                           const OpenAiDefaults& defaults) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    RAFTER_TRY_VOID(refuse_unsupported(body));
    for (const char* key : kWithoutEffect) static_cast<void>(body.find(key));

    OpenAiRequest request;
    request.endpoint = endpoint;
    RAFTER_TRY(request.model, body.find_string("model"));
    RAFTER_TRY_VOID(read_stream(body, request));
    engine::Request choice;
    RAFTER_TRY(choice.sampling, read_sampling(body, opened.config.n_vocab, defaults.seed));
    RAFTER_TRY(const bool echo, read_echo(body, endpoint));
    RAFTER_TRY(choice.max_tokens, read_max_tokens(body, endpoint, echo, defaults.max_tokens));
    RAFTER_TRY(choice.min_tokens, read_min_tokens(body, choice.max_tokens));
    RAFTER_TRY(choice.stop, read_stops(body));
    RAFTER_TRY(choice.n_logprobs, read_logprobs(body, endpoint));
    RAFTER_TRY(const auto n, body.find_uint("n", 1, kMaxN));
    choice.end_tokens = opened.tokenizer->special().end_of_generation;

    const bool is_chat = endpoint == OpenAiEndpoint::kChatCompletions;
    RAFTER_TRY(Prompts prompts,
               is_chat ? chat_prompts(body, opened, defaults.prompts) : completion_prompts(body, opened, defaults.prompts, echo));
    if (prompts.tokens.size() * n.value_or(1) > kMaxChoices) {
        return bad_input("{}: expected at most {} choices, found n = {} of {} prompts", body.where(), kMaxChoices, n.value_or(1),
                         prompts.tokens.size());
    }
    if (prompts.system_moved) request.warnings.emplace_back(text::kSystemMoved);
    request.n = n.value_or(1);
    if (echo) request.echoes = std::move(prompts.echoes);
    if (echo && choice.n_logprobs) {
        for (std::size_t i = 0; i < prompts.tokens.size(); ++i) request.echoes[i].tokens = prompts.tokens[i];
    }
    for (const std::vector<TokenId>& prompt : prompts.tokens) {
        if (auto warning = engine::prompt_warning(opened, prompt)) request.warnings.push_back(*std::move(warning));
        request.n_prompt_tokens += prompt.size();
        for (std::uint32_t i = 0; i < request.n; ++i) {
            request.choices.push_back(choice);
            request.choices.back().prompt = prompt;
            // All choices of a prompt share the scores that the first one brings.
            if (echo && choice.n_logprobs && i == 0) request.choices.back().score_prompt_from = 0;
            request.choices.back().sampling.seed = engine::derived_seed(choice.sampling.seed, i);
        }
    }
    request.unknown_keys = body.unknown_keys();
    return request;
}

}  // namespace rafter::protocols
