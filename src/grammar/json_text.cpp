// RFC 8259: https://www.rfc-editor.org/rfc/rfc8259
#include "grammar/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <utility>
#include <vector>

#include "grammar/number_range.h"

namespace rafter::grammar {
namespace {

// That may stand in a string as they are.
CodeSet plain_characters() { return CodeSet{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}.complement(); }

constexpr std::pair<char32_t, char> kShortEscapes[] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                                                       {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};

// A hexadecimal digit, in either case.
std::string hex(unsigned digit) {
    if (digit < 10) return fmt::format("\"{}\"", digit);
    return fmt::format("[{}{}]", static_cast<char>('a' + digit - 10), static_cast<char>('A' + digit - 10));
}
std::string unit_escape(std::uint32_t unit) {
    return fmt::format("\"\\\\u\" {} {} {} {}", hex(unit >> 12 & 15), hex(unit >> 8 & 15), hex(unit >> 4 & 15), hex(unit & 15));
}
// "\ud83d\ude00" for what is beyond 16 bits.
std::string number_escape(char32_t code) {
    const auto number = static_cast<std::uint32_t>(code);
    if (number <= 0xFFFF) return unit_escape(number);
    return unit_escape(0xD800 + ((number - 0x10000) >> 10)) + " " + unit_escape(0xDC00 + ((number - 0x10000) & 0x3FF));
}

constexpr std::string_view kHex = "[0-9a-fA-F]";
// A character by its number but for its first digit 0, two halves counting as one.
std::string numbers_above_0fff() {
    return fmt::format("[1-9a-cA-CeEfF] {0} {0} {0} | [dD] [0-7] {0} {0} | [dD] [89abAB] {0} {0} \"\\\\u\" [dD] [c-fC-F] {0} {0}", kHex);
}
// Any character beyond ASCII by its number.
std::string any_number_escape() {
    const std::string below = fmt::format("\"0\" (\"0\" [89a-fA-F] {0} | [1-9a-fA-F] {0} {0})", kHex);
    return fmt::format("\"\\\\u\" ({} | {})", below, numbers_above_0fff());
}
// Behind a backslash: any of JSON's escapes.
std::string any_escape() {
    return fmt::format("([\\u0022\\u005c\\u002fbfnrt] | \"u\" (\"0\" {0} {0} {0} | {1}))", kHex, numbers_above_0fff());
}

// Said by what it is not, and followed by a quote or a backslash: XGrammar then counts a token's characters ahead of time. It would take
// tens of milliseconds a token for anything else that is counted, and for a rule in this class's place.
constexpr std::string_view kPlain = "[^\\u0000-\\u001f\\u0022\\u005c\\ud800-\\udfff]";
std::string plain_times(std::uint64_t min, std::int64_t max) {
    if (max < 0) return min == 0 ? fmt::format("{}*", kPlain) : fmt::format("{}{{{},}}", kPlain, min);
    return max == 0 ? "" : fmt::format("{}{{{},{}}}", kPlain, min, max);
}

// Of names that need no marks around them.
constexpr std::string_view kWordLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
CodeSet word_characters() {
    CodeSet set;
    for (const char letter : kWordLetters) set.add({static_cast<char32_t>(letter), static_cast<char32_t>(letter)});
    return set;
}

constexpr std::string_view kQuote = "\"\\u0022\"";
constexpr std::string_view kBackslash = "\"\\u005c\"";

// Lengths up to here are kept exactly where a string has escapes; greater ones in steps, as each would be a rule of its own.
constexpr std::uint64_t kMaxExactLength = 16;
constexpr std::uint64_t kMaxSingleStep = 32;
std::int64_t rounded_down(std::int64_t length) {
    const auto value = static_cast<std::uint64_t>(length);
    const std::uint64_t step = std::bit_ceil((value + kMaxSingleStep - 1) / kMaxSingleStep);
    return static_cast<std::int64_t>(step == 0 ? value : value / step * step);
}

// Of a character of this set.
std::vector<std::string> escapes_of(const CodeSet& set) {
    std::vector<std::string> ways;
    if (set.contains_all_of({0x80, 0x10FFFF})) ways.push_back(any_number_escape());
    for (const auto& [code, letter] : kShortEscapes) {
        if (set.contains(code)) ways.push_back(ebnf_text(std::string("\\") + letter));
    }
    if (set.contains_all_of({0, 0x1F})) {
        ways.push_back(fmt::format("\"\\\\u00\" [01] {}", kHex));
    } else {
        for (char32_t code = 0; code < 0x20; ++code) {
            if (set.contains(code)) ways.push_back(number_escape(code));
        }
    }
    for (const char32_t code : {U'"', U'\\'}) {
        if (set.contains(code)) ways.push_back(number_escape(code));
    }
    return ways;
}

}  // namespace

std::string json_character(const CodeSet& set) {
    std::vector<std::string> ways = escapes_of(set);
    if (const CodeSet plain = set.intersection(plain_characters()); !plain.empty()) ways.insert(ways.begin(), ebnf_class(plain));
    return ebnf_any_of(ways);
}

// XGrammar would look at the whole vocabulary for each token of a repeated alternative.
std::string json_any_number_of(const CodeSet& set, EbnfRules& rules) {
    const CodeSet plain = set.intersection(plain_characters());
    const std::vector<std::string> escapes = escapes_of(set);
    if (plain.empty()) return ebnf_times(ebnf_any_of(escapes), {});
    const std::string some = ebnf_class(plain) + "*";
    if (escapes.empty()) return some;
    return rules.add_self_referring(fmt::format("{0} | {0} {1} @", some, ebnf_any_of(escapes)));
}

std::string json_characters(std::string_view text) {
    std::string expression;
    std::string plain;
    const CodeSet as_they_are = plain_characters();
    const auto flush = [&] {
        if (plain.empty()) return;
        expression += (expression.empty() ? "" : " ") + ebnf_text(plain);
        plain.clear();
    };
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at;
        const char32_t code = next_code(text, at);
        if (code < 0x80 && as_they_are.contains(code)) {
            plain += text.substr(begin, at - begin);
            continue;
        }
        flush();
        std::vector<std::string> ways;
        if (as_they_are.contains(code)) ways.push_back(ebnf_class({{code, code}}));
        for (const auto& [escaped, letter] : kShortEscapes) {
            if (escaped == code) ways.push_back(ebnf_text(std::string("\\") + letter));
        }
        ways.push_back(number_escape(code));
        expression += (expression.empty() ? "" : " ") + ebnf_any_of(ways);
    }
    flush();
    return expression.empty() ? "\"\"" : expression;
}

// White space as programs write it: none, a space, or a line end with an indentation. A model that is free to add more may never end.
JsonText::JsonText(EbnfRules& rules, std::optional<TextMark> mark) : rules_(rules), mark_(std::move(mark)), quote_(kQuote), space_("\"\"") {
    if (mark_) {
        quote_ = rules_.add(mark_->token ? fmt::format("Token({})", *mark_->token) : ebnf_text(mark_->text));
    } else {
        space_ = rules_.add("(\"\" | \" \" | \"\\n\" [ \\t]{0,32})");
        escape_ = rules_.add(any_escape());
    }
    string_ = string_of({});
}

std::string JsonText::string_of(Times n_characters) {
    if (mark_) return rules_.add(quoted(marked_text(n_characters)));
    return rules_.add(fmt::format("{} {}", kQuote, rest_of_string(n_characters)));
}

// Where lengths count, a text has not even the mark's first character.
std::string JsonText::marked_text(Times n_characters) {
    if (n_characters.min == 0 && n_characters.max < 0) return ebnf_text_without(mark_->text, rules_);
    if (n_characters.max == 0) return "\"\"";
    const std::string most = n_characters.max < 0 ? "" : std::to_string(n_characters.max);
    return fmt::format("{}{{{},{}}}", ebnf_class_without({{kMarkBegin, kMarkBegin}}), n_characters.min, most);
}

// No rule can count both kinds of characters, so that each of these is one length that is left: a string's rest has no more escapes, or
// some plain characters and an escape come before a shorter rest. Where lengths are not exact, those characters count as the next power
// of 2, and the escape comes only when the least length is reached.
std::string JsonText::rest_of_string(Times left) {
    if (left.max == 0) return std::string(kQuote);
    const auto [found, is_new] = rests_.try_emplace({left.min, left.max});
    if (!is_new) return found->second;
    const std::string name = rules_.declare();
    found->second = name;
    std::vector<std::string> ways{fmt::format("{} {}", plain_times(left.min, left.max), kQuote)};
    const auto add = [&](std::uint64_t n_before_min, std::int64_t n_before_max, Times rest) {
        ways.push_back(fmt::format("{} {} {} {}", plain_times(n_before_min, n_before_max), kBackslash, escape_, rest_of_string(rest)));
    };
    const std::uint64_t most = left.max < 0 ? left.min : static_cast<std::uint64_t>(left.max);
    const bool exact = most <= kMaxExactLength;
    const std::uint64_t needed = left.min > 0 ? left.min - 1 : 0;  // plain characters before an escape that makes it long enough
    for (std::uint64_t before = 0, length = 1; before < most; length = exact ? length + 1 : length * 2) {
        const std::uint64_t n = std::min(length, most);
        const std::uint64_t n_before_min = exact ? before : std::max(before, needed);
        const std::uint64_t min = exact && left.min > n ? left.min - n : 0;
        before = n;
        if (left.max < 0 && (!exact || min == 0)) break;
        if (n_before_min >= n) continue;
        const std::int64_t max = left.max < 0 ? -1 : rounded_down(left.max - static_cast<std::int64_t>(n));
        add(n_before_min, static_cast<std::int64_t>(n) - 1, {.min = min, .max = max});
    }
    if (left.max < 0) add(needed, -1, {});
    rules_.define(name, ebnf_any_of(ways));
    return name;
}

std::string JsonText::literal_text(const std::string& text) {
    if (!mark_) return quoted(json_characters(text));
    if (text.find(mark_->text) != std::string::npos) unspoken_ = mark_->text;
    return quoted(ebnf_text(text));
}

std::string JsonText::name(const std::string& name) {
    const bool is_word = !name.empty() && name.find_first_not_of(kWordLetters) == std::string::npos;
    return mark_ && is_word ? ebnf_text(name) : literal_text(name);
}

std::string JsonText::any_name() {
    if (!mark_) return string_;
    return rules_.add(ebnf_class(word_characters()) + "+");
}

std::string JsonText::literal(const nlohmann::ordered_json& value) {
    if (value.is_string()) return literal_text(value.get_ref<const std::string&>());
    if (!value.is_structured()) return ebnf_text(value.dump());
    const bool is_object = value.is_object();
    std::string text = is_object ? "\"{\" " : "\"[\" ";
    bool first = true;
    for (const auto& [key, part] : value.items()) {
        text += first ? space_ + " " : fmt::format("{0} \",\" {0} ", space_);
        first = false;
        text += (is_object ? member(name(key), literal(part)) : literal(part)) + " ";
    }
    return text + space_ + (is_object ? " \"}\"" : " \"]\"");
}

std::string JsonText::member(const std::string& name, const std::string& value) const {
    return fmt::format("{0} {1} \":\" {1} {2}", name, space_, value);
}

std::string JsonText::list(char open, char close, const std::string& item, Times times) const {
    const std::string begin = fmt::format("\"{}\" {} ", open, space_);
    const std::string end = fmt::format(" \"{}\"", close);
    if (times.max == 0) return begin + end;
    const Times more{.min = times.min > 0 ? times.min - 1 : 0, .max = times.max < 0 ? -1 : times.max - 1};
    std::string items = item;
    if (more.max != 0) items += " " + ebnf_times(fmt::format("{0} \",\" {0} {1}", space_, item), more);
    items += " " + space_;
    return begin + (times.min == 0 ? fmt::format("({})?", items) : items) + end;
}

// By the letters that they begin with: a tree whose leaves are the names.
std::string JsonText::name_other_than(std::span<const std::string> names) {
    const CodeSet plain = mark_ ? word_characters() : plain_characters();
    const std::string end = mark_ ? "\"\"" : quote_;
    // One rule, as each place of it costs a look at the whole vocabulary.
    const std::string rest = rules_.add(ebnf_times(ebnf_class(plain), {}) + " " + end);
    struct Node {
        std::map<char32_t, std::size_t> next;
        bool ends = false;
    };
    std::vector<Node> nodes(1);
    for (const std::string& name : names) {
        std::size_t node = 0;
        for (std::size_t at = 0; at < name.size();) {
            const char32_t code = next_code(name, at);
            const auto [found, is_new] = nodes[node].next.try_emplace(code, nodes.size());
            node = found->second;
            if (is_new) nodes.emplace_back();
        }
        nodes[node].ends = true;
    }
    // Children come after their parents.
    std::vector<std::string> rules(nodes.size());
    for (std::size_t i = nodes.size(); i-- > 0;) {
        CodeSet others;
        std::vector<std::string> ways;
        for (const auto& [code, next] : nodes[i].next) {
            others.add({code, code});
            if (plain.contains(code)) ways.push_back(ebnf_class({{code, code}}) + " " + rules[next]);
        }
        others = others.complement().intersection(plain);
        if (!nodes[i].ends && (i > 0 || !mark_)) ways.push_back(end);
        ways.push_back(fmt::format("{} {}", ebnf_class(others), rest));
        rules[i] = rules_.add(ebnf_any_of(ways));
    }
    return rules_.add(mark_ ? rules[0] : quote_ + " " + rules[0]);
}

void JsonText::make_any() {
    any_value_ = rules_.declare();
    any_object_ = rules_.add(list('{', '}', member(any_name(), any_value_), {}));
    const std::string array = list('[', ']', any_value_, {});
    rules_.define(any_value_, ebnf_any_of({any_object_, array, string_, any_number(), "\"true\"", "\"false\"", "\"null\""}));
}

const std::string& JsonText::any_value() {
    if (any_value_.empty()) make_any();
    return any_value_;
}
const std::string& JsonText::any_object() {
    if (any_object_.empty()) make_any();
    return any_object_;
}

}  // namespace rafter::grammar
