// A small part of YAML, line by line; see the header.
#include "model/hf/model_card.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

namespace rafter::model::hf {
namespace {

constexpr std::size_t kMaxValues = 1000;
constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
    return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// Without quotes and without a comment. Empty where it is nothing simple.
std::string scalar(std::string_view text) {
    text = trimmed(text);
    if (text.empty()) return {};
    if (text.front() == '"' || text.front() == '\'') {
        const std::size_t end = text.find(text.front(), 1);
        if (end == std::string_view::npos || text.substr(0, end).find('\\') != std::string_view::npos) return {};
        text = text.substr(1, end - 1);
    } else {
        if (std::string_view("|>&*!{[#").find(text.front()) != std::string_view::npos) return {};
        text = trimmed(text.substr(0, text.find(" #")));
        if (text.find(": ") != std::string_view::npos || text.ends_with(':') || text == "null" || text == "~") return {};
    }
    const bool printable = std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
    return printable ? std::string(text) : std::string();
}

void append_list(std::string_view inner, std::vector<std::string>& values) {
    while (!inner.empty()) {
        const std::size_t comma = std::min(inner.find(','), inner.size());
        if (std::string value = scalar(inner.substr(0, comma)); !value.empty()) values.push_back(std::move(value));
        inner.remove_prefix(std::min(comma + 1, inner.size()));
    }
}

using Values = std::map<std::string, std::vector<std::string>, std::less<>>;

// Values of the keys of the outermost level.
Values front_matter(std::string_view markdown) {
    Values found;
    std::string key;
    bool is_first = true;
    while (!markdown.empty()) {
        const std::size_t end = std::min(markdown.find('\n'), markdown.size());
        const std::string_view line = markdown.substr(0, end);
        markdown.remove_prefix(std::min(end + 1, markdown.size()));
        const std::string_view content = trimmed(line);
        if (is_first != (content == "---")) return is_first ? Values() : found;
        const bool starts = std::exchange(is_first, false);
        if (starts || content.empty() || content.front() == '#') continue;
        if (content.starts_with("- ") && found[key].size() < kMaxValues) {
            if (std::string value = scalar(content.substr(2)); !value.empty() && !key.empty()) found[key].push_back(std::move(value));
            continue;
        }
        if (kBlanks.find(line.front()) != std::string_view::npos) {
            key.clear();  // something nested
            continue;
        }
        const std::size_t colon = content.find(':');
        if (colon == std::string_view::npos || found.size() == kMaxValues) continue;
        key = content.substr(0, colon);
        const std::string_view value = trimmed(content.substr(colon + 1));
        std::vector<std::string>& values = found[key];
        if (value.size() > 1 && value.front() == '[' && value.back() == ']') {
            append_list(value.substr(1, value.size() - 2), values);
        } else if (std::string text = scalar(value); !text.empty()) {
            values.push_back(std::move(text));
        }
    }
    return {};  // no second "---"
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// "qwen2.5-7b-instruct" -> "Qwen2.5 7b Instruct": words in lower case get a capital, but for those that start with a digit.
std::string title_of(std::string_view id) {
    std::string title;
    for (std::size_t begin = 0; begin < id.size();) {
        const std::size_t end = std::min(id.find_first_of("- ", begin), id.size());
        std::string word(id.substr(begin, end - begin));
        begin = end + 1;
        if (word.empty()) continue;
        const bool is_lower = std::ranges::none_of(word, [](char c) { return c >= 'A' && c <= 'Z'; });
        const bool is_version = word.find_first_not_of("0123456789.", 1) == std::string::npos && word.front() == 'v' && word.size() > 1;
        for (std::size_t i = 0; is_lower && !is_version && !(word.front() >= '0' && word.front() <= '9') && i < word.size(); ++i) {
            if (is_letter(word[i]) && (i == 0 || !is_letter(word[i - 1]))) word[i] = static_cast<char>(word[i] - 'a' + 'A');
        }
        title += (title.empty() ? "" : " ") + word;
    }
    return title;
}

}  // namespace

ModelCard read_model_card(std::string_view markdown) {
    const Values values = front_matter(markdown);
    ModelCard card;
    const auto of = [&](std::string_view key) {
        const auto found = values.find(key);
        return found == values.end() ? std::vector<std::string>() : found->second;
    };
    for (const std::string_view key : {"license", "license_name", "license_link"}) {
        const std::vector<std::string> found = of(key);
        if (!found.empty()) {
            card.texts.emplace_back(key == "license"        ? "general.license"
                                    : key == "license_name" ? "general.license.name"
                                                            : "general.license.link",
                                    fmt::format("{}", fmt::join(found, ",")));
        }
    }
    const std::vector<std::string> bases = of("base_model");
    card.n_base_models = static_cast<std::uint32_t>(bases.size());
    for (std::size_t i = 0; i < bases.size(); ++i) {
        const std::string prefix = fmt::format("general.base_model.{}.", i);
        const std::size_t slash = bases[i].find('/');
        card.texts.emplace_back(prefix + "name", title_of(slash == std::string::npos ? bases[i] : bases[i].substr(slash + 1)));
        if (slash == std::string::npos || bases[i].find(':') != std::string::npos) continue;
        card.texts.emplace_back(prefix + "organization", title_of(bases[i].substr(0, slash)));
        card.texts.emplace_back(prefix + "repo_url", "https://huggingface.co/" + bases[i]);
    }
    const auto add_list = [&](std::string_view key, std::string_view first, std::string_view second) {
        std::vector<std::string> all = of(first);
        std::ranges::copy(of(second), std::back_inserter(all));
        if (!all.empty()) card.lists.emplace_back(key, std::move(all));
    };
    add_list("general.tags", "tags", "pipeline_tag");
    add_list("general.languages", "languages", "language");
    return card;
}

std::string size_label(std::uint64_t n_weights, std::uint64_t n_in_experts, std::uint32_t n_experts) {
    double n = static_cast<double>(n_weights);
    if (n_experts > 0) n += static_cast<double>(n_in_experts) / n_experts - static_cast<double>(n_in_experts);
    constexpr std::pair<double, char> kUnits[] = {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {1e3, 'K'}};
    const auto* const unit = std::ranges::find_if(kUnits, [&](const auto& u) { return n > u.first || u.second == 'K'; });
    const double scaled = n / unit->first;
    // Two digits: 0.50K, 1.1B, 12M, 135M.
    const int n_whole = std::round(scaled) < 1 ? 0 : std::round(scaled) < 10 ? 1 : 2;
    return fmt::format("{}{:.{}f}{}", n_experts > 0 ? fmt::format("{}x", n_experts) : "", scaled, 2 - n_whole, unit->second);
}

}  // namespace rafter::model::hf
