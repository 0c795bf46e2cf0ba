// Compiles a family's expressions; see the header.
#include "text/pre_tokenizer.h"

#include "text/utf8.h"

namespace rafter::text {
namespace {

// SUBSTITUTE, the control character that stands for a broken one: no letter, number, punctuation or space to any expression.
constexpr char kSubstitute = '\x1A';

}  // namespace

Result<PreTokenizer> PreTokenizer::make(const PreTokenizerFamily& family) {
    PreTokenizer made;
    for (const PreTokenizerStep& step : family.steps) {
        if (step.regex.empty()) break;
        RAFTER_TRY(Regex regex, Regex::compile(step.regex));
        made.steps_.push_back({std::move(regex), step.cut});
    }
    return made;
}

std::string_view PreTokenizer::repair(std::string_view text, Scratch& scratch) {
    std::size_t bad = find_invalid_utf8(text);
    if (bad == text.size()) return text;
    scratch.repaired = text;
    while (bad < text.size()) {
        scratch.repaired[bad] = kSubstitute;
        const std::size_t next = bad + 1;
        bad = next + find_invalid_utf8(text.substr(next));
    }
    return scratch.repaired;
}

void PreTokenizer::cuts_before_threes(std::string_view subject, Regex::Match run, std::vector<std::size_t>& cuts) {
    std::vector<std::size_t> starts;
    for (std::size_t i = run.begin; i < run.end; i += utf8_char_at(subject, i).size) starts.push_back(i);
    for (std::size_t i = starts.size() % 3; i < starts.size(); i += 3) cuts.push_back(starts[i]);
}

}  // namespace rafter::text
