// Defaults come from files of other people, so each value is checked as an option would be, and left out where it is none.
#include "apps/answer_options.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "base/json_reader.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

constexpr double kTemperature = 0.8;
constexpr double kTopP = 0.95;
constexpr double kMinP = 0.05;

Result<std::pair<engine::TokenId, float>> parse_bias(const std::string& text) {
    std::pair<engine::TokenId, float> bias;
    const char* const end = text.data() + text.size();
    const auto id = std::from_chars(text.data(), end, bias.first);
    const bool has_id = id.ec == std::errc() && id.ptr != end && *id.ptr == '=';
    const auto value = has_id ? std::from_chars(id.ptr + 1, end, bias.second) : id;
    if (!has_id || value.ec != std::errc() || value.ptr != end) {
        return Error{fmt::format("--logit-bias: expected ID=VALUE, such as 42=-5, found {}", text), ErrorKind::kUsage};
    }
    return bias;
}

// Values of the options of these names, as far as a source gives them.
struct Found {
    std::optional<double> temperature, top_k, top_p, min_p, repeat_penalty, repeat_last_n;
    [[nodiscard]] bool any() const { return temperature || top_k || top_p || min_p || repeat_penalty || repeat_last_n; }
};

// A value outside of the option's range counts as none.
void keep_if_valid(std::optional<double>& value, std::string_view option, std::string_view key, std::vector<std::string>& warnings) {
    if (!value) return;
    const OptionSpec& spec = option_named(option);
    const double least = spec.kind == ValueKind::kWhole ? static_cast<double>(spec.whole.least) : spec.number.least;
    const double most = spec.kind == ValueKind::kWhole ? static_cast<double>(spec.whole.most) : spec.number.most;
    if (*value >= least && *value <= most) return;
    warnings.push_back(fmt::format("{}: expected {}, found {}; not used", key, spec.expected(), *value));
    value.reset();
}

std::optional<double> number_at(const files::Metadata& metadata, std::string_view key, std::vector<std::string>& warnings) {
    const auto value = metadata.find_float(key);
    if (!value) warnings.push_back(value.error().message + "; not used");
    return value ? *value : std::nullopt;
}

// Keys as llama.cpp's converter writes them: https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py
Found from_metadata(const files::Metadata& metadata, std::vector<std::string>& warnings) {
    Found found;
    const auto read = [&](std::optional<double>& value, std::string_view key, std::string_view option) {
        const std::string name = fmt::format("general.sampling.{}", key);
        value = number_at(metadata, name, warnings);
        const bool means_all = option == "repeat-last-n" || option == "top-k";
        if (means_all && value && *value < 0) value = 0;
        keep_if_valid(value, option, name, warnings);
    };
    read(found.temperature, "temp", "temperature");
    read(found.top_k, "top_k", "top-k");
    read(found.top_p, "top_p", "top-p");
    read(found.min_p, "min_p", "min-p");
    read(found.repeat_penalty, "penalty_repeat", "repeat-penalty");
    read(found.repeat_last_n, "penalty_last_n", "repeat-last-n");
    return found;
}

// https://huggingface.co/docs/transformers/main_classes/text_generation
Found from_generation_config(const std::filesystem::path& path, std::vector<std::string>& warnings) {
    Found found;
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return found;
    const auto config = read_json_file(path.string());
    if (!config || !config->is_object()) {
        warnings.push_back(fmt::format("{}: expected a JSON object; not used", path.string()));
        return found;
    }
    const auto read = [&](std::optional<double>& value, const char* key, std::string_view option) {
        if (const auto at = config->find(key); at != config->end() && at->is_number()) value = at->get<double>();
        keep_if_valid(value, option, fmt::format("{}: {}", path.string(), key), warnings);
    };
    read(found.temperature, "temperature", "temperature");
    read(found.top_k, "top_k", "top-k");
    read(found.top_p, "top_p", "top-p");
    read(found.min_p, "min_p", "min-p");
    read(found.repeat_penalty, "repetition_penalty", "repeat-penalty");
    if (const auto sample = config->find("do_sample"); sample != config->end() && *sample == false) found.temperature = 0.0;
    return found;
}

}  // namespace

void add_answer_options(OptionSet& options, AnswerOptions& answer) {
    options.add("tokens", answer.n_tokens, {.otherwise = "512; in an interactive chat, as many as fit"});
    options.add("stop", answer.stop);
    options.add("min-tokens", answer.min_tokens);
    options.add("ignore-eos", answer.ignore_eos);
    options.add("logit-bias", answer.logit_bias);
    options.add("repeat-penalty", answer.repeat_penalty, {.otherwise = "the model file's, or 1"});
    options.add("frequency-penalty", answer.frequency_penalty);
    options.add("presence-penalty", answer.presence_penalty);
    options.add("repeat-last-n", answer.repeat_last_n);
    options.add("temperature", answer.temperature, {.otherwise = "in a chat the model file's, or 0.8; else 0"});
    options.add("top-k", answer.top_k, {.otherwise = "in a chat the model file's; else all, as 0"});
    options.add("top-p", answer.top_p, {.otherwise = "in a chat the model file's, or 0.95; else 1"});
    options.add("min-p", answer.min_p, {.otherwise = "in a chat the model file's, or 0.05; else 0"});
    options.add("typical-p", answer.typical_p);
    options.add("seed", answer.seed);
}

SamplingDefaults sampling_defaults(const files::TensorSource& file) {
    SamplingDefaults defaults;
    engine::SamplingOptions& sampling = defaults.sampling;
    defaults.source = "the model file";
    Found found = from_metadata(file.metadata(), defaults.warnings);
    if (!found.any()) {
        defaults.source = "generation_config.json";
        const std::filesystem::path folder = std::filesystem::path(file.name()).parent_path();
        found = from_generation_config(folder / "generation_config.json", defaults.warnings);
    }
    sampling.temperature = found.temperature.value_or(kTemperature);
    if (!found.any()) {
        defaults.source = "rafter's defaults";
        sampling.top_p = kTopP;
        sampling.min_p = kMinP;
        return defaults;
    }
    sampling.top_k = static_cast<std::uint32_t>(found.top_k.value_or(0.0));
    sampling.top_p = found.top_p.value_or(1.0);
    sampling.min_p = found.min_p.value_or(0.0);
    sampling.repeat_penalty = found.repeat_penalty.value_or(1.0);
    sampling.repeat_last_n = static_cast<std::uint32_t>(found.repeat_last_n.value_or(0.0));
    return defaults;
}

Result<engine::Request> request_of(const AnswerOptions& options, const engine::SamplingOptions& defaults, std::uint64_t seed,
                                   std::uint32_t max_tokens) {
    engine::Request request;
    engine::SamplingOptions& sampling = request.sampling;
    for (const std::string& text : options.logit_bias) {
        RAFTER_TRY(const auto bias, parse_bias(text));
        sampling.logit_bias.push_back(bias);
    }
    sampling.repeat_penalty = options.repeat_penalty.value_or(defaults.repeat_penalty);
    sampling.frequency_penalty = options.frequency_penalty;
    sampling.presence_penalty = options.presence_penalty;
    sampling.repeat_last_n = options.repeat_last_n.value_or(defaults.repeat_last_n);
    sampling.temperature = options.temperature.value_or(defaults.temperature);
    sampling.top_k = options.top_k.value_or(defaults.top_k);
    sampling.top_p = options.top_p.value_or(defaults.top_p);
    sampling.min_p = options.min_p.value_or(defaults.min_p);
    sampling.typical_p = options.typical_p;
    sampling.seed = options.seed.value_or(seed);
    request.stop = options.stop;
    request.min_tokens = options.min_tokens;
    request.ignore_eos = options.ignore_eos;
    request.max_tokens = options.n_tokens.value_or(max_tokens);
    if (request.min_tokens > request.max_tokens) {
        return Error{fmt::format("--min-tokens: expected at most the {} of --tokens, found {}", request.max_tokens, request.min_tokens),
                     ErrorKind::kUsage};
    }
    return request;
}

std::string sampling_text(const engine::SamplingOptions& sampling) {
    if (sampling.temperature <= 0.0) return "the likeliest token each time (temperature 0)";
    std::string text = fmt::format("temperature {}", report::plain(sampling.temperature));
    if (sampling.top_k > 0) text += fmt::format(", top-k {}", sampling.top_k);
    if (sampling.top_p < 1.0) text += fmt::format(", top-p {}", report::plain(sampling.top_p));
    if (sampling.min_p > 0.0) text += fmt::format(", min-p {}", report::plain(sampling.min_p));
    if (sampling.typical_p < 1.0) text += fmt::format(", typical-p {}", report::plain(sampling.typical_p));
    if (sampling.repeat_penalty != 1.0) text += fmt::format(", repeat penalty {}", report::plain(sampling.repeat_penalty));
    return text + fmt::format(", seed {}", sampling.seed);
}

}  // namespace rafter::apps
