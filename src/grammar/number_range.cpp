// A bound is followed digit by digit: below it and above it the digits are free, on it the next one decides.
#include "grammar/number_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/ebnf.h"

namespace rafter::grammar {
namespace {

constexpr std::size_t kMaxDigits = 15;  // of a decimal number that a double keeps
constexpr std::size_t kMaxIntegerDigits = 18;
constexpr std::size_t kMaxFraction = 9;

std::string digits(char low, char high) { return low == high ? fmt::format("\"{}\"", low) : fmt::format("[{}-{}]", low, high); }
std::string any_digits(Times times) { return ebnf_times("[0-9]", times); }
Times exactly(std::size_t n) { return {.min = n, .max = static_cast<std::int64_t>(n)}; }
Times at_most(std::size_t n) { return {.min = 0, .max = static_cast<std::int64_t>(n)}; }

bool all_are(std::string_view text, char digit) { return text.find_first_not_of(digit) == std::string_view::npos; }

// Numbers of so many digits that are between two of them; a null bound is not looked at.
std::string of_length(std::string_view low, std::string_view high, bool has_low, bool has_high) {
    const std::size_t n = std::max(low.size(), high.size());
    if (n == 0) return "\"\"";
    has_low = has_low && !all_are(low, '0');
    has_high = has_high && !all_are(high, '9');
    if (!has_low && !has_high) return any_digits(exactly(n));
    const char first = has_low ? low[0] : '0';
    const char last = has_high ? high[0] : '9';
    const auto rest = [](std::string_view text) { return text.empty() ? text : text.substr(1); };
    std::vector<std::string> ways;
    if (first == last) return digits(first, first) + " " + of_length(rest(low), rest(high), has_low, has_high);
    if (has_low) ways.push_back(digits(first, first) + " " + of_length(rest(low), rest(high), true, false));
    const char from = has_low ? static_cast<char>(first + 1) : first;
    const char to = has_high ? static_cast<char>(last - 1) : last;
    if (from <= to) ways.push_back(digits(from, to) + " " + any_digits(exactly(n - 1)));
    if (has_high) ways.push_back(digits(last, last) + " " + of_length(rest(low), rest(high), false, true));
    return ebnf_any_of(ways);
}

// From 0 on; max: none for any.
std::optional<std::string> magnitudes(std::uint64_t min, std::optional<std::uint64_t> max, std::size_t max_digits) {
    if (max && *max < min) return std::nullopt;
    std::vector<std::string> ways;
    if (min == 0) {
        ways.emplace_back("\"0\"");
        min = 1;
        if (max && *max == 0) return ways[0];
    }
    const std::string low = std::to_string(min);
    const std::string high = max ? std::to_string(*max) : std::string(std::max(low.size(), max_digits), '9');
    for (std::size_t n = low.size(); n <= high.size(); ++n) {
        const std::string least = n == low.size() ? low : '1' + std::string(n - 1, '0');
        const std::string most = n == high.size() ? high : std::string(n, '9');
        ways.push_back(of_length(least, most, true, true));
    }
    return ebnf_any_of(ways);
}

// A number of at least 0 in decimal.
struct Decimal {
    std::uint64_t whole = 0;
    std::string fraction = {};  // without zeros at its end
};
Decimal decimal_of(double number) {
    std::array<char, 400> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed).ptr;
    const std::string_view shown(text.data(), static_cast<std::size_t>(end - text.data()));
    const std::size_t point = std::min(shown.find('.'), shown.size());
    Decimal decimal;
    std::from_chars(shown.data(), shown.data() + point, decimal.whole);
    if (point < shown.size()) decimal.fraction = shown.substr(point + 1);
    while (!decimal.fraction.empty() && decimal.fraction.back() == '0') decimal.fraction.pop_back();
    return decimal;
}

// What may follow a whole part that equals a bound's: digits of a fraction that is at least `low` and at most `high`.
class Fraction {
  public:
    struct Bound {
        bool is_bound = false;
        bool exclusive = false;
        std::string digits = {};
    };
    Fraction(Bound low, Bound high, std::size_t max_digits) : low_(std::move(low)), high_(std::move(high)) {
        n_ = std::max(low_.digits.size(), high_.digits.size());
        max_digits_ = std::max(max_digits, n_ + 1);
        low_.digits.resize(n_, '0');
        high_.digits.resize(n_, '0');
    }

    // With the point; an absent fraction is one of zeros. None: there is no such fraction.
    [[nodiscard]] std::optional<std::string> expression() const {
        std::vector<std::string> ways;
        if (may_end(0, low_.is_bound, high_.is_bound)) ways.emplace_back("\"\"");
        if (const auto some = from(0, low_.is_bound, high_.is_bound)) ways.push_back("\".\" " + *some);
        if (ways.empty()) return std::nullopt;
        return ebnf_any_of(ways);
    }

  private:
    // The fraction may end before digit i, where it has equalled these bounds so far.
    [[nodiscard]] bool may_end(std::size_t i, bool at_low, bool at_high) const {
        if (at_low && (!all_are(std::string_view(low_.digits).substr(std::min(i, n_)), '0') || low_.exclusive)) return false;
        return !at_high || !high_.exclusive || !all_are(std::string_view(high_.digits).substr(std::min(i, n_)), '0');
    }

    // Digit i and what follows.
    [[nodiscard]] std::optional<std::string> from(std::size_t i, bool at_low, bool at_high) const {
        const std::size_t left = max_digits_ - i;
        if (!at_low && !at_high) return any_digits({.min = i == 0 ? 1U : 0U, .max = static_cast<std::int64_t>(left)});
        if (i == n_) return behind_bounds(i, left, at_low, at_high);
        std::vector<std::string> ways;
        if (i > 0 && may_end(i, at_low, at_high)) ways.emplace_back("\"\"");
        const char first = at_low ? low_.digits[i] : '0';
        const char last = at_high ? high_.digits[i] : '9';
        const auto add = [&](char low, char high, bool stays_low, bool stays_high) {
            if (low > high) return;
            if (const auto rest = from(i + 1, stays_low, stays_high)) ways.push_back(digits(low, high) + " " + *rest);
        };
        if (first == last && at_low && at_high) {
            add(first, first, true, true);
        } else {
            if (at_low) add(first, first, true, at_high && first == last);
            add(at_low ? static_cast<char>(first + 1) : first, at_high ? static_cast<char>(last - 1) : last, false, false);
            if (at_high && !(at_low && first == last)) add(last, last, false, true);
        }
        if (ways.empty()) return std::nullopt;
        return ebnf_any_of(ways);
    }

    // The bounds' own digits have all come.
    [[nodiscard]] std::optional<std::string> behind_bounds(std::size_t i, std::size_t left, bool at_low, bool at_high) const {
        if (at_high) {
            if (high_.exclusive || (at_low && low_.exclusive)) return std::nullopt;
            return ebnf_times("\"0\"", {.min = i == 0 ? 1U : 0U, .max = static_cast<std::int64_t>(left)});
        }
        if (!low_.exclusive) return any_digits({.min = i == 0 ? 1U : 0U, .max = static_cast<std::int64_t>(left)});
        return ebnf_times("\"0\"", at_most(left - 1)) + " [1-9] " + any_digits(at_most(left - 1));
    }

    Bound low_, high_;
    std::size_t n_ = 0;
    std::size_t max_digits_ = 0;
};

struct Limit {
    double value = 0.0;
    bool exclusive = false;
};

// Numbers of at least 0. high: none for any.
std::optional<std::string> positive(const Limit& low, const std::optional<Limit>& high) {
    const Decimal least = decimal_of(low.value);
    const Decimal most = high ? decimal_of(high->value) : Decimal{};
    const std::size_t n_whole = std::max(std::to_string(least.whole).size(), high ? std::to_string(most.whole).size() : 6);
    const std::size_t n_fraction = std::clamp<std::size_t>(kMaxDigits - std::min(n_whole, kMaxDigits - 1), 1, kMaxFraction);
    const Fraction::Bound from{.is_bound = true, .exclusive = low.exclusive, .digits = least.fraction};
    const Fraction::Bound to{.is_bound = true, .exclusive = high && high->exclusive, .digits = most.fraction};
    const std::string any = *Fraction({}, {}, n_fraction).expression();
    std::vector<std::string> ways;
    const auto add = [&](std::uint64_t whole, const std::optional<std::string>& fraction) {
        if (fraction) ways.push_back(ebnf_text(std::to_string(whole)) + " " + *fraction);
    };
    if (high && most.whole == least.whole) {
        add(least.whole, Fraction(from, to, n_fraction).expression());
    } else {
        add(least.whole, Fraction(from, {}, n_fraction).expression());
        if (!high) {
            ways.push_back(*magnitudes(least.whole + 1, std::nullopt, n_whole) + " " + any);
        } else {
            if (most.whole > least.whole + 1) ways.push_back(*magnitudes(least.whole + 1, most.whole - 1, 0) + " " + any);
            add(most.whole, Fraction({}, to, n_fraction).expression());
        }
    }
    if (ways.empty()) return std::nullopt;
    return ebnf_any_of(ways);
}

}  // namespace

std::optional<std::string> integers_between(const IntegerBounds& bounds) {
    if (bounds.min && bounds.max && *bounds.min > *bounds.max) return std::nullopt;
    std::vector<std::string> ways;
    if (!bounds.min || *bounds.min < 0) {
        const std::uint64_t least = bounds.max && *bounds.max < 0 ? static_cast<std::uint64_t>(-*bounds.max) : 1;
        const auto most = bounds.min ? std::optional(static_cast<std::uint64_t>(-*bounds.min)) : std::nullopt;
        if (const auto some = magnitudes(least, most, kMaxIntegerDigits)) ways.push_back("\"-\" " + *some);
    }
    if (!bounds.max || *bounds.max >= 0) {
        const std::uint64_t least = bounds.min && *bounds.min > 0 ? static_cast<std::uint64_t>(*bounds.min) : 0;
        const auto most = bounds.max ? std::optional(static_cast<std::uint64_t>(*bounds.max)) : std::nullopt;
        if (const auto some = magnitudes(least, most, kMaxIntegerDigits)) ways.push_back(*some);
    }
    if (ways.empty()) return std::nullopt;
    return ebnf_any_of(ways);
}

std::optional<std::string> numbers_between(const NumberBounds& bounds) {
    std::vector<std::string> ways;
    const bool has_zero = (!bounds.min || *bounds.min < 0 || (*bounds.min == 0 && !bounds.min_exclusive)) &&
                          (!bounds.max || *bounds.max > 0 || (*bounds.max == 0 && !bounds.max_exclusive));
    if (!bounds.min || *bounds.min < 0) {  // what comes after "-"
        const Limit least = bounds.max && *bounds.max < 0 ? Limit{-*bounds.max, bounds.max_exclusive} : Limit{0.0, true};
        const auto most = bounds.min ? std::optional(Limit{-*bounds.min, bounds.min_exclusive}) : std::nullopt;
        if (const auto some = positive(least, most)) ways.push_back("\"-\" " + *some);
    }
    if (!bounds.max || *bounds.max > 0 || has_zero) {
        const bool above = bounds.min && (*bounds.min > 0 || (*bounds.min == 0 && bounds.min_exclusive));
        const Limit least = above ? Limit{*bounds.min, bounds.min_exclusive} : Limit{0.0, false};
        const auto most = bounds.max ? std::optional(Limit{*bounds.max, bounds.max_exclusive}) : std::nullopt;
        if (const auto some = positive(least, most)) ways.push_back(*some);
    }
    if (ways.empty()) return std::nullopt;
    return ebnf_any_of(ways);
}

std::string any_integer() { return fmt::format("\"-\"? (\"0\" | [1-9] {})", any_digits(at_most(kMaxIntegerDigits - 1))); }

std::string any_number() {
    return any_integer() + fmt::format(" (\".\" {})? ([eE] [+\\-]? [0-9] [0-9]?)?", any_digits({.min = 1, .max = 20}));
}

}  // namespace rafter::grammar
