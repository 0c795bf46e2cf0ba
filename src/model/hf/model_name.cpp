// Parts between hyphens, each of one or more kinds; see the header.
#include "model/hf/model_name.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/folded_name.h"

namespace rafter::model::hf {
namespace {

enum Kind : unsigned { kBasename = 1, kSize = 2, kFinetune = 4, kVersion = 8, kNumberType = 16 };

struct Part {
    std::string text;
    unsigned kinds = 0;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Takes what it can from the front, and says whether that was anything.
bool take_digits(std::string_view& text) {
    const auto n = static_cast<std::size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
    text.remove_prefix(n);
    return n > 0;
}
bool take_any(std::string_view& text, std::string_view characters) {
    if (text.empty() || characters.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
}

// The following take lower case.
bool is_version(std::string_view text) {
    if (text.starts_with("iter")) {
        text.remove_prefix(4);
    } else {
        take_any(text, "v");
    }
    if (!take_digits(text)) return false;
    while (take_any(text, ".")) {
        if (!take_digits(text)) return false;
    }
    return text.empty();
}

bool is_number_type(std::string_view text) {
    constexpr std::array<std::string_view, 8> kFloats = {"f16", "f32", "fp16", "fp32", "bf16", "bf32", "bfp16", "bfp32"};
    if (std::ranges::find(kFloats, text) != kFloats.end()) return true;
    take_any(text, "i");
    if (!take_any(text, "q") || !take_any(text, "0123456789")) return false;
    while (text.size() >= 2 && text[0] == '_' && (is_alpha(text[1]) || is_digit(text[1]) || text[1] == '_')) text.remove_prefix(2);
    return text.empty();
}

bool is_size(std::string_view text) {
    constexpr std::array<std::string_view, 6> kWords = {"small", "mini", "medium", "large", "xl", "xxl"};
    if (std::ranges::find(kWords, text) != kWords.end()) return true;
    if (!take_any(text, "a")) {
        std::string_view rest = text;
        if (take_digits(rest) && take_any(rest, "x")) text = rest;
    }
    if (!take_digits(text)) return false;
    if (take_any(text, "._") && !take_digits(text)) return false;
    if (!take_any(text, "kmbt")) return false;
    take_any(text, "0123456789");
    return text.empty();
}

std::string usual_size(std::string text) {
    std::ranges::replace(text, '_', '.');
    if (is_digit(text.back())) {  // 7b1
        const char unit = text[text.size() - 2];
        text = text.substr(0, text.size() - 2) + "." + text.back() + unit;
    }
    char& unit = text.back();
    if (is_digit(text[text.size() - 2]) && std::string_view("kmbt").find(unit) != std::string_view::npos)
        unit = static_cast<char>(unit - 'a' + 'A');
    return text;
}

// Far from the number of weights, so the length of a context.
bool is_context_length(const std::string& size, std::uint64_t n_weights) {
    double number = 0;
    const char* end = size.data() + size.size() - 1;
    const auto [stop, failed] = std::from_chars(size.data(), end, number);
    if (failed != std::errc() || stop != end) return false;
    const double said = number * std::pow(1000.0, static_cast<double>(std::string_view(" KMBT").find(size.back())));
    return std::abs(said - static_cast<double>(n_weights)) > std::floor(7 * static_cast<double>(n_weights) / 8);
}

Part part_of(std::string_view text, bool is_first, std::uint64_t n_weights) {
    const std::string lower = lower_case(text);
    Part part{std::string(text)};
    if (is_version(lower)) {
        part.kinds = kVersion;
    } else if (is_number_type(lower)) {
        part.kinds = kNumberType;
        std::ranges::transform(part.text, part.text.begin(),
                               [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    } else if (!is_first && is_size(lower)) {
        part.text = usual_size(part.text);
        part.kinds = kSize;
        if (is_context_length(part.text, n_weights)) {
            part.kinds = kFinetune;
            part.text.back() = lower_case(part.text).back();
        }
    } else if (!is_first && (lower == "chat" || lower == "instruct" || lower == "vision" || lower == "lora")) {
        part.kinds = kFinetune;
    }
    return part;
}

void name_the_rest(std::vector<Part>& parts) {
    const bool has_number =
        std::ranges::any_of(parts, [](const Part& p) { return (p.kinds & kSize) != 0 && std::ranges::any_of(p.text, is_digit); });
    for (Part& part : parts) {
        if (has_number && std::ranges::all_of(part.text, is_alpha)) part.kinds &= ~static_cast<unsigned>(kSize);
    }
    bool at_start = true;
    for (Part& part : parts) {
        if (at_start && ((part.kinds == 0 && is_alpha(part.text.front())) || (part.kinds & kVersion) != 0)) {
            part.kinds |= kBasename;
            continue;
        }
        at_start = false;
        if (part.kinds == 0) part.kinds = kFinetune;
    }
    for (auto part = parts.rbegin(); part != parts.rend() && part->kinds == (kBasename | kVersion); ++part) part->kinds = kVersion;
}

}  // namespace

ModelNameParts model_name_parts(std::string_view name, std::uint64_t n_weights) {
    ModelNameParts found;
    if (name.find(' ') != std::string_view::npos) return found;
    std::vector<Part> parts;
    for (std::size_t begin = 0; begin < name.size();) {
        const std::size_t end = std::min(name.find('-', begin), name.size());
        if (end > begin) parts.push_back(part_of(name.substr(begin, end - begin), parts.empty(), n_weights));
        begin = end + 1;
    }
    name_the_rest(parts);
    std::vector<std::string> sizes;
    const auto append = [](std::string& to, const std::string& text) { to += (to.empty() ? "" : "-") + text; };
    for (const Part& part : parts) {
        if ((part.kinds & kBasename) != 0) append(found.basename, part.text);
        if ((part.kinds & kFinetune) != 0) append(found.finetune, part.text);
        if ((part.kinds & kVersion) != 0 && (part.kinds & kBasename) == 0) append(found.version, part.text);
        if ((part.kinds & kSize) == 0 || std::ranges::find(sizes, part.text) != sizes.end()) continue;
        sizes.push_back(part.text);
        append(found.size_label, part.text);
    }
    if (found.size_label.empty() && found.finetune.empty() && found.version.empty()) found.basename.clear();
    return found;
}

}  // namespace rafter::model::hf
