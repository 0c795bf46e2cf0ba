// Numbers are read whole or not at all: "12x" is no number, nor is "nan".
#include "apps/options/option_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/byte_size.h"
#include "base/folded_name.h"
#include "base/quote.h"

namespace rafter::apps {
namespace {

template <typename T>
std::optional<T> number_in(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool is_choice(const OptionSpec& spec, std::string_view text) {
    return std::find(spec.choices.begin(), spec.choices.end(), text) != spec.choices.end();
}

// The choice as the table spells it; the text itself where it is none.
std::string as_spelled(const OptionSpec& spec, const std::string& text) {
    if (!spec.any_case) return text;
    const auto same = [&](const std::string& choice) { return lower_case(choice) == lower_case(text); };
    const auto found = std::find_if(spec.choices.begin(), spec.choices.end(), same);
    return found == spec.choices.end() ? text : *found;
}

}  // namespace

Error unexpected_value(const OptionSpec& spec, const std::string& text) {
    const auto number = number_in<double>(text);
    const bool shown_bare = spec.choices.empty() && number && std::isfinite(*number);
    return {fmt::format("expected {}, found {}", spec.expected(), shown_bare ? text : quote(text)), ErrorKind::kUsage};
}

Result<bool> flag_value(const OptionSpec& spec, const std::string& text) {
    for (const char* yes : {"true", "1", "yes", "on"}) {
        if (text == yes) return true;
    }
    for (const char* no : {"false", "0", "no", "off"}) {
        if (text == no) return false;
    }
    return unexpected_value(spec, text);
}

Result<std::uint64_t> whole_value(const OptionSpec& spec, const std::string& text) {
    if (spec.kind == ValueKind::kBytes) {
        constexpr double kMax = 9e18;  // what a whole number of 64 bits holds
        const auto bytes = byte_size(text);
        if (!bytes || *bytes > kMax) return unexpected_value(spec, text);
        return static_cast<std::uint64_t>(*bytes);
    }
    if (!spec.choices.empty() && !is_choice(spec, text)) return unexpected_value(spec, text);
    auto value = number_in<std::uint64_t>(text);
    // 1e6 is a whole number too.
    if (const auto number = number_in<double>(text);
        !value && number && *number >= 0.0 && *number <= 1e15 && *number == std::floor(*number)) {
        value = static_cast<std::uint64_t>(*number);
    }
    if (!value || *value < spec.whole.least || *value > spec.whole.most) return unexpected_value(spec, text);
    return *value;
}

Result<double> number_value(const OptionSpec& spec, const std::string& text) {
    const auto value = number_in<double>(text);
    if (!value || !(*value >= spec.number.least && *value <= spec.number.most)) return unexpected_value(spec, text);
    return *value;
}

Result<std::string> text_value(const OptionSpec& spec, const std::string& text) {
    if (spec.choices.empty()) return text;
    if (spec.list == ListKind::kPair) {
        const std::size_t comma = std::min(text.find(','), text.size());
        const bool has_second = comma < text.size();
        if (!is_choice(spec, text.substr(0, comma)) || (has_second && !is_choice(spec, text.substr(comma + 1)))) {
            return unexpected_value(spec, text);
        }
        return text;
    }
    std::string choice = as_spelled(spec, text);
    if (!is_choice(spec, choice)) return unexpected_value(spec, text);
    return choice;
}

std::vector<std::string> split_at_commas(const OptionSpec& spec, const std::vector<std::string>& texts) {
    if (spec.list != ListKind::kCommas) return texts;
    std::vector<std::string> parts;
    for (const std::string& text : texts) {
        for (std::size_t begin = 0; begin <= text.size();) {
            const std::size_t comma = std::min(text.find(',', begin), text.size());
            parts.push_back(text.substr(begin, comma - begin));
            begin = comma + 1;
        }
    }
    return parts;
}

}  // namespace rafter::apps
