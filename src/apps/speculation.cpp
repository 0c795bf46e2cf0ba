// The flags say who drafts; a session makes that drafter.
#include "apps/speculation.h"

#include <fmt/format.h>

#include "report/units.h"

namespace rafter::apps {

void add_speculation_flags(CLI::App& verb, SpeculationFlags& flags, const std::string& usual, const std::vector<std::string>& more_kinds) {
    std::vector<std::string> kinds{"auto", "off", "ngram", "draft"};
    kinds.insert(kinds.end(), more_kinds.begin(), more_kinds.end());
    flags.kind = usual;
    const auto group = "Speculation (same text, fewer steps)";
    verb.add_option(
            "--speculate", flags.kind,
            "Who drafts: ngram (what followed the same words before), draft (a smaller model), off; auto: draft with --draft, else ngram")
        ->check(CLI::IsMember(kinds))
        ->type_name("KIND")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--draft", flags.draft_model, "The smaller model, as MODEL; it must have the same vocabulary")
        ->type_name("MODEL")
        ->group(group);
    verb.add_option("--draft-max", flags.most, "Draft tokens a sequence and step at most")
        ->check(CLI::Range(1U, 64U))
        ->type_name("K")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--draft-fixed", flags.fixed, "Always so many draft tokens, whether they pay or not (to measure)")
        ->check(CLI::Range(0U, 64U))
        ->type_name("K")
        ->group(group);
    verb.add_option("--draft-log", flags.log_file, "Say of each step how many draft tokens it checks and why: a JSON object a line")
        ->type_name("FILE")
        ->group(group);
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

Result<void> check_usage(const SpeculationFlags& flags) {
    const auto usage = [](std::string message) { return Error{std::move(message), ErrorKind::kUsage}; };
    if (flags.kind == "draft" && flags.draft_model.empty()) return usage("--speculate draft: needs the smaller model (--draft)");
    if (!flags.draft_model.empty() && (flags.kind == "off" || flags.kind == "ngram")) {
        return usage(fmt::format("--draft: a draft model does nothing with --speculate {}", flags.kind));
    }
    if (!flags.log_file.empty() && flags.kind == "off") return usage("--draft-log: nothing is drafted with --speculate off");
    if (flags.fixed && *flags.fixed > flags.most) {
        return usage(fmt::format("--draft-fixed: expected at most the {} of --draft-max, found {}", flags.most, *flags.fixed));
    }
    return {};
}

std::string speculation_line(const engine::SpeculationCounters& counters) {
    if (counters.n_draft_tokens == 0) return {};
    const auto n = static_cast<double>(counters.n_draft_tokens);
    return fmt::format(
        "{} of {} draft tokens accepted, {} tokens a drafted step", report::percent(static_cast<double>(counters.n_accepted_tokens) / n),
        report::grouped(n),
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
