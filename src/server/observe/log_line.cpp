// A line of the request log. Columns first that every line has, so that eyes find them; then what this request has.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/quote.h"
#include "server/observe/request_log.h"
#include "server/observe/traceparent.h"

namespace rafter::server {
namespace {

constexpr std::size_t kMaxValueBytes = 200;     // of a value from outside
constexpr std::size_t kMaxPromptBytes = 8'000;  // of a prompt
constexpr std::size_t kMaxIgnoredKeys = 20;

// "2026-11-28T21:10:03.123Z"
std::string time_text(double seconds) {
    const auto whole = static_cast<std::time_t>(std::floor(seconds));
    std::tm parts{};
    gmtime_r(&whole, &parts);
    const auto milliseconds = static_cast<int>((seconds - std::floor(seconds)) * 1000.0);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                       parts.tm_min, parts.tm_sec, milliseconds);
}

bool is_plain(std::string_view text) {
    return !text.empty() && text.size() <= kMaxValueBytes &&
           text.find_first_not_of(
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
               "0123456789/_.:-") == std::string_view::npos;
}
// As it is where nothing can be misread, else in quotes.
std::string value_text(std::string_view untrusted) { return is_plain(untrusted) ? std::string(untrusted) : quote(untrusted); }

// The first bytes, whole characters.
std::string_view cut(std::string_view text, std::size_t max_bytes) {
    if (text.size() <= max_bytes) return text;
    std::size_t n = max_bytes;
    while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0U) == 0x80U) --n;
    return text.substr(0, n);
}

std::string seconds_text(double seconds) { return seconds < 10.0 ? fmt::format("{:.3f}", seconds) : fmt::format("{:.1f}", seconds); }

std::string measured_and_predicted(std::optional<double> measured, std::optional<double> predicted) {
    if (!measured && !predicted) return "-";
    return fmt::format("{}{}", measured ? seconds_text(*measured) : "-", predicted ? fmt::format("({})", seconds_text(*predicted)) : "");
}

}  // namespace

std::string plain_line(const RequestRecord& record, double time_seconds, std::string_view prompt) {
    std::string line = fmt::format("{} {:3} {:<6} {:<22} {:>7}s", time_text(time_seconds), record.status, value_text(record.method),
                                   value_text(record.path), seconds_text(record.seconds));
    const auto add = [&](std::string_view name, std::string_view value) { line += fmt::format(" {}={}", name, value); };
    if (record.computed) {
        const engine::RequestTimes& times = record.times;
        add("in", times.n_reused > 0 ? fmt::format("{}({} cached)", times.n_prompt, times.n_reused) : fmt::format("{}", times.n_prompt));
        add("out", fmt::format("{}", times.n_generated));
        add("queue", seconds_text(times.queue_seconds));
        add("first", measured_and_predicted(record.first_token_seconds, record.predicted_first_token_seconds));
        if (record.predicted_last_token_seconds) add("last", fmt::format("({})", seconds_text(*record.predicted_last_token_seconds)));
        if (!record.bound.empty()) add("bound", value_text(record.bound));
        if (record.roof_fraction) add("roof", fmt::format("{:.0f}%", 100.0 * *record.roof_fraction));
        if (!record.finish_reason.empty()) add("finish", value_text(record.finish_reason));
        if (record.n_sequences > 1) add("n", fmt::format("{}", record.n_sequences));
        if (times.n_preemptions > 0) add("preempted", fmt::format("{}", times.n_preemptions));
    }
    if (!record.model.empty()) add("model", value_text(record.model));
    if (!record.key.empty()) add("key", value_text(record.key));
    add("id", value_text(record.id));
    if (!record.client.empty()) add("client", value_text(record.client));
    if (const auto trace = parse_traceparent(record.traceparent)) add("trace", trace->trace_id);
    if (!record.ignored_keys.empty()) {
        std::string keys;
        for (std::size_t i = 0; i < std::min(kMaxIgnoredKeys, record.ignored_keys.size()); ++i) {
            keys += fmt::format("{}{}", i > 0 ? "," : "", value_text(record.ignored_keys[i]));
        }
        add("ignored", keys);
    }
    if (!record.error.empty()) add("error", quote(record.error));
    if (!prompt.empty()) add("prompt", quote(prompt));
    return line;
}

std::string json_line(const RequestRecord& record, double time_seconds, std::string_view prompt) {
    const auto outside = [](std::string_view text, std::size_t max_bytes = kMaxValueBytes) { return std::string(cut(text, max_bytes)); };
    const auto or_null = [](const std::optional<double>& value) {
        return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
    };
    nlohmann::ordered_json line{{"time", time_text(time_seconds)}, {"id", outside(record.id)},   {"method", outside(record.method)},
                                {"path", outside(record.path)},    {"status", record.status},    {"seconds", record.seconds},
                                {"model", outside(record.model)},  {"key", outside(record.key)}, {"client", outside(record.client)}};
    if (record.computed) {
        const engine::RequestTimes& times = record.times;
        line.update({{"finish_reason", outside(record.finish_reason)},
                     {"n_sequences", record.n_sequences},
                     {"prompt_tokens", times.n_prompt},
                     {"cached_tokens", times.n_reused},
                     {"completion_tokens", times.n_generated},
                     {"preemptions", times.n_preemptions},
                     {"queue_seconds", times.queue_seconds},
                     {"prefill_seconds", times.prefill_seconds},
                     {"decode_seconds", times.decode_seconds}});
        line["first_token_seconds"] = or_null(record.first_token_seconds);
        line["predicted_first_token_seconds"] = or_null(record.predicted_first_token_seconds);
        line["predicted_last_token_seconds"] = or_null(record.predicted_last_token_seconds);
        line["bound"] = outside(record.bound);
        line["roof_fraction"] = or_null(record.roof_fraction);
    }
    if (const auto trace = parse_traceparent(record.traceparent)) {
        // With these the line is the request's span.
        line["trace_id"] = trace->trace_id;
        line["parent_span_id"] = trace->parent_id;
        line["span_id"] = outside(record.span_id);
        line["start_time"] = time_text(time_seconds - record.seconds);
    }
    if (!record.ignored_keys.empty()) {
        auto& keys = line["ignored_keys"] = nlohmann::ordered_json::array();
        for (std::size_t i = 0; i < std::min(kMaxIgnoredKeys, record.ignored_keys.size()); ++i)
            keys.push_back(outside(record.ignored_keys[i]));
    }
    if (!record.error.empty()) line["error"] = outside(record.error);
    if (!prompt.empty()) line["prompt"] = outside(prompt, kMaxPromptBytes);
    return line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace rafter::server
