// Sums of squares are in double: a float's would lose what thousands of small components add.
#include "protocols/embeddings.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "base/json_reader.h"
#include "base/quote.h"
#include "engine/conversation.h"
#include "protocols/openai_prompts.h"
#include "protocols/openai_sampling.h"
#include "protocols/service_parameters.h"

namespace rafter::protocols {
namespace {

// GGUF's numbers of pooling types.
constexpr std::uint64_t kGgufLast = 3;

Result<bool> read_base64(const JsonReader& body) {
    RAFTER_TRY(const auto name, body.find_string(parameters::kEncodingFormat.name));
    if (!name || *name == "float") return false;
    if (*name == "base64") return true;
    return bad_input("{}: encoding_format: expected float or base64, found {}", body.where(), quote(*name));
}

void append_base64(std::string& text, std::span<const float> vector) {
    std::vector<unsigned char> bytes(vector.size_bytes());
    std::memcpy(bytes.data(), vector.data(), bytes.size());  // every machine that we run on has the lowest byte first
    text += '"' + to_base64(bytes) + '"';
}

}  // namespace

Pooling file_pooling(const engine::OpenedModel& opened) {
    const files::Metadata& metadata = opened.source->metadata();
    const auto architecture = metadata.find_string("general.architecture");
    if (!architecture || !*architecture) return Pooling::kMean;
    const auto type = metadata.find_uint(fmt::format("{}.pooling_type", **architecture));
    const bool is_last = type && *type && **type == kGgufLast;
    return is_last ? Pooling::kLast : Pooling::kMean;
}

Result<Pooling> read_pooling(const JsonReader& body, const engine::OpenedModel& opened) {
    RAFTER_TRY(const auto name, body.find_string(parameters::kPooling.name));
    if (name == "mean") return Pooling::kMean;
    if (name == "last") return Pooling::kLast;
    if (name) return bad_input("{}: pooling: expected mean or last, found {}", body.where(), quote(*name));
    return file_pooling(opened);
}

Result<std::optional<std::uint32_t>> read_dimensions(const JsonReader& body, std::uint32_t d_model) {
    RAFTER_TRY(const auto n, read_whole(body, parameters::kDimensions));
    if (n && *n > d_model) {
        return bad_input("{}: dimensions: expected at most the model's {}, found {}", body.where(), d_model, *n);
    }
    return n;
}

Result<std::vector<engine::TokenId>> tokens_to_embed(const nlohmann::json& input, const engine::OpenedModel& opened,
                                                     const OpenAiDefaults& defaults, const std::string& where, bool add_special_tokens) {
    RAFTER_TRY(std::vector<engine::TokenId> tokens, prompt_tokens(input, opened, defaults, where, add_special_tokens));
    const text::SpecialIds& special = opened.tokenizer->special();
    // Models of embeddings are trained to say what a text means at its end token.
    if (input.is_string() && add_special_tokens && special.add_eos && special.eos) tokens.push_back(*special.eos);
    return tokens;
}

engine::Request embedding_sequence(Pooling pooling) {
    engine::Request sequence;
    sequence.output = pooling == Pooling::kMean ? engine::OutputKind::kHiddenMean : engine::OutputKind::kHiddenLast;
    sequence.max_tokens = 0;
    return sequence;
}

void append_vector(std::string& text, std::span<const float> vector) {
    text += '[';
    for (std::size_t i = 0; i < vector.size(); ++i) fmt::format_to(std::back_inserter(text), "{}{}", i > 0 ? "," : "", vector[i]);
    text += ']';
}

std::string to_base64(std::span<const unsigned char> bytes) {
    static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t bits = 0;
        for (std::size_t j = 0; j < 3; ++j) bits = bits << 8U | (j < n ? bytes[i + j] : 0U);
        for (std::size_t j = 0; j < 4; ++j) text += j <= n ? kDigits[bits >> (18 - 6 * j) & 63U] : '=';
    }
    return text;
}

Result<EmbeddingsRequest> parse_embeddings_request(const nlohmann::json& body_json, const engine::OpenedModel& opened,
                                                   const OpenAiDefaults& defaults) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    EmbeddingsRequest request;
    RAFTER_TRY_VOID(check_unused(body, parameters::kUserOfEmbeddings));
    RAFTER_TRY(request.model, read_text(body, parameters::kModel));
    RAFTER_TRY(request.pooling, read_pooling(body, opened));
    RAFTER_TRY(request.base64, read_base64(body));
    RAFTER_TRY(request.dimensions, read_dimensions(body, opened.config.d_model));
    RAFTER_TRY(request.priority, read_priority(body));
    RAFTER_TRY(request.max_ttft_seconds, read_number(body, parameters::kMaxTtftSeconds));
    RAFTER_TRY(const auto timings, read_bool(body, parameters::kTimings));
    RAFTER_TRY(const auto salt, read_text(body, parameters::kCacheSalt));
    RAFTER_TRY(const auto add_special, read_bool(body, parameters::kAddSpecialTokens));
    request.timings = timings.value_or(true);
    engine::Request sequence = embedding_sequence(request.pooling);
    sequence.priority = request.priority;
    sequence.cache_salt = salt.value_or("");
    RAFTER_TRY(const auto prefix, read_text(body, parameters::kPrefix));
    RAFTER_TRY(std::vector<nlohmann::json> inputs, list_of_prompts(body, parameters::kEmbeddingsInput.name));
    const nlohmann::json& given = *body.find(parameters::kEmbeddingsInput.name);
    const bool is_list = given.is_array() && !given.front().is_number();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const std::string where = body.where() + (is_list ? fmt::format(": input[{}]", i) : ": input");
        nlohmann::json& input = inputs[i];
        if (prefix && !input.is_string()) {
            return bad_input("{}: expected a text, which a prefix can come before, found {}", where, shown_json(input));
        }
        if (prefix) input = *prefix + input.get<std::string>();
        RAFTER_TRY(sequence.prompt, tokens_to_embed(input, opened, defaults, where, add_special.value_or(true)));
        if (auto warning = engine::prompt_warning(opened, sequence.prompt)) request.warnings.push_back(*std::move(warning));
        request.n_prompt_tokens += sequence.prompt.size();
        request.sequences.push_back(sequence);
    }
    request.unknown_keys = body.unknown_keys();
    return request;
}

std::vector<float> normalized(std::span<const float> hidden, std::optional<std::uint32_t> dimensions) {
    const std::span<const float> kept = hidden.first(std::min<std::size_t>(hidden.size(), dimensions.value_or(UINT32_MAX)));
    double sum = 0.0;
    for (const float x : kept) sum += static_cast<double>(x) * x;
    const double scale = sum > 0.0 && std::isfinite(sum) ? 1.0 / std::sqrt(sum) : 0.0;
    std::vector<float> vector;
    vector.reserve(kept.size());
    for (const float x : kept) vector.push_back(scale == 0.0 ? 0.0F : static_cast<float>(x * scale));
    return vector;
}

std::string embeddings_answer(const EmbeddingsRequest& request, std::span<const std::vector<float>> hidden, std::string_view model,
                              std::string_view timings) {
    std::string text = R"({"object":"list","data":[)";
    for (std::size_t i = 0; i < hidden.size(); ++i) {
        fmt::format_to(std::back_inserter(text), R"({}{{"object":"embedding","index":{},"embedding":)", i > 0 ? "," : "", i);
        const std::vector<float> vector = normalized(hidden[i], request.dimensions);
        if (request.base64) {
            append_base64(text, vector);
        } else {
            append_vector(text, vector);
        }
        text += '}';
    }
    const std::string name = nlohmann::json(std::string(model)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    fmt::format_to(std::back_inserter(text), R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}})", name,
                   request.n_prompt_tokens, request.n_prompt_tokens);
    if (!timings.empty()) fmt::format_to(std::back_inserter(text), R"(,"timings":{})", timings);
    return text + "}";
}

}  // namespace rafter::protocols
