// See the header.
#include "tests/support/tiny_vocabulary.h"

#include <fmt/format.h>

#include "text/byte_alphabet.h"

namespace rafter::text {

files::Metadata TinyVocabulary::metadata() const {
    const auto views = [](const std::vector<std::string>& texts) {
        return files::MetadataArray(std::vector<std::string_view>(texts.begin(), texts.end()));
    };
    files::Metadata made;
    if (!model.empty()) made.add("tokenizer.ggml.model", std::string_view(model));
    if (!pre.empty()) made.add("tokenizer.ggml.pre", std::string_view(pre));
    if (!tokens.empty()) made.add("tokenizer.ggml.tokens", views(tokens));
    if (!types.empty()) made.add("tokenizer.ggml.token_type", files::MetadataArray(types));
    if (!scores.empty()) made.add("tokenizer.ggml.scores", files::MetadataArray(scores));
    if (!merges.empty()) made.add("tokenizer.ggml.merges", views(merges));
    for (const auto& [key, value] : more) made.add(key, value);
    return made;
}

std::unique_ptr<Tokenizer> TinyVocabulary::load() const {
    auto loaded = Tokenizer::load(metadata());
    return std::move(loaded).value();
}

std::string TinyVocabulary::load_error() const {
    const auto loaded = Tokenizer::load(metadata());
    return loaded ? "" : loaded.error().message;
}

TinyVocabulary TinyVocabulary::of_bytes(const std::vector<std::string>& merges) {
    TinyVocabulary made;
    const ByteAlphabet alphabet;
    for (unsigned byte = 0; byte < 256; ++byte) made.add(alphabet.spell(static_cast<unsigned char>(byte)), 1);
    for (const std::string& merge : merges) {
        std::string merged = merge;
        merged.erase(merged.find(' '), 1);
        made.add(merged, 1);
    }
    made.merges = merges;
    if (merges.empty()) made.more["tokenizer.ggml.merges"] = files::MetadataArray(std::vector<std::string_view>());
    return made;
}

TinyVocabulary TinyVocabulary::of_pieces(const std::vector<std::string>& pieces) {
    TinyVocabulary made;
    made.model = "llama";
    made.pre = "default";
    made.add("<unk>", 2);
    made.add("<s>", 3);
    made.add("</s>", 3);
    for (unsigned byte = 0; byte < 256; ++byte) made.add(fmt::format("<0x{:02X}>", byte), 6);
    made.scores.assign(made.tokens.size(), 0);
    for (const std::string& piece : pieces) {
        made.add(piece, 1);
        made.scores.push_back(-static_cast<double>(made.scores.size()));
    }
    return made;
}

TokenId TinyVocabulary::add(std::string text, std::int64_t type) {
    tokens.push_back(std::move(text));
    types.push_back(type);
    return static_cast<TokenId>(tokens.size()) - 1;
}

}  // namespace rafter::text
