// Numbers first, words from them: nothing is said that the sums do not show.
#include "server/observe/explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/units.h"
#include "report/word_wrap.h"
#include "server/observe/suggestions.h"

namespace rafter::server {
namespace {

using nlohmann::ordered_json;

constexpr double kMinute = StepWatch::kMaxWindowSeconds;
constexpr std::size_t kColumns = 110;
constexpr double kMinWindowSeconds = 1.0;
constexpr double kWorthALine = 0.001;  // of the steps' time
constexpr double kMinBusy = 0.5;       // of the minute, with steps: below it is mostly idle

const char* bound_words(const StepSums& sums) {
    if (sums.overhead_bound > std::max(sums.memory_bound, sums.compute_bound)) return "overhead (beginning steps, barriers between ops)";
    return sums.memory_bound >= sums.compute_bound ? "reading weights and cache" : "arithmetic";
}
const char* bound_word(const StepSums& sums) {
    if (sums.overhead_bound > std::max(sums.memory_bound, sums.compute_bound)) return "overhead";
    return sums.memory_bound >= sums.compute_bound ? "memory" : "compute";
}

std::string roof_name(const StepSums& sums, const StepPrices* prices) {
    if (prices == nullptr || sums.roof() <= 0.0 || std::string_view(bound_word(sums)) == "overhead") return "";
    return sums.memory_bound >= sums.compute_bound ? prices->memory_level() : prices->arithmetic();
}

std::string rates(const StepSums& sums) {
    const double busy = std::max(1e-9, sums.step + sums.between);
    std::string text = fmt::format("{} tok/s of answers", report::rate(sums.n_chosen / busy));
    if (sums.n_prompt_tokens >= 1.0) text += fmt::format(" and {} tok/s of prompts", report::rate(sums.n_prompt_tokens / busy));
    return text;
}

std::string headline_of(const Explanation& e, const ExplainInput& input) {
    const std::uint64_t n_queued = input.load.n_queued + input.load.n_waiting;
    if (!e.ran) {
        if (input.engine.n_running > 0 || n_queued > 0) return "No step has ended in the last minute, though requests are there.";
        return "Idle: no request ran in the last minute.";
    }
    const double busy = (e.sums.step + e.sums.between) / e.window_seconds;
    const std::string when =
        busy < kMinBusy
            ? fmt::format("Mostly idle (requests ran {} of the last {:.0f} s); while they ran: ", report::percent(busy), e.window_seconds)
            : "";
    const auto fraction = e.sums.roof_fraction();
    std::string text = when;
    if (!fraction) {
        text += fmt::format("{}; how much the hardware would allow is not known without a machine profile", rates(e.sums));
    } else if (*fraction > 1.0) {
        text += fmt::format("{}, faster than the machine profile says is possible: measure again with `rafter probe`", rates(e.sums));
    } else {
        text += fmt::format("bound by {}, at {} of the {}roof: {}", bound_words(e.sums), report::percent(*fraction),
                            e.roof.empty() ? "" : e.roof + " ", rates(e.sums));
    }
    if (n_queued > 0) text += fmt::format("; {} wait{}", n_queued, n_queued == 1 ? "s" : "");
    text[0] = static_cast<char>(text[0] >= 'a' && text[0] <= 'z' ? text[0] - 'a' + 'A' : text[0]);
    return text + ".";
}

std::string prefix_line(const StepSums& sums) {
    const auto part = [&](double n) { return report::percent(std::max(0.0, n) / sums.prefix_asked); };
    std::string text = fmt::format("Prefix cache: {} of {} prompt tokens came from it; {} were new", part(sums.prefix_found),
                                   report::whole(sums.prefix_asked), part(sums.prefix_missed_new));
    if (sums.prefix_missed_evicted >= 1.0) text += fmt::format(", {} had been evicted", part(sums.prefix_missed_evicted));
    if (sums.prefix_missed_window >= 1.0) text += fmt::format(", {} lay behind a sliding window", part(sums.prefix_missed_window));
    return text + ".";
}

std::vector<std::string> lines_of(const Explanation& e, const ExplainInput& input) {
    const StepSums& sums = e.sums;
    std::vector<std::string> lines;
    lines.push_back(fmt::format("Steps: {} in {:.1f} of the last {:.0f} s, of {} sequences on average.", report::whole(sums.n_steps),
                                sums.step, e.window_seconds, report::rate(sums.n_sequences / std::max(1.0, sums.n_steps))));
    if (sums.mbu() && sums.mfu()) {
        lines.push_back(fmt::format("Memory bandwidth {} used, arithmetic {}; steps bound by memory {}, by arithmetic {}, by overhead {}.",
                                    report::percent(*sums.mbu()), report::percent(*sums.mfu()),
                                    report::percent(sums.memory_bound / sums.step), report::percent(sums.compute_bound / sums.step),
                                    report::percent(sums.overhead_bound / sums.step)));
    }
    if (const auto ratio = sums.predicted_over_measured()) {
        lines.push_back(fmt::format("Predicted: {} of the model's measured time.", report::percent(*ratio)));
    }
    const std::uint64_t n_queued = input.load.n_queued + input.load.n_waiting;
    if (n_queued > 0) {
        lines.push_back(fmt::format("Queue: {} wait{}.", report::grouped(n_queued),
                                    input.load.queued_seconds > 0.0 ? fmt::format("; all that is here now is predicted to take {}",
                                                                                  report::seconds(input.load.queued_seconds))
                                                                    : ""));
    }
    if (sums.prefix_asked >= 1.0) lines.push_back(prefix_line(sums));
    const PrefixFindings& prefixes = e.prefixes;
    if (prefixes.n_changed_system > 0) {
        lines.push_back(fmt::format(
            "{} of {} prompts have a system prompt that differs from all earlier ones at about token {} and is alike behind it: {} tokens "
            "that the prefix cache could have had. A line of the system prompt changes with each request (a date, a version, a number).",
            prefixes.n_changed_system, prefixes.n_prompts, report::grouped(prefixes.changed_system_at),
            report::grouped(prefixes.n_changed_system_tokens)));
    }
    if (prefixes.n_changed_early > 0) {
        lines.push_back(
            fmt::format("{} of {} prompts differ from an earlier one at about token {} and are alike behind it: {} tokens that the "
                        "prefix cache could have had. Something early in them changes with each request (a date, a name, a number).",
                        prefixes.n_changed_early, prefixes.n_prompts, report::grouped(prefixes.changed_at),
                        report::grouped(prefixes.n_changed_tokens)));
    }
    if (prefixes.n_other_salt > 0) {
        lines.push_back(fmt::format("{} of {} prompts begin as one of another cache salt does: {} tokens that keys do not share.",
                                    prefixes.n_other_salt, prefixes.n_prompts, report::grouped(prefixes.n_other_salt_tokens)));
    }
    if (sums.n_preemptions >= 0.5 || sums.n_recomputed >= 1.0) {
        lines.push_back(fmt::format("Preemptions: {}, for lack of cache blocks; {} tokens were computed again in {}.",
                                    report::whole(sums.n_preemptions), report::whole(sums.n_recomputed), report::seconds(sums.recomputed)));
    }
    if (sums.n_draft_tokens >= 1.0) {
        lines.push_back(fmt::format("Draft tokens: {}, of which {} were right.", report::whole(sums.n_draft_tokens),
                                    report::percent(sums.n_accepted_drafts / sums.n_draft_tokens)));
    }
    return lines;
}

std::vector<std::string> unknown_of(const Explanation& e, const ExplainInput& input) {
    std::vector<std::string> unknown;
    if (input.watch.prices() == nullptr) {
        unknown.emplace_back(
            "What the hardware allows, and so every roof and share of it: there is no machine profile. `rafter probe` measures one.");
    } else if (!input.machine_doubt.empty()) {
        unknown.push_back(fmt::format("Whether the roofs are right: the machine profile is not to be trusted, {}.", input.machine_doubt));
    }
    if (e.ran) {
        unknown.emplace_back(
            "Which operations of the model take its time: only `rafter explain` times them, on a machine without other work.");
        unknown.emplace_back("Time outside this process: networks, proxies, and other programs on this machine.");
    }
    return unknown;
}

// In lines of kColumns, the first of which begins with `mark` and the others as far in.
std::string wrapped(std::string_view mark, std::string_view text) {
    report::WordWrap wrap(kColumns - mark.size());
    std::string lines = wrap.push(text);
    lines += wrap.finish();
    std::string out(mark);
    for (const char c : lines) {
        out += c;
        if (c == '\n') out.append(mark.size(), ' ');
    }
    return out + "\n";
}

// Sums of an interval have parts of steps in them.
std::int64_t count(double n) { return std::llround(n); }

ordered_json number_or_null(std::optional<double> value) {
    ordered_json json = nullptr;
    if (value) json = *value;
    return json;
}

}  // namespace

Explanation explain(const ExplainInput& input) {
    Explanation e;
    e.sums = input.watch.last(kMinute, input.now_seconds);
    const double first = input.watch.first_start_seconds().value_or(input.now_seconds - kMinute);
    e.window_seconds = std::clamp(input.now_seconds - first, kMinWindowSeconds, kMinute);
    e.prefixes = input.prefixes.last_minute(input.now_seconds);
    e.ran = e.sums.n_steps > 0.0;
    e.roof = roof_name(e.sums, input.watch.prices());
    e.headline = headline_of(e, input);
    e.unknown = unknown_of(e, input);
    if (!e.ran) return e;
    e.lines = lines_of(e, input);
    e.losses = losses_of(e.sums);
    std::erase_if(e.losses, [&](const LostSeconds& loss) { return std::abs(loss.seconds) < kWorthALine * e.sums.step; });
    std::ranges::stable_sort(e.losses, std::greater<>(), &LostSeconds::seconds);
    e.suggestions = suggestions_for(input, e.sums, e.prefixes);
    return e;
}

std::string to_text(const Explanation& e) {
    std::string text = e.headline + "\n";  // one line, however long: the answer
    if (!e.lines.empty()) text += "\n";
    for (const std::string& line : e.lines) text += wrapped("  ", line);
    if (e.ran) {
        const double lost = std::max(0.0, e.sums.step - e.sums.roof()) + e.sums.between;
        const bool split = std::ranges::any_of(losses_of(e.sums), [](const LostSeconds& loss) { return loss.cause == "kernels"; });
        text += split ? fmt::format("\nWhere the {} above the roof went, and their share of the steps' time\n", report::seconds(lost))
                      : std::string("\nWhere the time beside the model went\n");
        for (const LostSeconds& loss : e.losses) {
            text += fmt::format("  {:>9} s  {:>5}  {}\n", fmt::format("{:.3f}", loss.seconds),
                                fmt::format("{:.0f}%", 100.0 * loss.seconds / e.sums.step), loss.what);
        }
        text += "\nWhat would help\n";
        if (e.suggestions.empty()) text += "  Nothing that is known here would gain 2%.\n";
        for (std::size_t i = 0; i < e.suggestions.size(); ++i) {
            const Suggestion& one = e.suggestions[i];
            text += wrapped(fmt::format("  {}. ", i + 1),
                            fmt::format("{}{}{}", one.what, one.gain > 1.0 ? fmt::format(": {}", report::factor(one.gain)) : "",
                                        one.remark.empty() ? "" : fmt::format(" ({})", one.remark)));
        }
    }
    if (!e.unknown.empty()) text += "\nNot known\n";
    for (const std::string& one : e.unknown) text += wrapped("  ", one);
    return text;
}

ordered_json to_json(const Explanation& e) {
    const StepSums& s = e.sums;
    ordered_json losses = ordered_json::array(), suggestions = ordered_json::array();
    for (const LostSeconds& loss : e.losses) losses.push_back({{"cause", loss.cause}, {"what", loss.what}, {"seconds", loss.seconds}});
    for (const Suggestion& one : e.suggestions) {
        suggestions.push_back(
            {{"what", one.what}, {"gain", one.gain > 1.0 ? ordered_json(one.gain) : ordered_json()}, {"remark", one.remark}});
    }
    ordered_json bound = nullptr;
    if (s.roof() > 0.0) bound = bound_word(s);
    return {{"headline", e.headline},
            {"lines", e.lines},
            {"window_seconds", e.window_seconds},
            {"steps",
             {{"n", count(s.n_steps)},
              {"seconds", s.step},
              {"between_seconds", s.between},
              {"model_seconds", s.forward},
              {"sequences", s.n_steps > 0.0 ? s.n_sequences / s.n_steps : 0.0},
              {"prompt_tokens", count(s.n_prompt_tokens)},
              {"answer_tokens", count(s.n_chosen)},
              {"recomputed_tokens", count(s.n_recomputed)},
              {"preemptions", count(s.n_preemptions)},
              {"draft_tokens", count(s.n_draft_tokens)},
              {"accepted_drafts", count(s.n_accepted_drafts)}}},
            {"roof",
             {{"bound", std::move(bound)},
              {"name", e.roof.empty() ? ordered_json() : ordered_json(e.roof)},
              {"fraction", number_or_null(s.roof_fraction())},
              {"mbu", number_or_null(s.mbu())},
              {"mfu", number_or_null(s.mfu())},
              {"predicted_over_measured", number_or_null(s.predicted_over_measured())}}},
            {"losses", std::move(losses)},
            {"prefix_cache",
             {{"asked_tokens", count(s.prefix_asked)},
              {"found_tokens", count(s.prefix_found)},
              {"missed_new_tokens", count(s.prefix_missed_new)},
              {"missed_evicted_tokens", count(s.prefix_missed_evicted)},
              {"missed_window_tokens", count(s.prefix_missed_window)},
              {"prompts", e.prefixes.n_prompts},
              {"changed_early_prompts", e.prefixes.n_changed_early},
              {"changed_early_tokens", e.prefixes.n_changed_tokens},
              {"changed_at_token", e.prefixes.changed_at},
              {"changed_system_prompts", e.prefixes.n_changed_system},
              {"changed_system_tokens", e.prefixes.n_changed_system_tokens},
              {"changed_system_at_token", e.prefixes.changed_system_at},
              {"other_salt_prompts", e.prefixes.n_other_salt},
              {"other_salt_tokens", e.prefixes.n_other_salt_tokens}}},
            {"suggestions", std::move(suggestions)},
            {"unknown", e.unknown}};
}

std::optional<ShortVerdict> short_verdict(const Explanation& e) {
    if (!e.ran) return std::nullopt;
    ShortVerdict verdict{.headline = e.headline, .lines = {}};
    for (std::size_t i = 0; i < std::min<std::size_t>(2, e.losses.size()); ++i) {
        if (e.losses[i].seconds <= 0.0) break;
        verdict.lines.push_back(
            fmt::format("{} of the steps' time: {}", report::percent(e.losses[i].seconds / e.sums.step), e.losses[i].what));
    }
    for (const Suggestion& one : e.suggestions) {
        verdict.lines.push_back(
            fmt::format("Would help: {}{}", one.what, one.gain > 1.0 ? fmt::format(" ({})", report::factor(one.gain)) : ""));
    }
    return verdict;
}

}  // namespace rafter::server
