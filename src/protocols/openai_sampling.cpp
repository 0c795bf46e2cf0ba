// Where OpenAI allows a narrower range than the engine, the engine's range holds.
#include "protocols/openai_sampling.h"

#include <charconv>
#include <cmath>

#include "base/quote.h"
#include "protocols/openai_parameters.h"

namespace rafter::protocols {
namespace {

using engine::TokenId;

constexpr std::size_t kMaxStopBytes = 8192;  // each sequence has a table of them

Result<std::vector<std::pair<TokenId, float>>> read_logit_bias(const JsonReader& body, std::size_t n_vocab) {
    std::vector<std::pair<TokenId, float>> biases;
    RAFTER_TRY(const auto found, body.find_object(parameters::kLogitBias.name));
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
    const nlohmann::json* seed = body.find(parameters::kSeed.name);
    if (seed == nullptr) return otherwise;
    if (seed->is_number_unsigned()) return seed->get<std::uint64_t>();
    if (seed->is_number_integer()) return static_cast<std::uint64_t>(seed->get<std::int64_t>());
    return bad_input("{}: seed: expected a whole number of at most 64 bits, found {}", body.where(), shown_json(*seed));
}

}  // namespace

Result<std::vector<std::string>> read_stops(const JsonReader& body, const std::string& key) {
    const nlohmann::json* stop = body.find(key);
    std::vector<std::string> stops;
    std::size_t n_bytes = 0;
    if (stop == nullptr) return stops;
    if (!stop->is_string() && !stop->is_array()) {
        return bad_input("{}: {}: expected a text or a list of texts, found {}", body.where(), key, shown_json(*stop));
    }
    const nlohmann::json list = stop->is_array() ? *stop : nlohmann::json::array({*stop});
    if (list.size() > kMaxStops) return bad_input("{}: {}: expected at most {} texts, found {}", body.where(), key, kMaxStops, list.size());
    for (const nlohmann::json& text : list) {
        if (!text.is_string() || text.get_ref<const std::string&>().empty()) {
            return bad_input("{}: {}: expected texts that are not empty, found {}", body.where(), key, shown_json(text));
        }
        stops.push_back(text.get<std::string>());
        n_bytes += stops.back().size();
    }
    if (n_bytes > kMaxStopBytes) {
        return bad_input("{}: {}: expected texts of at most {} bytes together, found {}", body.where(), key, kMaxStopBytes, n_bytes);
    }
    return stops;
}

Result<int> read_priority(const JsonReader& body) {
    const nlohmann::json* value = body.find(parameters::kPriority.name);
    if (value == nullptr) return 0;
    const double priority = value->is_number() ? value->get<double>() : std::nan("");
    if (!(std::abs(priority) <= parameters::kMaxPriority) || priority != std::floor(priority)) {
        return bad_input("{}: priority: expected a whole number from -{} to {}, found {}", body.where(), parameters::kMaxPriority,
                         parameters::kMaxPriority, shown_json(*value));
    }
    return static_cast<int>(priority);
}

Result<engine::SamplingOptions> read_sampling(const JsonReader& body, std::size_t n_vocab, std::uint64_t default_seed) {
    engine::SamplingOptions sampling;
    RAFTER_TRY(const auto temperature, read_number(body, parameters::kTemperature));
    RAFTER_TRY(const auto top_p, read_number(body, parameters::kTopP));
    RAFTER_TRY(const auto min_p, read_number(body, parameters::kMinP));
    RAFTER_TRY(const auto typical_p, read_number(body, parameters::kTypicalP));
    RAFTER_TRY(const auto presence, read_number(body, parameters::kPresencePenalty));
    RAFTER_TRY(const auto frequency, read_number(body, parameters::kFrequencyPenalty));
    RAFTER_TRY(const auto repetition, read_number(body, parameters::kRepetitionPenalty));
    const nlohmann::json* top_k = body.find(parameters::kTopK.name);
    if (top_k != nullptr && *top_k != -1) {  // -1: all, as vLLM has it
        RAFTER_TRY(const auto k, body.find_uint(parameters::kTopK.name, 0, UINT32_MAX));
        sampling.top_k = *k;
    }
    sampling.temperature = temperature.value_or(1.0);
    sampling.top_p = top_p.value_or(1.0);
    sampling.min_p = min_p.value_or(0.0);
    sampling.typical_p = typical_p.value_or(1.0);
    sampling.presence_penalty = presence.value_or(0.0);
    sampling.frequency_penalty = frequency.value_or(0.0);
    sampling.repeat_penalty = repetition.value_or(1.0);
    RAFTER_TRY(sampling.logit_bias, read_logit_bias(body, n_vocab));
    RAFTER_TRY(sampling.seed, read_seed(body, default_seed));
    return sampling;
}

}  // namespace rafter::protocols
