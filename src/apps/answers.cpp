// What is shown of an answer is the same whether it is the only one or one of several.
#include "apps/answers.h"

#include <fmt/format.h>

#include "apps/shown_answer.h"
#include "engine/sampling/noise.h"
#include "protocols/openai_answer.h"

namespace rafter::apps {
namespace {

using nlohmann::ordered_json;

struct Choice {
    std::uint32_t index;  // of all that were generated
    std::optional<double> mean_logprob;
};

std::vector<Choice> choose(const std::vector<Generation>& answers, const engine::SeveralOptions& several) {
    std::vector<Choice> choices;
    if (!several.best_of) {
        for (std::uint32_t i = 0; i < several.n; ++i) choices.push_back({i, std::nullopt});
        return choices;
    }
    std::vector<double> means;
    for (const Generation& answer : answers) means.push_back(engine::mean_logprob(answer.tokens));
    for (const std::uint32_t i : engine::best_answers(means, several.n)) choices.push_back({i, means[i]});
    return choices;
}

ordered_json logprobs_json(const engine::GeneratedToken& token) {
    ordered_json top = ordered_json::array();
    for (const auto& [id, logprob] : token.logprobs->top) top.push_back({id, logprob});
    return {{"id", token.id}, {"logprob", token.logprobs->logprob}, {"top", std::move(top)}};
}

struct Parted {
    protocols::PartedAnswer parts;
    const char* finish_reason;
};
Parted part(const Generation& answer, const ShowOptions& options) {
    protocols::AnswerReader reader(options.rules, *options.tokenizer);
    engine::StreamUpdate whole;
    whole.tokens = answer.tokens;
    whole.text = answer.text;
    whole.finish = answer.finish;
    Parted parted;
    parted.parts.add(reader.take(whole));
    parted.finish_reason = reader.finish_reason(answer.finish.reason);
    return parted;
}

std::string shown_text(const Generation& answer, const ShowOptions& options) {
    if (options.rules == nullptr || !options.style) return answer.text;
    const protocols::PartedAnswer parts = part(answer, options).parts;
    std::string text = parts.reasoning.empty() ? "" : options.style->dim(parts.reasoning) + "\n\n";
    text += parts.content;
    for (const protocols::WrittenCall& call : parts.calls) {
        if (!text.empty() && !text.ends_with('\n')) text += '\n';
        text += call_line(call.name, call.arguments);
    }
    return text;
}

}  // namespace

void put_answer(ordered_json& to, const Generation& answer, const ShowOptions& options, std::uint32_t index) {
    to["tokens"] = ordered_json::array();
    for (const engine::GeneratedToken& token : answer.tokens) to["tokens"].push_back(token.id);
    to["text"] = answer.text;
    to["finish_reason"] = engine::to_string(answer.finish.reason);
    if (options.rules != nullptr) {
        const Parted parted = part(answer, options);
        to["finish_reason"] = parted.finish_reason;
        const ordered_json message = protocols::chat_message(parted.parts, "run", index);
        for (const char* key : {"content", "reasoning_content", "tool_calls"}) {
            if (message.contains(key)) to[key] = message[key];
        }
    }
    if (options.drawn) to["seed"] = engine::derived_seed(options.seed, index);
    if (!options.logprobs) return;
    to["logprobs"] = ordered_json::array();
    for (const engine::GeneratedToken& token : answer.tokens) to["logprobs"].push_back(logprobs_json(token));
}

ordered_json choices_json(const std::vector<Generation>& answers, const ShowOptions& options) {
    ordered_json choices = ordered_json::array();
    for (const auto& [index, mean_logprob] : choose(answers, options.several)) {
        ordered_json choice;
        choice["index"] = index;
        put_answer(choice, answers[index], options, index);
        if (mean_logprob) choice["mean_logprob"] = *mean_logprob;
        choices.push_back(std::move(choice));
    }
    return choices;
}

std::string choices_text(const std::vector<Generation>& answers, const ShowOptions& options) {
    std::string text;
    std::uint32_t n_shown = 0;
    for (const auto& [index, mean_logprob] : choose(answers, options.several)) {
        const std::string rank = mean_logprob ? fmt::format(", mean log-probability {:.4f}", *mean_logprob) : "";
        if (n_shown > 0) text += "\n";
        text += fmt::format("--- answer {} of {}{} ---\n{}\n", ++n_shown, options.several.n, rank, shown_text(answers[index], options));
    }
    return text;
}

ordered_json timings_json(const GenerationCost& cost, double load_seconds, const std::optional<probe::MemoryRoof>& roof) {
    ordered_json timings;
    timings["load_seconds"] = load_seconds;
    timings["prefill_seconds"] = cost.prefill_seconds;
    timings["prefill_tokens_per_second"] = cost.prefill_tokens_per_second();
    timings["decode_seconds"] = cost.decode_seconds;
    timings["decode_tokens_per_second"] = cost.decode_tokens_per_second();
    timings["bytes_per_token"] = cost.bytes_per_token();
    timings["read_bytes_per_s"] = cost.bytes_per_second();
    timings["bandwidth_bytes_per_s"] = roof ? ordered_json(roof->bytes_per_s) : ordered_json();
    timings["bandwidth_level"] = roof ? ordered_json(roof->level) : ordered_json();
    timings["roof_fraction"] = roof ? ordered_json(cost.bytes_per_second() / roof->bytes_per_s) : ordered_json();
    const auto error = roof ? probe::above_roof(cost.bytes_per_second(), *roof) : std::nullopt;
    timings["machine_busy"] = was_busy(cost, roof);
    if (error) timings["measuring_error"] = *error;
    return timings;
}

}  // namespace rafter::apps
