// SentencePiece-style encoding; see the header.
#include "text/space_mark_bpe.h"

#include <algorithm>
#include <numeric>

#include "text/utf8.h"

namespace rafter::text {

ScoredMerges::ScoredMerges(const Vocabulary& vocabulary) : priorities_(vocabulary.size(), 0) {
    std::vector<TokenId> by_score(vocabulary.size());
    std::iota(by_score.begin(), by_score.end(), 0);
    std::ranges::sort(by_score, [&](TokenId a, TokenId b) { return vocabulary.score(a) > vocabulary.score(b); });
    std::uint32_t priority = 0;
    for (std::size_t i = 0; i < by_score.size(); ++i) {
        if (i > 0 && vocabulary.score(by_score[i]) != vocabulary.score(by_score[i - 1])) ++priority;
        priorities_[static_cast<std::size_t>(by_score[i])] = priority;
        max_text_bytes_ = std::max(max_text_bytes_, vocabulary.text(by_score[i]).size());
    }
}

std::optional<PairMerge> ScoredMerges::find(const Vocabulary& vocabulary, std::string_view joined_text) const {
    if (joined_text.size() > max_text_bytes_) return std::nullopt;
    const std::optional<TokenId> id = vocabulary.find_ordinary(joined_text);
    if (!id) return std::nullopt;
    return PairMerge{priorities_[static_cast<std::size_t>(*id)], *id};
}

Result<SpaceMarkEncoder> SpaceMarkEncoder::make(const files::Metadata& metadata, const Vocabulary& vocabulary, const Options& options,
                                                Warnings& warnings) {
    SpaceMarkEncoder made;
    if (options.family != nullptr) {
        RAFTER_TRY(made.pre_tokenizer_, PreTokenizer::make(*options.family));
    }
    if (options.rank_merged) {
        RAFTER_TRY(MergeTable merges, MergeTable::load(metadata, vocabulary, warnings));
        for (const MergeTable::Entry& entry : merges.entries()) {
            const std::string_view left = vocabulary.text(entry.left);
            const std::string_view right = vocabulary.text(entry.right);
            std::size_t last = left.size() - 1;
            while (last > 0 && (static_cast<unsigned char>(left[last]) & 0xC0) == 0x80) --last;
            made.joinable_.add_all_of(std::string(left.substr(last)) + std::string(right.substr(0, text_unit_at(right, 0).size)));
        }
        made.merges_ = std::move(merges);
    } else {
        if (!vocabulary.has_scores()) return bad_input("tokenizer.ggml.scores: expected a number for each token, found no such key");
        made.merges_ = ScoredMerges(vocabulary);
        for (std::size_t i = 0; i < vocabulary.size(); ++i) {
            const auto id = static_cast<TokenId>(i);
            if (may_come_from_text(vocabulary.type(id))) made.joinable_.add_all_of(vocabulary.text(id));
        }
    }
    for (unsigned byte = 0; byte < 256; ++byte)
        made.byte_tokens_[byte] = vocabulary.find_byte(static_cast<unsigned char>(byte)).value_or(kNoToken);
    for (unsigned c = 0; c < 128; ++c) {
        const char text = static_cast<char>(c);
        made.ascii_tokens_[c] = vocabulary.find_ordinary({&text, 1}).value_or(kNoToken);
    }
    made.whole_line_ends_ = options.whole_line_ends;
    made.unknown_ = options.unknown.value_or(kNoToken);
    return made;
}

void SpaceMarkEncoder::encode(const Vocabulary& vocabulary, std::string_view prefix, std::string_view text, Scratch& scratch,
                              std::vector<TokenId>& out) const {
    scratch.marked.clear();
    for (const std::string_view part : {prefix, text}) {
        for (std::size_t i = 0; i < part.size();) {
            const std::size_t space = std::min(part.find(' ', i), part.size());
            scratch.marked += part.substr(i, space - i);
            if (space < part.size()) scratch.marked += kSpaceMark;
            i = space + 1;
        }
    }
    pre_tokenizer_.split(scratch.marked, scratch.split, [&](std::string_view piece) { encode_piece(vocabulary, piece, scratch, out); });
}

std::size_t SpaceMarkEncoder::find_word_end(std::string_view piece, std::size_t begin) const {
    TextUnit previous = text_unit_at(piece, begin);
    std::size_t end = begin + previous.size;
    while (end < piece.size() && end - begin < SymbolMerger::kMaxWordBytes) {
        const TextUnit unit = text_unit_at(piece, end);
        if (!joinable_.has(previous.code, unit.code)) break;
        previous = unit;
        end += unit.size;
    }
    return end;
}

void SpaceMarkEncoder::encode_piece(const Vocabulary& vocabulary, std::string_view piece, Scratch& scratch,
                                    std::vector<TokenId>& out) const {
    if (whole_line_ends_ && piece.find_first_not_of('\n') == std::string_view::npos) {
        const std::optional<TokenId> whole = vocabulary.find_ordinary(piece);
        if (whole) return out.push_back(*whole);
    }
    for (std::size_t begin = 0; begin < piece.size();) {
        const std::size_t end = find_word_end(piece, begin);
        const std::string_view word = piece.substr(begin, end - begin);
        scratch.cache.append(word, out, [&] { encode_word(vocabulary, word, scratch.merger, out); });
        begin = end;
    }
}

void SpaceMarkEncoder::encode_word(const Vocabulary& vocabulary, std::string_view word, SymbolMerger& merger,
                                   std::vector<TokenId>& out) const {
    merger.start(word.size());
    for (std::size_t i = 0; i < word.size();) {
        const TextUnit unit = text_unit_at(word, i);
        const bool ascii = unit.code < 128;
        merger.push(ascii ? ascii_tokens_[unit.code] : vocabulary.find_ordinary(word.substr(i, unit.size)).value_or(kNoToken), unit.size);
        i += unit.size;
    }
    if (const auto* scored = std::get_if<ScoredMerges>(&merges_)) {
        merger.merge([&](const Symbol& left, const Symbol& right) {
            return scored->find(vocabulary, word.substr(left.begin, left.size + right.size));
        });
    } else {
        const auto& ranked = std::get<MergeTable>(merges_);
        merger.merge([&](const Symbol& left, const Symbol& right) { return ranked.find(left.id, right.id); });
    }
    for (const Symbol& symbol : merger.symbols()) {
        if (symbol.id != kNoToken) {
            out.push_back(symbol.id);
        } else {
            append_bytes(word.substr(symbol.begin, symbol.size), out);
        }
    }
}

void SpaceMarkEncoder::append_bytes(std::string_view character, std::vector<TokenId>& out) const {
    const auto token = [&](char c) { return byte_tokens_[static_cast<unsigned char>(c)]; };
    if (std::ranges::all_of(character, [&](char c) { return token(c) != kNoToken; })) {
        for (const char c : character) out.push_back(token(c));
    } else if (unknown_ != kNoToken) {
        out.push_back(unknown_);
    }
}

}  // namespace rafter::text
