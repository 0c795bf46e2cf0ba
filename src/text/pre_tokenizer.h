// Cuts text into words: merges never cross from one word into the next.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/pre_tokenizer_families.h"
#include "text/regex.h"

namespace rafter::text {

// Immutable after make: any number of threads may split, each with a Scratch of its own.
class PreTokenizer {
  public:
    struct Scratch {
        Regex::Scratch regex;
        std::string repaired;  // the text with each invalid byte replaced
    };

    [[nodiscard]] static Result<PreTokenizer> make(const PreTokenizerFamily& family);

    // Calls word(std::string_view) for each word, in order; together the words are the text, byte for byte. Any bytes are accepted: one
    // that is no part of valid UTF-8 counts as a control character.
    template <typename Word>
    void split(std::string_view text, Scratch& scratch, const Word& word) const {
        const std::string_view subject = repair(text, scratch);
        split_from(0, subject, 0, subject.size(), scratch.regex,
                   [&](std::size_t begin, std::size_t end) { word(text.substr(begin, end - begin)); });
    }

  private:
    struct Step {
        Regex regex;
        Cut cut;
    };

    // The text itself where it is valid UTF-8. Offsets are those of the text.
    static std::string_view repair(std::string_view text, Scratch& scratch);
    // Where to cut [begin, end) into groups of three characters counted from its right end: ascending, begin included if a group starts
    // there.
    static void cuts_before_threes(std::string_view subject, Regex::Match run, std::vector<std::size_t>& cuts);

    template <typename Emit>
    void split_from(std::size_t i_step, std::string_view subject, std::size_t begin, std::size_t end, Regex::Scratch& scratch,
                    const Emit& emit) const;

    std::vector<Step> steps_;
};

template <typename Emit>
void PreTokenizer::split_from(std::size_t i_step, std::string_view subject, std::size_t begin, std::size_t end, Regex::Scratch& scratch,
                              const Emit& emit) const {
    if (i_step == steps_.size()) return emit(begin, end);
    const Step& step = steps_[i_step];
    std::size_t done = begin;
    const auto piece_until = [&](std::size_t piece_end) {
        if (piece_end > done) split_from(i_step + 1, subject, done, piece_end, scratch, emit);
        done = piece_end;
    };
    // Each piece is searched as a subject of its own: what an expression sees ends where the piece does.
    const std::string_view piece = subject.substr(begin, end - begin);
    std::size_t from = 0;
    while (from < piece.size()) {
        const std::optional<Regex::Match> match = step.regex.find(piece, from, scratch);
        if (!match) break;
        RAFTER_CHECK(match->end > match->begin, "a pre-tokenizer expression matched nothing");
        from = match->end;
        if (step.cut == Cut::kWhole) {
            piece_until(begin + match->begin);
            piece_until(begin + match->end);
            continue;
        }
        if (step.cut == Cut::kThreesFromTheRight) piece_until(begin + match->begin);
        std::vector<std::size_t> cuts;
        cuts_before_threes(piece, *match, cuts);
        for (const std::size_t cut : cuts) piece_until(begin + cut);
        if (step.cut == Cut::kThreesFromTheRight) piece_until(begin + match->end);
    }
    piece_until(end);
}

}  // namespace rafter::text
