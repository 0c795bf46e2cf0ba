// What every form of a ladder's report says in the same words: what is doubtful, the headline, a rung's numbers, shares and quality.
// All texts are of one line: control characters and broken UTF-8 of names from files are replaced.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "planning/ladder/ladder.h"

namespace rafter::planning {

// One line of whole characters: a terminal obeys control characters, and markup knows none.
[[nodiscard]] std::string one_line(std::string_view untrusted);
// At most so many columns, the last of them "…" where it is cut.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t columns);

// Whether a point holds numbers: those of a rung that was skipped, and `before` of the first one, do not.
[[nodiscard]] bool has_numbers(const LadderPoint& point);
// Nothing where one of the points has no numbers.
[[nodiscard]] std::optional<double> gain_of(const LadderRung& rung);
[[nodiscard]] std::optional<double> predicted_gain_of(const LadderRung& rung);

[[nodiscard]] std::string times_words(std::optional<double> factor);      // "1.42×", "–"
[[nodiscard]] std::string rate_words(double tokens_per_s);                // "1,240", "–"
[[nodiscard]] std::string share_words(const LadderPoint& point);          // "61%", "–"
[[nodiscard]] std::string error_words(const LadderPoint& point);          // "+4.2%", "–"; of the step's time
[[nodiscard]] std::string roof_name(const LadderPoint&, const Ladder&);   // "memory", "L3 cache", "VNNI int8 arithmetic"
[[nodiscard]] std::string roof_words(const LadderPoint&, const Ladder&);  // "61% of memory's 25.1 GB/s"
[[nodiscard]] std::string step_words(const LadderPoint&);         // "15.2 ms a step (spread 1.2%), predicted 14.8 ms: 2.6% too little"
[[nodiscard]] std::string bytes_words(double bytes);              // "538 MB", "–"
[[nodiscard]] std::string seconds_words(double seconds);          // "15.2 ms", "–"
[[nodiscard]] std::string traffic_words(const LadderPoint&);      // "538 MB moved and 269 MFLOP a step, 0.50 FLOP a byte"
[[nodiscard]] std::string check_words(const OutputCheck& check);  // "same bits, 128 tokens"; empty: nothing was computed
[[nodiscard]] std::string gain_words(const LadderRung& rung);     // "1.42× measured, 1.38× predicted"
[[nodiscard]] std::string number_of(const Ladder&, const LadderRung& rung);  // "4": its place from the bottom

// What makes the whole doubtful, first lines of every form: "predicted, not measured: ...".
[[nodiscard]] std::vector<std::string> doubts_of(const Ladder& ladder);
[[nodiscard]] std::string sentence(std::string text);                                         // begins with a capital
[[nodiscard]] std::vector<std::string> sentences_of(const std::vector<std::string>& doubts);  // "Predicted, not measured: ..."
[[nodiscard]] std::vector<std::string> basis_of(const Ladder& ladder);                        // parameters, date, seconds, version
[[nodiscard]] std::string title_of(const Ladder& ladder);  // "SmolLM2 135M Instruct on Intel Xeon Processor, 2 threads"

// The topmost rung of the path over the KV cache; nothing where one of the two is not there.
struct TotalGain {
    double gain = 1.0, predicted = 1.0;
    const LadderRung* from = nullptr;
    const LadderRung* to = nullptr;
};
[[nodiscard]] std::optional<TotalGain> total_gain(const Ladder& ladder);
[[nodiscard]] std::string total_words(
    const Ladder& ladder);  // "37× the tokens a second of the same model with a KV cache and nothing else"

// The two ends of the total: "KV cache: 38.4 tok/s, 83% of memory's 25.1 GB/s (1 sequence, 128 tokens seen)", and the top; or nothing.
[[nodiscard]] std::vector<std::string> top_words(const Ladder& ladder);

struct ErrorSummary {
    double median = 0.0, p90 = 0.0;
    std::size_t n = 0;
};
[[nodiscard]] std::optional<ErrorSummary> error_summary(const Ladder& ladder);
[[nodiscard]] std::string error_summary_words(const Ladder& ladder);  // "median 4.1%, 90th percentile 11%, of 18 steps"
// Rungs whose measured gain has not the sign of the predicted one: "paged: 0.97×, predicted 1.10×".
[[nodiscard]] std::vector<std::string> wrong_signs(const Ladder& ladder);
[[nodiscard]] std::string aim_numbers(const LadderAim& aim);  // "37× ≥ 15×"
[[nodiscard]] std::string aim_words(const LadderAim& aim);    // "all of it over the KV cache: 37×, at least 15× wanted"
[[nodiscard]] std::string command_of(const Ladder& ladder);
[[nodiscard]] std::string date_of(const Ladder& ladder);  // "2026-11-29 00:20 UTC"; empty: not known
[[nodiscard]] std::vector<std::string> machine_facts(const Ladder& ladder);

}  // namespace rafter::planning
