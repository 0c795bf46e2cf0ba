// Five digits each, leading zeros included.
#include "files/split_name.h"

#include <fmt/format.h>

#include <charconv>

namespace rafter::files {
namespace {

constexpr std::size_t kDigits = 5;

std::optional<unsigned> digits(std::string_view text) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

}  // namespace

std::string split_suffix(unsigned number, unsigned n_parts) { return fmt::format("-{:05}-of-{:05}", number, n_parts); }

std::optional<SplitName> parse_split_name(std::string_view name) {
    constexpr std::string_view kExtension = ".gguf";
    constexpr std::string_view kOf = "-of-";
    constexpr std::size_t kSuffix = 1 + kDigits + kOf.size() + kDigits;
    if (name.ends_with(kExtension)) name.remove_suffix(kExtension.size());
    if (name.size() < kSuffix) return std::nullopt;
    const std::string_view suffix = name.substr(name.size() - kSuffix);
    if (suffix.front() != '-' || suffix.substr(1 + kDigits, kOf.size()) != kOf) return std::nullopt;
    const auto number = digits(suffix.substr(1, kDigits));
    const auto n_parts = digits(suffix.substr(kSuffix - kDigits));
    if (!number || !n_parts) return std::nullopt;
    return SplitName{.model = std::string(name.substr(0, name.size() - kSuffix)), .number = *number, .n_parts = *n_parts};
}

}  // namespace rafter::files
