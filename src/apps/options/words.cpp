// Words are read as the parser reads them: which are options, which their values, which arguments by place.
#include "apps/options/words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "base/quote.h"
#include "base/suggest.h"

namespace rafter::apps {
namespace {

Error usage_of(std::string message) { return {std::move(message), ErrorKind::kUsage}; }

const BoundOption* find_flag(const Verb& verb, std::string_view flag) {
    for (const BoundOption& option : verb.options.options()) {
        for (const std::string& known : option.spec.flags()) {
            if (known == flag) return &option;
        }
    }
    return nullptr;
}

bool takes_number(const OptionSpec& spec) {
    return spec.kind == ValueKind::kWhole || spec.kind == ValueKind::kNumber || spec.kind == ValueKind::kBytes;
}

// "-temp" is -t with the value "emp" to a parser; whoever wrote it meant --temp. "-n20" and "-phello" are what they look like.
bool means_long_flag(const Verb& verb, const BoundOption& option, std::string_view word) {
    if (find_flag(verb, fmt::format("-{}", word)) != nullptr) return true;
    return takes_number(option.spec) && std::isdigit(static_cast<unsigned char>(word[2])) == 0 && word[2] != '-' && word[2] != '.';
}

std::string no_inner_verb(const Verb& verb, const std::string& word) {
    std::vector<std::string> names;
    for (const Verb& inner : verb.inner) names.push_back(inner.name.substr(inner.name.rfind(' ') + 1));
    const auto close = closest(word, names);
    return fmt::format("no verb {}{} (there are {})", quote(word), close ? fmt::format("; did you mean \"{}\"?", *close) : "",
                       fmt::join(names, ", "));
}

}  // namespace

std::string flag_suggestion(const Verb& verb, std::string_view word) {
    std::vector<std::string> names{"help"};
    for (const BoundOption& option : verb.options.options()) {
        for (const std::string& flag : option.spec.flags()) {
            if (flag.starts_with("--")) names.push_back(flag.substr(2));
        }
    }
    const std::string_view bare = word.substr(std::min(word.find_first_not_of('-'), word.size()));
    const auto close = closest(bare, names);
    return close ? fmt::format("; did you mean --{}?", *close) : std::string();
}

Result<void> check_words(const Verb& verb, std::span<const std::string> words) {
    std::size_t n_places = 0;
    bool many_places = false;
    bool has_prompt = false;
    for (const BoundOption& option : verb.options.options()) {
        n_places += option.spec.place.empty() ? 0 : 1;
        many_places = many_places || (!option.spec.place.empty() && option.takes_list);
        has_prompt = has_prompt || option.spec.place == "PROMPT";
    }
    std::size_t n_arguments = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "--") return {};
        if (word == "-h" || word == "--help") return {};
        if (!word.starts_with('-') || word == "-") {
            if (++n_arguments <= n_places || many_places) continue;
            if (!verb.inner.empty()) return usage_of(no_inner_verb(verb, word));
            return usage_of(
                fmt::format("unexpected argument {}{}", quote(word), has_prompt ? "; put a prompt of several words in quotes" : ""));
        }
        const bool is_long = word.starts_with("--");
        const std::string flag = is_long ? word.substr(0, word.find('=')) : word.substr(0, 2);
        const BoundOption* option = find_flag(verb, flag);
        const bool has_value = is_long ? flag.size() < word.size() : word.size() > 2;
        if (option == nullptr || (!is_long && has_value && means_long_flag(verb, *option, word))) {
            const std::string shown = is_long ? flag : word;
            return usage_of(fmt::format("unknown option {}{}", shown, flag_suggestion(verb, shown)));
        }
        if (option->spec.kind == ValueKind::kFlag || has_value) continue;
        if (!option->spec.implied.empty()) {  // takes the next word, unless that is an option
            if (i + 1 < words.size() && !words[i + 1].starts_with('-')) ++i;
            continue;
        }
        if (++i == words.size()) return usage_of(fmt::format("{}: expected {}, found nothing", flag, option->spec.expected()));
    }
    return {};
}

}  // namespace rafter::apps
