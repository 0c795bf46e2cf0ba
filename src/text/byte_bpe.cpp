// Byte-level BPE; see the header.
#include "text/byte_bpe.h"

namespace rafter::text {

Result<ByteBpeEncoder> ByteBpeEncoder::make(const files::Metadata& metadata, const Vocabulary& vocabulary, const PreTokenizerFamily& family,
                                            Warnings& warnings) {
    ByteBpeEncoder made;
    RAFTER_TRY(made.merges_, MergeTable::load(metadata, vocabulary, warnings));
    RAFTER_TRY(made.pre_tokenizer_, PreTokenizer::make(family));
    const ByteAlphabet alphabet;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const std::optional<TokenId> id = vocabulary.find(alphabet.spell(static_cast<unsigned char>(byte)));
        const bool usable = id && (may_come_from_text(vocabulary.type(*id)) || vocabulary.type(*id) == TokenType::kByte);
        made.byte_tokens_[byte] = usable ? *id : kNoToken;
    }
    made.ignore_merges_ = family.ignore_merges;
    if (!family.ignore_merges) return made;
    made.whole_words_ = TextIndex(vocabulary.size());
    for (std::size_t i = 0; i < vocabulary.size(); ++i) {
        const auto id = static_cast<TokenId>(i);
        const std::optional<std::string> bytes = alphabet.decode(vocabulary.text(id));
        const bool usable = vocabulary.type(id) == TokenType::kNormal && bytes && !bytes->empty();
        made.token_bytes_.append(usable ? *bytes : std::string());
        if (usable) made.whole_words_.add(made.token_bytes_, id);
    }
    return made;
}

void ByteBpeEncoder::encode(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const {
    pre_tokenizer_.split(text, scratch.split, [&](std::string_view word) {
        scratch.cache.append(word, out, [&] {
            for (std::string_view rest = word; !rest.empty();) {
                const std::string_view part = rest.substr(0, SymbolMerger::kMaxWordBytes);
                encode_word(part, scratch.merger, out);
                rest.remove_prefix(part.size());
            }
        });
    });
}

void ByteBpeEncoder::encode_word(std::string_view word, SymbolMerger& merger, std::vector<TokenId>& out) const {
    if (ignore_merges_) {
        const std::optional<TokenId> whole = whole_words_.find(token_bytes_, word);
        if (whole) return out.push_back(*whole);
    }
    merger.start(word.size());
    for (const char c : word) merger.push(byte_tokens_[static_cast<unsigned char>(c)], 1);
    merger.merge([&](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); });
    for (const Symbol& symbol : merger.symbols()) {
        if (symbol.id != kNoToken) out.push_back(symbol.id);
    }
}

}  // namespace rafter::text
