// Numbers are shown only where they are numbers: a point without them reads "–", never "nan".
#include "planning/ladder/words.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/median.h"
#include "report/style.h"
#include "report/units.h"
#include "text/utf8.h"

namespace rafter::planning {
namespace {

constexpr const char* kNone = "–";

bool is_positive(double n) { return std::isfinite(n) && n > 0.0; }

std::string times(double factor) { return is_positive(factor) ? report::rate(factor) + "×" : kNone; }

std::string share(double fraction) { return std::isfinite(fraction) && fraction >= 0.0 ? report::percent(fraction) : kNone; }

std::string roof_rate_words(const LadderPoint& point) {
    if (!is_positive(point.roof_rate)) return kNone;
    return point.roof == roofline::PriceBound::kCompute ? report::count(point.roof_rate) + "FLOP/s"
                                                        : report::bytes_per_second(point.roof_rate);
}

}  // namespace

std::string one_line(std::string_view untrusted) {
    std::string line;
    for (std::size_t at = 0; at < untrusted.size();) {
        const text::Utf8Char c = text::utf8_char_at(untrusted, at);
        const bool is_control = c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0) || c.code == 0x2028 || c.code == 0x2029 ||
                                (c.code >= 0x202A && c.code <= 0x202E) || (c.code >= 0x2066 && c.code <= 0x2069);
        if (c.kind != text::Utf8Kind::kCharacter) {
            line += text::kReplacementCharacter;
        } else if (is_control) {
            line += c.code == '\n' || c.code == '\t' || c.code == '\r' ? std::string_view(" ") : text::kReplacementCharacter;
        } else {
            line += untrusted.substr(at, c.size);
        }
        at += c.size;
    }
    return line;
}

std::string cut_to(std::string_view text, std::size_t columns) {
    if (report::display_width(text) <= columns) return std::string(text);
    std::string cut;
    for (std::size_t at = 0, n = 0; at < text.size() && n + 1 < columns; ++n) {
        const text::Utf8Char c = text::utf8_char_at(text, at);
        cut += text.substr(at, c.size);
        at += c.size;
    }
    return cut + "…";
}

bool has_numbers(const LadderPoint& point) { return is_positive(point.seconds()) && is_positive(point.tokens); }

std::optional<double> gain_of(const LadderRung& rung) {
    if (!has_numbers(rung.before) || !has_numbers(rung.after)) return std::nullopt;
    return is_positive(rung.gain()) ? std::optional(rung.gain()) : std::nullopt;
}

std::optional<double> predicted_gain_of(const LadderRung& rung) {
    if (!is_positive(rung.before.predicted_seconds) || !is_positive(rung.after.predicted_seconds)) return std::nullopt;
    return is_positive(rung.predicted_gain()) ? std::optional(rung.predicted_gain()) : std::nullopt;
}

std::string times_words(std::optional<double> factor) { return factor ? times(*factor) : kNone; }
std::string rate_words(double tokens_per_s) { return is_positive(tokens_per_s) ? report::rate(tokens_per_s) : kNone; }
std::string share_words(const LadderPoint& point) { return has_numbers(point) ? share(point.roof_fraction()) : kNone; }

std::string error_words(const LadderPoint& point) {
    const double error = point.error();
    if (!point.measured_seconds || !has_numbers(point) || !std::isfinite(error)) return kNone;
    return fmt::format("{}{}", error < 0 ? "−" : "+", report::percent(std::abs(error)));
}

std::string roof_name(const LadderPoint& point, const Ladder& ladder) {
    if (!point.level.empty()) return one_line(point.level);
    if (point.roof != roofline::PriceBound::kCompute) return "memory";
    constexpr double kSame = 0.02;
    for (const LadderRoof& roof : ladder.roofs) {
        if (std::abs(roof.flop_per_s / point.roof_rate - 1.0) < kSame) return one_line(roof.name);
    }
    return "arithmetic";
}

std::string roof_words(const LadderPoint& point, const Ladder& ladder) {
    if (!has_numbers(point)) return kNone;
    const std::string name = roof_name(point, ladder);
    return fmt::format("{} of {}{} {}", share(point.roof_fraction()), name, name.ends_with('s') ? "'" : "'s", roof_rate_words(point));
}

std::string step_words(const LadderPoint& point) {
    if (!has_numbers(point)) return kNone;
    const char* const unit = point.is_run ? " in all" : " a step";
    if (!point.measured_seconds) return report::duration(point.predicted_seconds) + unit + ", predicted";
    std::string text = report::duration(*point.measured_seconds) + unit;
    if (is_positive(point.spread)) text += fmt::format(" (spread {})", report::percent(point.spread));
    if (!is_positive(point.predicted_seconds)) return text;
    return text + fmt::format(", predicted {}: {}", report::duration(point.predicted_seconds), error_words(point));
}

std::string traffic_words(const LadderPoint& point) {
    if (!is_positive(point.flops) || !is_positive(point.bytes))
        return bytes_words(point.bytes) + (point.is_run ? " moved" : " moved a step");
    const std::string flops = report::count(point.flops);
    return fmt::format("{} moved and {}{}FLOP{}, {} FLOP a byte", bytes_words(point.bytes), flops,
                       flops.find(' ') == std::string::npos ? " " : "", point.is_run ? "" : " a step", report::rate(point.intensity()));
}

std::string bytes_words(double bytes) { return std::isfinite(bytes) && bytes >= 0.0 ? report::bytes(bytes) : kNone; }
std::string seconds_words(double seconds) { return is_positive(seconds) ? report::duration(seconds) : kNone; }

namespace {

// A divergence below a millionth is that of two orders of the same sums.
std::string kl_words(double kl) { return kl < 1e-6 ? "below 0.000001" : report::rate(kl); }

}  // namespace

std::string check_words(const OutputCheck& check) {
    const std::string n = fmt::format("{} token{}", report::grouped(check.n_tokens), check.n_tokens == 1 ? "" : "s");
    const std::string against = check.against.empty() ? "" : fmt::format(", against {}", one_line(check.against));
    switch (check.kind) {
        case OutputCheck::Kind::kNone:
            return "";
        case OutputCheck::Kind::kSameBits:
            return fmt::format("{}, {}{}", check.passed ? "same bits" : "bits differ that should be equal", n, against);
        case OutputCheck::Kind::kSameTokens:
            return fmt::format("{}, {}{}", check.passed ? "same tokens" : "tokens differ that should be equal", n, against);
        case OutputCheck::Kind::kDivergence:
            return fmt::format("KL {} a token, {} same top token{}", kl_words(check.mean_kl), share(check.same_top), against);
    }
    return "";
}

std::string gain_words(const LadderRung& rung) {
    const std::optional<double> gain = gain_of(rung);
    const std::optional<double> predicted = predicted_gain_of(rung);
    if (!gain) return "";
    if (!rung.after.measured_seconds) return fmt::format("{} predicted", times(*gain));
    return predicted ? fmt::format("{} measured, {} predicted", times(*gain), times(*predicted)) : times(*gain) + " measured";
}

std::string number_of(const Ladder& ladder, const LadderRung& rung) { return fmt::format("{}", &rung - ladder.rungs.data() + 1); }

std::vector<std::string> doubts_of(const Ladder& ladder) {
    std::vector<std::string> doubts;
    if (!ladder.measured) doubts.emplace_back("predicted, not measured: every number here is a plan's");
    if (!ladder.complete) doubts.emplace_back("stopped early: only the rungs that were reached are here");
    if (!ladder.trusted) {
        doubts.push_back(fmt::format("the machine was not quiet: its probes differ by {}, so predictions and shares of roofs are doubtful",
                                     share(ladder.noise)));
    }
    for (const std::string& warning : ladder.warnings) doubts.push_back(one_line(warning));
    return doubts;
}

std::string sentence(std::string text) {
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
}

std::vector<std::string> sentences_of(const std::vector<std::string>& doubts) {
    std::vector<std::string> sentences;
    for (const std::string& doubt : doubts) sentences.push_back(sentence(doubt));
    return sentences;
}

std::vector<std::string> basis_of(const Ladder& ladder) {
    std::vector<std::string> facts;
    if (is_positive(ladder.parameters)) facts.push_back(report::count(ladder.parameters) + " parameters");
    if (const std::string date = date_of(ladder); !date.empty()) facts.push_back(date);
    if (ladder.measured && is_positive(ladder.seconds)) {
        facts.push_back(fmt::format("{}climb of {}", ladder.quick ? "quick " : "", report::seconds(ladder.seconds)));
    }
    if (!ladder.version.empty()) facts.push_back("rafter " + one_line(ladder.version));
    return facts;
}

std::string title_of(const Ladder& ladder) {
    return fmt::format("{} on {}", ladder.model.empty() ? "a model without a name" : one_line(ladder.model),
                       ladder.hardware.empty() ? "unknown hardware" : one_line(ladder.hardware));
}

std::optional<TotalGain> total_gain(const Ladder& ladder) {
    const LadderRung* from = ladder.find("kv_cache");
    if (from == nullptr || from->skipped || !has_numbers(from->after)) return std::nullopt;
    const LadderRung* to = nullptr;
    for (const LadderRung& rung : ladder.rungs) {
        if (&rung > from && rung.on_path && !rung.skipped && has_numbers(rung.after)) to = &rung;
    }
    if (to == nullptr) return std::nullopt;
    return TotalGain{.gain = to->after.tokens_per_s() / from->after.tokens_per_s(),
                     .predicted = to->after.predicted_tokens_per_s() / from->after.predicted_tokens_per_s(),
                     .from = from,
                     .to = to};
}

std::string total_words(const Ladder& ladder) {
    const auto total = total_gain(ladder);
    if (!total) return "no total gain: the KV cache or what lies above it was not climbed";
    std::string text = fmt::format("{} the tokens a second of the same model with a KV cache and nothing else", times(total->gain));
    const bool measured = total->from->after.measured_seconds && total->to->after.measured_seconds;
    return text + (measured ? fmt::format(" ({} predicted)", times(total->predicted)) : ", as predicted");
}

std::vector<std::string> top_words(const Ladder& ladder) {
    const auto total = total_gain(ladder);
    if (!total) return {};
    const auto words = [&](const LadderRung& rung) {
        const std::string load = rung.load.empty() ? "" : fmt::format(" ({})", one_line(rung.load));
        return fmt::format("{}: {} tok/s, {}{}", one_line(rung.name), rate_words(rung.after.tokens_per_s()), roof_words(rung.after, ladder),
                           load);
    };
    return {words(*total->from), words(*total->to)};
}

std::optional<ErrorSummary> error_summary(const Ladder& ladder) {
    std::vector<double> errors = ladder.errors();
    std::erase_if(errors, [](double error) { return !std::isfinite(error); });
    if (errors.empty()) return std::nullopt;
    std::ranges::sort(errors);
    // The least that nine tenths do not exceed.
    const auto p90 = static_cast<std::size_t>(std::ceil(0.9 * static_cast<double>(errors.size()))) - 1;
    return ErrorSummary{.median = median_of(errors), .p90 = errors[p90], .n = errors.size()};
}

std::string error_summary_words(const Ladder& ladder) {
    const auto summary = error_summary(ladder);
    if (!summary) return "nothing was measured";
    return fmt::format("median {}, 90th percentile {}, of {} step{}", share(summary->median), share(summary->p90), summary->n,
                       summary->n == 1 ? "" : "s");
}

std::vector<std::string> wrong_signs(const Ladder& ladder) {
    std::vector<std::string> wrong;
    for (const LadderRung& rung : ladder.rungs) {
        if (rung.skipped || !gain_of(rung) || !predicted_gain_of(rung) || rung.as_predicted()) continue;
        wrong.push_back(fmt::format("{}: {}, predicted {}", one_line(rung.name), times(rung.gain()), times(rung.predicted_gain())));
    }
    return wrong;
}

std::string aim_numbers(const LadderAim& aim) {
    const auto shown = [&](double n) { return aim.is_share ? share(n) : times(n); };
    return fmt::format("{} {} {}", shown(aim.reached), aim.met() ? "≥" : "<", shown(aim.wanted));
}

std::string aim_words(const LadderAim& aim) {
    const auto shown = [&](double n) { return aim.is_share ? share(n) : times(n); };
    std::string text = fmt::format("{}: {}, at least {} wanted", sentence(one_line(aim.what)), shown(aim.reached), shown(aim.wanted));
    if (!aim.met()) text += aim.reason.empty() ? ". No reason is known." : fmt::format(". {}", sentence(one_line(aim.reason)));
    return text;
}

std::string command_of(const Ladder& ladder) {
    if (!ladder.command.empty()) return one_line(ladder.command);
    return fmt::format("rafter ladder {}{}", one_line(ladder.file), ladder.quick ? " --quick" : "");
}

std::string date_of(const Ladder& ladder) {
    constexpr std::int64_t kLatest = 253402300799;  // the end of the year 9999
    if (ladder.time <= 0 || ladder.time > kLatest) return "";
    return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(static_cast<std::time_t>(ladder.time)));
}

std::vector<std::string> machine_facts(const Ladder& ladder) {
    std::vector<std::string> facts{ladder.hardware.empty() ? "unknown hardware" : one_line(ladder.hardware)};
    if (is_positive(ladder.bytes_per_s))
        facts.push_back(fmt::format("memory reads {} at best", report::bytes_per_second(ladder.bytes_per_s)));
    for (const LadderRoof& roof : ladder.roofs) {
        if (is_positive(roof.flop_per_s))
            facts.push_back(fmt::format("{}: {}FLOP/s at best", one_line(roof.name), report::count(roof.flop_per_s)));
    }
    if (ladder.n_probes > 0) {
        facts.push_back(
            fmt::format("probed {} time{}, readings within {}", ladder.n_probes, ladder.n_probes == 1 ? "" : "s", share(ladder.noise)));
    }
    return facts;
}

}  // namespace rafter::planning
