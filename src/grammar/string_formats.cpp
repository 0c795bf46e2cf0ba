// RFC 3339: https://www.rfc-editor.org/rfc/rfc3339; RFC 4122: https://www.rfc-editor.org/rfc/rfc4122
#include "grammar/string_formats.h"

#include <fmt/format.h>

#include <initializer_list>
#include <utility>
#include <vector>

namespace rafter::grammar {
namespace {

#define RAFTER_DATE "([1-9]\\d{3}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8])))"
#define RAFTER_TIME "(([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+\\-]([01]\\d|2[0-3]):[0-5]\\d))"
#define RAFTER_OCTET "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"

constexpr std::pair<std::string_view, std::string_view> kFormats[] = {
    {"date", "^" RAFTER_DATE "$"},
    {"time", "^" RAFTER_TIME "$"},
    {"date-time", "^" RAFTER_DATE "T" RAFTER_TIME "$"},
    {"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
    {"ipv4", "^" RAFTER_OCTET "(\\." RAFTER_OCTET "){3}$"},
};

// ASCII's letters and digits, and these.
CodeSet alphanumeric_and(std::string_view others) {
    CodeSet set{{'0', '9'}, {'A', 'Z'}, {'a', 'z'}};
    for (const char c : others) set.add({static_cast<char32_t>(c), static_cast<char32_t>(c)});
    return set;
}

// What a word is followed by, a letter or a quote, and the rule for what comes behind that; empty: nothing.
struct Next {
    std::string first;
    std::string rest = {};
};
Next letter(char letter, std::string rest) { return {ebnf_text({&letter, 1}), std::move(rest)}; }

// Words of some characters between others. A word is said by what it has not, and each is followed by a letter: XGrammar then counts a
// token's characters ahead of time, where each place in an expression would cost a look at the whole vocabulary.
class WordFormats {
  public:
    WordFormats(const std::string& quote, EbnfRules& rules) : quote_(quote), rules_(rules) {}

    std::string mail() {
        const std::string host = labels({.min = 2, .max = 5}, {{quote_}});
        return rules_.add(ebnf_any_of(parted(alphanumeric_and("_+-"), '.', {63, 31, 20, 15}, {letter('@', host)})));
    }
    std::string host() { return labels({.min = 1, .max = 7}, {{quote_}}); }
    std::string uri() {
        const std::string query = rules_.add(words(alphanumeric_and("_.~=&-"), {.min = 0, .max = 200}, {{quote_}})[0]);
        std::string path;
        for (int n_more = 0; n_more < 20; ++n_more) {
            std::vector<Next> next = {{quote_}, letter('?', query)};
            if (n_more > 0) next.push_back(letter('/', path));
            path = rules_.add(ebnf_any_of(words(alphanumeric_and("_.~-"), {.min = 0, .max = 60}, next)));
        }
        std::vector<Next> next = {{quote_}, letter('/', path), letter('?', query)};
        next.push_back(letter(':', rules_.add("[0-9]{1,4} " + ebnf_any_of(then(next)))));
        return rules_.add("(\"http\" | \"https\" | \"ftp\") " + ebnf_text("://") + " " + labels({.min = 1, .max = 7}, next));
    }

  private:
    static std::vector<std::string> then(const std::vector<Next>& next) {
        std::vector<std::string> ways;
        for (const auto& [first, rest] : next) ways.push_back(first + (rest.empty() ? "" : " " + rest));
        return ways;
    }
    // So many of these characters, and each of what may come next.
    static std::vector<std::string> words(const CodeSet& set, Times times, const std::vector<Next>& next) {
        std::vector<std::string> ways = then(next);
        const std::string word = fmt::format("{}{{{},{}}} ", ebnf_class_without(set.complement()), times.min, times.max);
        for (std::string& way : ways) way.insert(0, word);
        return ways;
    }
    // One word or several with a separator between them. most: lengths, each for one word more.
    std::vector<std::string> parted(const CodeSet& set, char separator, std::initializer_list<std::int64_t> most,
                                    const std::vector<Next>& next) {
        std::vector<std::string> ways;
        std::size_t n_words = 0;
        for (const std::int64_t length : most) {
            std::vector<std::string> here = words(set, {.min = 1, .max = length}, next);
            for (std::size_t i = 0; i < n_words; ++i)
                here = words(set, {.min = 1, .max = length}, {letter(separator, rules_.add(ebnf_any_of(here)))});
            ways.insert(ways.end(), here.begin(), here.end());
            ++n_words;
        }
        return ways;
    }
    // Of a host's name, with up to 3 hyphens in each, none of them at an end. A label has at most 31 characters.
    std::string labels(Times times, const std::vector<Next>& end) {
        std::string name;
        for (std::int64_t n_more = 0; n_more < times.max; ++n_more) {
            std::vector<Next> next;
            if (n_more > 0) next.push_back(letter('.', name));
            if (times.max - n_more >= static_cast<std::int64_t>(times.min)) next.insert(next.end(), end.begin(), end.end());
            name = rules_.add(ebnf_any_of(parted(alphanumeric_and(""), '-', {31, 15, 9, 7}, next)));
        }
        return name;
    }

    std::string quote_;
    EbnfRules& rules_;
};

}  // namespace

bool is_format(std::string_view format) { return regex_of_format(format) || format == "hostname" || format == "email" || format == "uri"; }

std::string word_format(std::string_view format, const std::string& quote, EbnfRules& rules) {
    WordFormats formats(quote, rules);
    const std::string rest = format == "email" ? formats.mail() : format == "uri" ? formats.uri() : formats.host();
    return rules.add(quote + " " + rest);
}

std::optional<std::string_view> regex_of_format(std::string_view format) {
    for (const auto& [name, regex] : kFormats) {
        if (name == format) return regex;
    }
    return std::nullopt;
}

}  // namespace rafter::grammar
