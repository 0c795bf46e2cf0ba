// Where a name is OpenAI's as well, OpenAI's reader and its range hold.
#include "protocols/ollama_options.h"

#include <cmath>
#include <limits>

#include "protocols/duration.h"
#include "protocols/ollama_parameters.h"
#include "protocols/openai_sampling.h"

namespace rafter::protocols {
namespace {

constexpr double kOllamaTemperature = 0.8;
constexpr std::uint32_t kOllamaTopK = 40;
constexpr double kOllamaTopP = 0.9;
constexpr double kOllamaRepeatPenalty = 1.1;
constexpr double kOllamaRepeatLastN = 64;

// A whole number that may be negative.
Result<std::optional<double>> read_signed(const JsonReader& options, const Parameter& row, double low) {
    RAFTER_TRY(const auto number, options.find_number(row.name, low, kMaxUint));
    if (number && *number != std::floor(*number)) {
        return bad_input("{}: {}: expected a whole number from {} to {}, found {}", options.where(), row.name, low, kMaxUint, *number);
    }
    return number;
}

Result<void> read_penalties(const JsonReader& options, engine::SamplingOptions& sampling) {
    RAFTER_TRY(const auto penalty, read_number(options, parameters::kRepeatPenalty));
    RAFTER_TRY(const auto last, read_signed(options, parameters::kRepeatLastN, -1));
    sampling.repeat_penalty = penalty.value_or(kOllamaRepeatPenalty);
    const double n = last.value_or(kOllamaRepeatLastN);
    sampling.repeat_last_n = n < 0 ? 0 : static_cast<std::uint32_t>(n);  // the engine's 0: all
    if (n == 0) {
        sampling.repeat_penalty = 1.0;
        sampling.presence_penalty = sampling.frequency_penalty = 0.0;
    }
    return {};
}

}  // namespace

Result<OllamaOptions> read_ollama_options(const JsonReader& body, std::size_t n_vocab, const OpenAiDefaults& defaults) {
    const nlohmann::json empty = nlohmann::json::object();
    RAFTER_TRY(const auto given, body.find_object(parameters::kOllamaOptions.name));
    RAFTER_TRY(const JsonReader none, JsonReader::open(empty, body.where()));
    const JsonReader& options = given ? *given : none;
    OllamaOptions read;
    engine::SamplingOptions& sampling = read.sampling;
    RAFTER_TRY(sampling, read_sampling(options, n_vocab, defaults.seed));
    if (options.find(parameters::kTemperature.name) == nullptr) sampling.temperature = kOllamaTemperature;
    if (options.find(parameters::kTopK.name) == nullptr) sampling.top_k = kOllamaTopK;
    if (options.find(parameters::kTopP.name) == nullptr) sampling.top_p = kOllamaTopP;
    const nlohmann::json* seed = options.find(parameters::kSeed.name);
    if (seed != nullptr && *seed == -1) sampling.seed = defaults.seed;  // -1: any
    RAFTER_TRY_VOID(read_penalties(options, sampling));
    RAFTER_TRY(read.stop, read_stops(options));
    RAFTER_TRY(const auto n_predict, read_signed(options, parameters::kNumPredict, -2));
    if (n_predict && *n_predict > 0) read.max_tokens = static_cast<std::uint32_t>(*n_predict);
    RAFTER_TRY(const auto n_ctx, read_whole(options, parameters::kNumCtx));
    if (n_ctx && defaults.context && *n_ctx > *defaults.context) {
        read.warnings.push_back(fmt::format("num_ctx: the server's context of {} tokens holds, not {}", *defaults.context, *n_ctx));
    }
    read.unknown_keys = options.unknown_keys();
    return read;
}

Result<std::optional<double>> read_keep_alive(const JsonReader& body) {
    constexpr double kMaxSeconds = 1e9;  // 30 years: for ever
    const nlohmann::json* value = body.find(parameters::kKeepAlive.name);
    if (value == nullptr) return std::optional<double>();
    std::optional<double> seconds;
    if (value->is_number()) seconds = value->get<double>();
    if (value->is_string()) seconds = duration_seconds(value->get_ref<const std::string&>());
    if (!seconds) {
        return bad_input("{}: keep_alive: expected a number of seconds, or a text such as \"5m\", found {}", body.where(),
                         shown_json(*value));
    }
    const bool for_ever = *seconds < 0.0 || *seconds > kMaxSeconds;
    return std::optional(for_ever ? std::numeric_limits<double>::infinity() : *seconds);
}

}  // namespace rafter::protocols
