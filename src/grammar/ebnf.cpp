// Characters that are not plain letters, digits or spaces are written by their numbers, so that none has a meaning of its own.
#include "grammar/ebnf.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "text/utf8.h"

namespace rafter::grammar {
namespace {

constexpr char32_t kLastCode = 0x10FFFF;
constexpr CodeRange kSurrogates = {0xD800, 0xDFFF};

// In a text or a class.
std::string spelled(char32_t code) {
    const bool plain =
        (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || (code >= '0' && code <= '9') || code == ' ' || code == '_';
    if (plain) return {static_cast<char>(code)};
    if (code <= 0xFFFF) return fmt::format("\\u{:04x}", static_cast<std::uint32_t>(code));
    return fmt::format("\\U{:08x}", static_cast<std::uint32_t>(code));
}

std::string spelled(const CodeSet& set) {
    std::string text;
    for (const CodeRange& range : set.ranges()) {
        text += spelled(range.first);
        if (range.last > range.first) text += '-' + spelled(range.last);
    }
    return text;
}

}  // namespace

CodeSet::CodeSet(std::initializer_list<CodeRange> ranges) : ranges_(ranges) { tidy(); }

CodeSet CodeSet::all() { return {{0, kSurrogates.first - 1}, {kSurrogates.last + 1, kLastCode}}; }

void CodeSet::add(CodeRange range) {
    ranges_.push_back(range);
    tidy();
}
void CodeSet::add(const CodeSet& other) {
    ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
    tidy();
}

void CodeSet::tidy() {
    std::ranges::sort(ranges_, {}, &CodeRange::first);
    std::vector<CodeRange> joined;
    for (const CodeRange& range : ranges_) {
        if (!joined.empty() && range.first <= joined.back().last + 1) {
            joined.back().last = std::max(joined.back().last, range.last);
        } else {
            joined.push_back(range);
        }
    }
    ranges_.clear();
    for (const CodeRange& range : joined) {  // without surrogates
        if (range.first < kSurrogates.first) ranges_.push_back({range.first, std::min<char32_t>(range.last, kSurrogates.first - 1)});
        if (range.last > kSurrogates.last) ranges_.push_back({std::max<char32_t>(range.first, kSurrogates.last + 1), range.last});
    }
}

CodeSet CodeSet::complement() const {
    CodeSet result;
    char32_t next = 0;
    for (const CodeRange& range : ranges_) {
        if (range.first > next) result.ranges_.push_back({next, range.first - 1});
        next = range.last + 1;
    }
    if (next <= kLastCode) result.ranges_.push_back({next, kLastCode});
    result.tidy();
    return result;
}

CodeSet CodeSet::intersection(const CodeSet& other) const {
    CodeSet result;
    for (const CodeRange& a : ranges_) {
        for (const CodeRange& b : other.ranges_) {
            const CodeRange both{std::max(a.first, b.first), std::min(a.last, b.last)};
            if (both.first <= both.last) result.ranges_.push_back(both);
        }
    }
    result.tidy();
    return result;
}

bool CodeSet::contains(char32_t code) const { return contains_all_of({code, code}); }
bool CodeSet::contains_all_of(CodeRange range) const {
    CodeSet wanted{range};
    for (const CodeRange& one : wanted.ranges_) {
        if (std::ranges::none_of(ranges_, [&](const CodeRange& r) { return r.first <= one.first && one.last <= r.last; })) return false;
    }
    return true;
}

std::string ebnf_class(const CodeSet& set) { return '[' + spelled(set) + ']'; }

std::string ebnf_class_without(const CodeSet& set) {
    return "[^" + spelled(set) + spelled(kSurrogates.first) + '-' + spelled(kSurrogates.last) + ']';
}

std::string ebnf_text(std::string_view text) {
    std::string quoted = "\"";
    for (std::size_t at = 0; at < text.size();) quoted += spelled(next_code(text, at));
    return quoted + '"';
}

std::string ebnf_any_of(const std::vector<std::string>& alternatives) {
    if (alternatives.size() == 1) return alternatives[0];
    std::string text = "(";
    for (const std::string& one : alternatives) {
        if (text.size() > 1) text += " | ";
        text += one;
    }
    return text + ')';
}

std::string ebnf_times(const std::string& item, Times times) {
    if (times.max == 0) return "\"\"";
    if (times.min == 1 && times.max == 1) return item;
    const std::string group = '(' + item + ')';
    if (times.min == 0 && times.max < 0) return group + '*';
    if (times.min == 1 && times.max < 0) return group + '+';
    if (times.min == 0 && times.max == 1) return group + '?';
    return fmt::format("{}{{{},{}}}", group, times.min, times.max < 0 ? std::string() : std::to_string(times.max));
}

// A rule for each beginning of the text that has come last. XGrammar knows ahead of time which tokens such rules allow; with one rule that
// is repeated it would look at the whole vocabulary for each token.
std::string ebnf_text_without(std::string_view text, EbnfRules& rules) {
    std::vector<char32_t> codes;
    for (std::size_t at = 0; at < text.size();) codes.push_back(next_code(text, at));
    RAFTER_CHECK(!codes.empty() && std::ranges::count(codes, codes[0]) == 1, "a text whose first code point comes again: {}", text);
    const CodeSet first{{codes[0], codes[0]}};
    const std::string others = ebnf_class(first.complement()) + "*";
    if (codes.size() == 1) return others;
    std::vector<std::string> behind(codes.size());  // so many code points
    for (std::string& name : behind) name = rules.declare();
    rules.define(behind[0], fmt::format("{0} | {0} {1} {2}", others, ebnf_class(first), behind[1]));
    for (std::size_t n = 1; n < codes.size(); ++n) {
        const CodeSet next{{codes[n], codes[n]}};
        CodeSet known = first;
        known.add(next);
        std::string ways = fmt::format("\"\" | {} {} | {} {}", ebnf_class(first), behind[1], ebnf_class(known.complement()), behind[0]);
        if (n + 1 < codes.size()) ways += fmt::format(" | {} {}", ebnf_class(next), behind[n + 1]);
        rules.define(behind[n], ways);
    }
    return behind[0];
}

char32_t next_code(std::string_view text, std::size_t& at) {
    const text::Utf8Char c = text::utf8_char_at(text, at);
    at += c.size;
    return c.kind == text::Utf8Kind::kCharacter ? c.code : char32_t{0xFFFD};
}

std::string EbnfRules::add(const std::string& body) {
    if (const auto found = by_body_.find(body); found != by_body_.end()) return found->second;
    std::string name = fmt::format("r{}", rules_.size());
    rules_.emplace_back(name, body);
    by_body_.emplace(body, name);
    return name;
}

std::string EbnfRules::declare() {
    std::string name = fmt::format("r{}", rules_.size());
    declared_.emplace(name, rules_.size());
    rules_.emplace_back(name, "\"\"");
    return name;
}

std::string EbnfRules::add_self_referring(const std::string& body) {
    if (const auto found = by_body_.find(body); found != by_body_.end()) return found->second;
    const std::string name = declare();
    std::string written;
    for (const char c : body) written += c == '@' ? name : std::string(1, c);
    define(name, written);
    by_body_.emplace(body, name);
    return name;
}

void EbnfRules::define(const std::string& name, const std::string& body) { rules_[declared_.at(name)].second = body; }

std::string EbnfRules::grammar(const std::string& root) const {
    std::string text = "root ::= " + root + "\n";
    for (const auto& [name, body] : rules_) text += name + " ::= " + body + "\n";
    return text;
}

}  // namespace rafter::grammar
