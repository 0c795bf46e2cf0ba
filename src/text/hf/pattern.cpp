// Searching; see the header.
#include "text/hf/pattern.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/quote.h"
#include "text/utf8.h"

namespace rafter::text::hf {
namespace {

constexpr std::size_t kMaxRegexBytes = 20'000;

// Oniguruma reads these otherwise than PCRE2: \h is a hexadecimal digit there, && intersects classes, (?~ is the absence operator. The
// rest changes what a match is or refers back, which no pre-tokenizer needs.
std::optional<std::string_view> unlike_in_pcre2(std::string_view regex) {
    constexpr std::array<std::string_view, 9> kOthers = {"\\h", "\\H", "\\K", "\\g", "\\k", "\\G", "&&", "(?~", "(*"};
    for (std::size_t i = 0; i < regex.size(); ++i) {
        for (const std::string_view other : kOthers) {
            if (regex.substr(i).starts_with(other)) return other;
        }
        if (regex[i] == '\\') ++i;
    }
    return std::nullopt;
}

// What Oniguruma takes for a part of a word, as the inside of a class (every code point was compared): PCRE2's \w has no marks. Outside of
// classes Oniguruma adds Latin-1's superscripts and fractions.
constexpr std::string_view kWordParts =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr std::string_view kLatinWordParts = R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";

// Writes \w and \b out. Fails on \W inside a class and on \B.
Result<std::string> spell_out_words(std::string_view regex, std::string_view where) {
    const std::string part = fmt::format("[{}{}]", kWordParts, kLatinWordParts);
    std::string out;
    bool in_class = false;
    for (std::size_t i = 0; i < regex.size(); ++i) {
        if (regex[i] != '\\' || i + 1 == regex.size()) {
            if (regex[i] == '[') in_class = true;
            if (regex[i] == ']') in_class = false;
            out += regex[i];
            continue;
        }
        const char escaped = regex[++i];
        if (escaped == 'w') {
            out += in_class ? std::string(kWordParts) : part;
        } else if (escaped == 'b' && !in_class) {
            out += fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", part);
        } else if (escaped == 'W' && !in_class) {
            out += fmt::format("[^{}{}]", kWordParts, kLatinWordParts);
        } else if (escaped == 'W' || escaped == 'B') {
            return bad_input("{}: regular expressions with \\{} {} are not supported", where, escaped, in_class ? "in a class" : "");
        } else {
            out += '\\';
            out += escaped;
        }
    }
    return out;
}

}  // namespace

Pattern Pattern::of_text(std::string text) {
    Pattern made;
    made.source_ = std::move(text);
    return made;
}

Result<Pattern> Pattern::of_regex(std::string_view regex, std::string_view where) {
    if (regex.size() > kMaxRegexBytes)
        return bad_input("{}: expected a regular expression of at most {} bytes, found {}", where, kMaxRegexBytes, regex.size());
    if (const auto other = unlike_in_pcre2(regex))
        return bad_input("{}: regular expressions with {} are not supported", where, quote(*other));
    Pattern made = of_text(std::string(regex));
    // In Oniguruma's syntax ^ and $ always stand for the ends of lines.
    RAFTER_TRY(const std::string spelled, spell_out_words(regex, where));
    auto compiled = Regex::compile("(?m)" + spelled);
    if (!compiled) return compiled.error().within(where);
    made.regex_ = *std::move(compiled);
    return made;
}

Result<Pattern> Pattern::read(const nlohmann::json& json, std::string_view where) {
    if (json.is_string()) return of_text(json.get<std::string>());
    if (json.is_object() && json.size() == 1 && json.begin()->is_string()) {
        const std::string text = json.begin()->get<std::string>();
        if (json.begin().key() == "String") return of_text(text);
        if (json.begin().key() == "Regex") return of_regex(text, where);
    }
    return bad_input("{}: expected a pattern, a String or a Regex, found another value", where);
}

void Pattern::for_each(std::string_view subject, Regex::Scratch& scratch,
                       const std::function<void(std::size_t, std::size_t, bool)>& visit) const {
    std::size_t done = 0;
    const auto found = [&](std::size_t begin, std::size_t end) {
        if (begin > done) visit(done, begin, false);
        if (end > begin) visit(begin, end, true);
        done = end;
    };
    if (!regex_) {
        for (std::size_t at = source_.empty() ? std::string_view::npos : subject.find(source_); at != std::string_view::npos;
             at = subject.find(source_, done)) {
            found(at, at + source_.size());
        }
    } else {
        for (std::size_t from = 0; from <= subject.size();) {
            const auto match = regex_->find(subject, from, scratch);
            if (!match) break;
            found(match->begin, match->end);
            from = match->end;
            // An empty match cuts, and the search goes on behind the next character.
            if (match->end == match->begin) from += match->end < subject.size() ? utf8_char_at(subject, match->end).size : 1;
        }
    }
    if (done < subject.size()) visit(done, subject.size(), false);
}

}  // namespace rafter::text::hf
