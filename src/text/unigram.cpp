// Viterbi over the trie of tokens (Kudo 2018, https://arxiv.org/abs/1804.10959), as SentencePiece does it.
#include "text/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/utf8.h"

namespace rafter::text {
namespace {

constexpr std::string_view kCharsmapKey = "tokenizer.ggml.precompiled_charsmap";
// What an unknown character costs beyond the worst token: SentencePiece's kUnkPenalty.
constexpr float kUnknownPenalty = 10;
constexpr double kUnreached = -std::numeric_limits<double>::infinity();

Result<PrecompiledCharsmap> load_charsmap(const files::Metadata& metadata) {
    RAFTER_TRY(const auto values, metadata.find_ints(kCharsmapKey));
    std::vector<unsigned char> bytes;
    for (const std::int64_t value : values.value_or(std::vector<std::int64_t>())) {
        if (value < -128 || value > 255) return bad_input("{}: expected bytes, found {}", kCharsmapKey, value);
        bytes.push_back(static_cast<unsigned char>(value & 0xFF));  // files hold them as i8 or as u8
    }
    auto charsmap = PrecompiledCharsmap::parse(bytes);
    if (!charsmap) return charsmap.error().within(kCharsmapKey);
    return charsmap;
}

}  // namespace

Result<UnigramEncoder> UnigramEncoder::make(const files::Metadata& metadata, const Vocabulary& vocabulary, std::optional<TokenId> unknown) {
    if (!vocabulary.has_scores()) return bad_input("tokenizer.ggml.scores: expected a number for each token, found no such key");
    UnigramEncoder made;
    RAFTER_TRY(made.charsmap_, load_charsmap(metadata));
    RAFTER_TRY(const std::optional<bool> merge_spaces, metadata.find_bool("tokenizer.ggml.remove_extra_whitespaces"));
    made.merge_spaces_ = merge_spaces.value_or(false);
    made.unknown_ = unknown.value_or(kNoUnknown);
    float lowest = 0;
    for (std::size_t i = 0; i < vocabulary.size(); ++i) {
        const auto id = static_cast<TokenId>(i);
        const TokenType type = vocabulary.type(id);
        if (!std::isfinite(vocabulary.score(id))) {
            return bad_input("tokenizer.ggml.scores: token {}: expected a finite number, found {}", id, vocabulary.score(id));
        }
        if (type == TokenType::kNormal) lowest = std::min(lowest, vocabulary.score(id));
        if (may_come_from_text(type)) made.tokens_.insert(vocabulary.text(id), id);
    }
    made.unknown_score_ = lowest - kUnknownPenalty;
    return made;
}

void UnigramEncoder::normalize(std::string_view prefix, std::string_view text, std::string& out) const {
    out.clear();
    bool in_word = false;
    bool started = false;
    const auto append = [&](char c) {
        if (c == ' ') {
            in_word = false;
            if (!merge_spaces_) out += kSpaceMark;
            return;
        }
        if (!in_word && ((!prefix.empty() && !started) || merge_spaces_)) {
            out += kSpaceMark;
            started = true;
        }
        in_word = true;
        out += c;
    };
    for (std::size_t i = 0; i < text.size();) {
        const auto replacement = charsmap_.longest(text.substr(i));
        if (replacement) {
            std::ranges::for_each(replacement->text, append);
            i += replacement->size;
            continue;
        }
        const Utf8Char c = utf8_char_at(text, i);
        const bool valid = c.kind == Utf8Kind::kCharacter;
        std::ranges::for_each(valid ? text.substr(i, c.size) : kReplacementCharacter, append);
        i += valid ? c.size : 1;
    }
}

void UnigramEncoder::extend(const Vocabulary& vocabulary, std::string_view text, std::size_t at, Scratch& scratch) const {
    auto& best = scratch.best;
    const double score_here = best[at].score;
    const auto reach = [&](std::size_t end, double score, TokenId id) {
        if (best.size() <= end) best.resize(end + 1, {kUnreached, 0, unknown_});
        if (score > best[end].score) best[end] = {score, at, id};
    };
    const std::size_t char_size = utf8_char_at(text, at).size;
    bool has_character = false;
    Trie::Node node = Trie::kRoot;
    for (std::size_t i = at; i < text.size(); ++i) {
        const auto next = tokens_.child(node, static_cast<unsigned char>(text[i]));
        if (!next) break;
        node = *next;
        const std::optional<TokenId> id = tokens_.value(node);
        if (!id) continue;
        has_character = has_character || i + 1 - at == char_size;
        // A user-defined token costs nothing: it is to be chosen.
        const double score = vocabulary.type(*id) == TokenType::kUserDefined ? 0.0 : vocabulary.score(*id);
        reach(i + 1, score_here + score, *id);
    }
    if (!has_character) reach(at + char_size, score_here + unknown_score_, unknown_);
}

void UnigramEncoder::flush(Scratch& scratch, bool& after_unknown, std::vector<TokenId>& out) const {
    auto& [normalized, best, backwards] = scratch;
    backwards.clear();
    for (std::size_t end = best.size() - 1; end > 0; end = best[end].begin) backwards.push_back(best[end].id);
    for (auto id = backwards.rbegin(); id != backwards.rend(); ++id) {
        const bool unknown = *id == unknown_;
        if (*id != kNoUnknown && !(unknown && after_unknown)) out.push_back(*id);
        after_unknown = unknown;
    }
}

void UnigramEncoder::encode(const Vocabulary& vocabulary, std::string_view prefix, std::string_view text, Scratch& scratch,
                            std::vector<TokenId>& out) const {
    normalize(prefix, text, scratch.normalized);
    bool after_unknown = false;
    std::string_view rest = scratch.normalized;
    while (!rest.empty()) {
        scratch.best.assign(1, {0, 0, unknown_});
        std::size_t at = 0;
        // Until no token reaches beyond this place: however the text goes on, what is before it is settled.
        do {
            extend(vocabulary, rest, at, scratch);
            at += utf8_char_at(rest, at).size;
        } while (at + 1 < scratch.best.size());
        flush(scratch, after_unknown, out);
        rest.remove_prefix(at);
    }
}

}  // namespace rafter::text
