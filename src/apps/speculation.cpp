// The flags say who drafts; a session makes that drafter.
#include "apps/speculation.h"

#include <fmt/format.h>

#include "engine/loading/served_model.h"
#include "report/units.h"

namespace rafter::apps {

void add_speculation_options(OptionSet& options, SpeculationOptions& speculation, const OptionUse& kind) {
    options.add("speculate", speculation.kind, kind);
    options.add("draft", speculation.draft_model);
    options.add("draft-max", speculation.most);
    options.add("draft-fixed", speculation.fixed);
    options.add("draft-log", speculation.log_file);
}

nlohmann::ordered_json log_json(const engine::SpeculationLogLine& line) {
    nlohmann::ordered_json sequences = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < line.rows.size(); ++i) {
        sequences.push_back({{"tokens", line.rows[i].n_past + 1},
                             {"offered", line.rows[i].offer.n_tokens},
                             {"trust", line.rows[i].offer.trust},
                             {"acceptance", line.rows[i].offer.n_tokens > 0 ? nlohmann::ordered_json(line.acceptance[i]) : nullptr},
                             {"draft_tokens", line.choice.n_drafts[i]}});
    }
    return {{"expected_tokens", line.choice.expected_tokens},
            {"predicted_ms", line.choice.seconds * 1e3},
            {"tokens_per_second", line.choice.tokens_per_second()},
            {"plain_tokens_per_second", line.choice.plain_tokens_per_second},
            {"explores", line.choice.explores},
            {"prompt_tokens", line.n_prompt_tokens},
            {"sequences", std::move(sequences)}};
}

Result<void> check_usage(const SpeculationOptions& options) {
    const auto usage = [](std::string message) { return Error{std::move(message), ErrorKind::kUsage}; };
    if (options.kind == "draft" && options.draft_model.empty())
        return usage("--speculate draft: needs --draft, which names the smaller model");
    if (!options.draft_model.empty() && (options.kind == "off" || options.kind == "ngram")) {
        return usage(fmt::format("--draft: a draft model is not used with --speculate {}", options.kind));
    }
    if (!options.log_file.empty() && options.kind == "off") return usage("--draft-log: --speculate off drafts no tokens to log");
    const std::uint32_t most = options.most.value_or(engine::kUsualDrafts);
    if (options.fixed && *options.fixed > most) {
        return usage(fmt::format("--draft-fixed: expected at most the {} of --draft-max, found {}", most, *options.fixed));
    }
    return {};
}

std::string speculation_line(const engine::SpeculationCounters& counters) {
    if (counters.n_draft_tokens == 0) return {};
    const auto n = static_cast<double>(counters.n_draft_tokens);
    return fmt::format(
        "{} of {} draft tokens accepted, {} tokens per step with draft tokens",
        report::percent(static_cast<double>(counters.n_accepted_tokens) / n), report::grouped(n),
        fmt::format("{:.1f}", 1.0 + static_cast<double>(counters.n_accepted_tokens) / static_cast<double>(counters.n_drafts)));
}

nlohmann::ordered_json speculation_json(const engine::SpeculationCounters& counters) {
    return {{"spec_decode_num_drafts", counters.n_drafts},
            {"spec_decode_num_draft_tokens", counters.n_draft_tokens},
            {"spec_decode_num_accepted_tokens", counters.n_accepted_tokens},
            {"spec_decode_num_draft_tokens_per_pos", counters.drafted_per_position},
            {"spec_decode_num_accepted_tokens_per_pos", counters.accepted_per_position},
            {"steps_by_draft_tokens", counters.chosen},
            {"draft_seconds", counters.draft_seconds}};
}

}  // namespace rafter::apps
