// Speculative decoding as the command line asks for it, and as its figures are shown.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/options/verb.h"
#include "engine/speculation/speculator.h"

namespace rafter::apps {

struct SpeculationOptions {
    std::string kind = "off";           // "auto", "off", "ngram", "draft"; in bench "compare": each in turn
    std::string draft_model;            // as MODEL
    std::optional<std::uint32_t> most;  // draft tokens a sequence and step; none: as the machine's profile says
    std::optional<std::uint32_t> fixed;
    std::optional<double> forced_acceptance;  // of a draft model's draft tokens where the answer is forced
    std::string log_file;                     // "": none

    [[nodiscard]] bool on() const { return kind != "off"; }
    // What "auto" stands for.
    [[nodiscard]] std::string_view drafter() const {
        if (kind == "compare") return "off";  // to begin with
        return kind != "auto" ? std::string_view(kind) : draft_model.empty() ? "ngram" : "draft";
    }
};

// --speculate, --draft, --draft-max, --draft-fixed, --draft-log. kind: how this verb uses --speculate.
void add_speculation_options(OptionSet& options, SpeculationOptions& speculation, const OptionUse& kind);
// Fails on options that make no sense together.
[[nodiscard]] Result<void> check_usage(const SpeculationOptions& options);

// One line of --draft-log.
[[nodiscard]] nlohmann::ordered_json log_json(const engine::SpeculationLogLine& line);

// "2.1 tokens a step; 63% of 420 draft tokens accepted"; "" without draft tokens.
[[nodiscard]] std::string speculation_line(const engine::SpeculationCounters& counters);
// The counters under the names that vLLM gives them.
[[nodiscard]] nlohmann::ordered_json speculation_json(const engine::SpeculationCounters& counters);

}  // namespace rafter::apps
