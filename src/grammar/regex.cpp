// Recursive descent; check_pattern_size() has bounded depth and size before.
#include "grammar/regex.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "grammar/ebnf.h"
#include "grammar/json_text.h"
#include "grammar/pattern.h"
#include "text/utf8.h"

namespace rafter::grammar {
namespace {

const CodeSet& digit_set() {
    static const CodeSet set{{'0', '9'}};
    return set;
}
const CodeSet& word_set() {
    static const CodeSet set{{'0', '9'}, {'a', 'z'}, {'A', 'Z'}, {'_', '_'}};
    return set;
}
const CodeSet& space_set() {
    static const CodeSet set{{'\t', '\r'}, {' ', ' '}};
    return set;
}
// What Python or JavaScript take for white space, words and digits beyond ASCII differs: the opposites leave it all out but letters of no
// such kind, which both take for no white space.
CodeSet ascii_without(const CodeSet& set) { return set.complement().intersection(CodeSet{{0, 0x7F}}); }
CodeSet not_space() {
    CodeSet spaces = space_set();
    for (const CodeRange range : {CodeRange{0x1C, 0x1F}, CodeRange{0x85, 0x85}, CodeRange{0xA0, 0xA0}, CodeRange{0x1680, 0x1680},
                                  CodeRange{0x180E, 0x180E}, CodeRange{0x2000, 0x200F}, CodeRange{0x2028, 0x202F},
                                  CodeRange{0x205F, 0x2060}, CodeRange{0x3000, 0x3000}, CodeRange{0xFEFF, 0xFEFF}}) {
        spaces.add(range);
    }
    return spaces.complement();
}

class RegexReader {
  public:
    RegexReader(std::string_view regex, RegexText text, std::string_view where, EbnfRules& rules)
        : regex_(regex), text_(text), where_(where), rules_(rules) {}

    Result<std::string> read() {
        RAFTER_TRY(std::string expression, alternatives(true));
        if (at_ < regex_.size()) return refused("a closing parenthesis without an opening one");
        if (needs_mark_begin_) return refused("\"<\" where this model's notation of calls has its marks");
        return expression;
    }

  private:
    Error refused(std::string_view what) const { return bad_input("{}: {} is not supported, found {}", where_, what, quote(regex_)); }
    Error expected(std::string_view what) const {
        return bad_input("{}: expected {} at byte {}, found {}", where_, what, at_, quote(regex_));
    }

    [[nodiscard]] bool at_end() const { return at_ >= regex_.size(); }
    [[nodiscard]] bool sees(std::string_view text) const { return regex_.substr(at_).starts_with(text); }
    bool take(std::string_view text) {
        if (!sees(text)) return false;
        at_ += text.size();
        return true;
    }

    [[nodiscard]] std::string character(const CodeSet& set) {
        last_set_ = set;
        if (text_ == RegexText::kJsonString) return json_character(set);
        if (text_ == RegexText::kPlain) return ebnf_class(set);
        const CodeSet kept = set.intersection(CodeSet{{kMarkBegin, kMarkBegin}}.complement());
        needs_mark_begin_ |= kept.empty();
        return ebnf_class(kept.empty() ? set : kept);
    }
    [[nodiscard]] std::string anything() {
        if (text_ == RegexText::kMarked) return ebnf_class_without({{kMarkBegin, kMarkBegin}}) + "*";
        return json_any_number_of(CodeSet::all(), rules_);
    }
    // The item that was read last.
    [[nodiscard]] std::string many(const std::string& item, Times times) {
        if (text_ != RegexText::kJsonString || !last_set_ || times.max >= 0) return ebnf_times(item, times);
        const std::string more = json_any_number_of(*last_set_, rules_);
        if (times.min == 0) return more;
        return ebnf_times(item, {.min = times.min, .max = static_cast<std::int64_t>(times.min)}) + " " + more;
    }

    // On the outside, each may have anchors at its ends.
    Result<std::string> alternatives(bool outside) {
        std::vector<std::string> ways;
        do {
            const bool from_begin = outside && take("^");
            RAFTER_TRY(std::string way, sequence());
            const bool to_end = outside && take("$");
            if (outside && text_ != RegexText::kPlain) {
                if (!from_begin) way = anything() + " " + way;
                if (!to_end) way += " " + anything();
            }
            ways.push_back(std::move(way));
        } while (take("|"));
        return ebnf_any_of(ways);
    }

    Result<std::string> sequence() {
        std::string items;
        while (!at_end() && !sees("|") && !sees(")")) {
            if (sees("$")) {
                if (at_ + 1 == regex_.size() || regex_[at_ + 1] == '|') break;
                return refused("an anchor in the middle");
            }
            if (sees("^")) return refused("an anchor in the middle");
            RAFTER_TRY(std::string one, repeated());
            items += (items.empty() ? "" : " ") + one;
        }
        return items.empty() ? std::string("\"\"") : items;
    }

    Result<std::string> repeated() {
        RAFTER_TRY(std::string item, atom());
        bool again = false;
        while (!at_end()) {
            Times times;
            if (take("*")) {
            } else if (take("+")) {
                times.min = 1;
            } else if (take("?")) {
                times.max = 1;
            } else if (sees("{")) {
                RAFTER_TRY(times, braces());
            } else {
                break;
            }
            if (again) return refused("a repetition of a repetition");
            again = true;
            item = many(item, times);
            take("?");  // the shortest or the longest: the same texts
            if (sees("+")) return refused("a possessive repetition");
        }
        return item;
    }

    Result<Times> braces() {
        ++at_;
        const auto number = [&]() -> std::optional<std::uint64_t> {
            std::uint64_t n = 0;
            const std::size_t begin = at_;
            while (!at_end() && regex_[at_] >= '0' && regex_[at_] <= '9')
                n = std::min<std::uint64_t>(n * 10 + static_cast<std::uint64_t>(regex_[at_++] - '0'), kMaxExpandedSize);
            return at_ > begin ? std::optional(n) : std::nullopt;
        };
        const auto low = number();
        const bool has_comma = take(",");
        const auto high = has_comma ? number() : low;
        if (!take("}") || !low) return expected("{n}, {n,} or {n,m}");
        if (high && *high < *low) return expected("a repetition whose first number is the smaller");
        return Times{.min = *low, .max = high ? static_cast<std::int64_t>(*high) : -1};
    }

    Result<std::string> atom() {
        last_set_.reset();
        if (take("(")) {
            RAFTER_TRY(std::string inside, group());
            last_set_.reset();
            return inside;
        }
        if (take("[")) {
            RAFTER_TRY(const CodeSet set, char_class());
            if (set.empty()) return refused("a class without characters");
            return character(set);
        }
        if (take(".")) return character(CodeSet{{'\n', '\n'}, {'\r', '\r'}}.complement());
        if (sees("*") || sees("+") || sees("?") || sees("{")) return expected("something to repeat");
        RAFTER_TRY(const CodeSet set, one_character(false));
        return character(set);
    }

    Result<std::string> group() {
        if (take("?")) {
            if (take(":")) {
            } else if (sees("=") || sees("!") || sees("<=") || sees("<!")) {
                return refused("looking ahead or behind");
            } else if (take("P<") || take("<")) {
                const std::size_t end = regex_.find('>', at_);
                if (end == std::string_view::npos) return expected("a group's name and >");
                at_ = end + 1;
            } else {
                return refused("a group with flags");
            }
        }
        RAFTER_TRY(const std::string inside, alternatives(false));
        if (!take(")")) return expected(")");
        return '(' + inside + ')';
    }

    // Behind "[".
    Result<CodeSet> char_class() {
        const bool negated = take("^");
        CodeSet set;
        if (sees("]")) return refused("a class that begins with ]");
        while (!take("]")) {
            if (at_end()) return expected("]");
            if (sees("[:") || sees("[.") || sees("[=")) return refused("a named class");
            if (sees("&&") || sees("--") || sees("||") || sees("~~")) return refused("an operation on classes");
            const bool is_escape = sees("\\");
            RAFTER_TRY(CodeSet one, one_character(true));
            if (sees("-") && at_ + 1 < regex_.size() && regex_[at_ + 1] != ']') {
                ++at_;
                RAFTER_TRY(const CodeSet last, one_character(true));
                const auto single = [](const CodeSet& s) { return s.ranges().size() == 1 && s.ranges()[0].first == s.ranges()[0].last; };
                if (!single(one) || !single(last) || last.ranges()[0].first < one.ranges()[0].first)
                    return expected("a range whose ends are characters, the first the smaller");
                one = CodeSet{{one.ranges()[0].first, last.ranges()[0].first}};
            }
            if (negated && is_escape && inverted_) return refused("an inverted class within a negated one");
            set.add(one);
        }
        return negated ? set.complement() : set;
    }

    // A literal or an escape.
    Result<CodeSet> one_character(bool in_class) {
        inverted_ = false;
        if (!take("\\")) {
            const text::Utf8Char c = text::utf8_char_at(regex_, at_);
            if (c.kind != text::Utf8Kind::kCharacter) return expected("UTF-8");
            at_ += c.size;
            return CodeSet{{c.code, c.code}};
        }
        if (at_end()) return expected("a character behind the backslash");
        const char letter = regex_[at_++];
        inverted_ = letter == 'D' || letter == 'W' || letter == 'S';
        switch (letter) {
            case 'd':
                return digit_set();
            case 'w':
                return word_set();
            case 's':
                return space_set();
            case 'D':
                return ascii_without(digit_set());
            case 'W':
                return ascii_without(word_set());
            case 'S':
                return not_space();
            case 'n':
                return CodeSet{{'\n', '\n'}};
            case 'r':
                return CodeSet{{'\r', '\r'}};
            case 't':
                return CodeSet{{'\t', '\t'}};
            case 'f':
                return CodeSet{{'\f', '\f'}};
            case 'v':
                return CodeSet{{'\v', '\v'}};
            case 'x':
                return by_number(2);
            case 'u':
                return by_number(4);
            default:
                break;
        }
        const bool is_word = (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
        if (is_word || static_cast<unsigned char>(letter) >= 0x80)
            return refused(fmt::format("the escape \\{}", static_cast<unsigned char>(letter) < 0x80 ? letter : '?'));
        if (in_class || letter != '\0') return CodeSet{{static_cast<unsigned char>(letter), static_cast<unsigned char>(letter)}};
        return expected("a character behind the backslash");
    }

    Result<CodeSet> by_number(std::size_t n_digits) {
        std::uint32_t code = 0;
        for (std::size_t i = 0; i < n_digits; ++i, ++at_) {
            const char c = at_end() ? ' ' : regex_[at_];
            const std::size_t digit =
                std::string_view("0123456789abcdef").find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
            if (digit == std::string_view::npos) return expected(fmt::format("{} hexadecimal digits", n_digits));
            code = code * 16 + static_cast<std::uint32_t>(digit);
        }
        if (code >= 0xD800 && code <= 0xDFFF) return refused("half a character by its number");
        return CodeSet{{code, code}};
    }

    std::string_view regex_;
    RegexText text_;
    std::string_view where_;
    std::size_t at_ = 0;
    bool needs_mark_begin_ = false;    // which no text between marks has
    bool inverted_ = false;            // the last character was \D, \W or \S
    std::optional<CodeSet> last_set_;  // of the last atom where it is one character
    EbnfRules& rules_;
};

}  // namespace

Result<std::string> regex_expression(std::string_view regex, RegexText text, std::string_view where, EbnfRules& rules) {
    RAFTER_TRY_VOID(check_pattern_size(regex, PatternSyntax::kRegex, where));
    return RegexReader(regex, text, where, rules).read();
}

Result<void> check_regex(std::string_view regex, RegexText text, std::string_view where) {
    EbnfRules rules;
    RAFTER_TRY_VOID(regex_expression(regex, text, where, rules));
    return {};
}

}  // namespace rafter::grammar
